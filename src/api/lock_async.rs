//! Taking a lock without blocking the thread.

use std::fmt;
use std::sync::Arc;

use crate::api::core::Core;
use crate::api::lock::CrossProcessLock;
use crate::api::lock_wait::lock_name;
use crate::api::reactor::Sleep;
use crate::api::session::Session;
use crate::api::threads;
use crate::api::trace;
use crate::api::waiting::{Look, Wait};
use crate::error::{CoordinationError, SegmentError};
use crate::sync::mem::ALL;
use crate::sync::mutex_poll::Polled;
use crate::sync::{Env, Mem, Owner, Real};

impl CrossProcessLock {
    /// Takes the lock for this process, as a future. The guard may go to any thread and
    /// be dropped by any; the lock passes on if the process dies. Tasks of one process
    /// exclude each other, too, and a thread that took the lock with
    /// [`lock`](Self::lock) excludes all tasks. Dropping the future takes nothing.
    ///
    /// The waiting thread of the attachment waits and holds for all tasks, so such a wait
    /// is no member of a deadlock that [`DeadlockDetector`](crate::DeadlockDetector) finds,
    /// and makes no lock order: a task that holds one lock while it awaits another should
    /// bound that with its runtime's timeout.
    ///
    /// # Errors
    /// [`SegmentError::Full`] (threads), [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn acquire(&self) -> Wait<ProcessLockGuard> {
        let mut asking = Asking::new(Arc::clone(self.session()), self.index());
        asking.counts = true;
        let look: Look<_> = Box::new(move |core, sleep| asking.look(core, sleep).transpose());
        Wait::new(self.session(), look).telling(ProcessLockGuard::tell)
    }
}

/// One future's hold on the queue of a lock.
pub(super) struct Asking {
    session: Arc<Session>,
    index: usize,
    /// The waiting thread, in whose name all tasks take locks.
    me: Option<Owner>,
    enlisted: bool,
    /// Whether its wait is counted as contention. Not that of one who was notified, and
    /// whose notifier has the lock yet, as a matter of course.
    counts: bool,
    /// When it first found the lock taken.
    waits_since: Option<u64>,
}

impl Asking {
    pub(super) fn new(session: Arc<Session>, index: usize) -> Self {
        Self {
            session,
            index,
            me: None,
            enlisted: false,
            counts: false,
            waits_since: None,
        }
    }

    /// Counts the wait, if there was one, however it ended.
    fn end_wait(&mut self) {
        if let Some(since) = self.waits_since.take().filter(|_| self.counts) {
            let core = self.session.core();
            let waited = core.now().saturating_sub(since);
            core.tables().tallies.waited(self.index, waited);
        }
    }

    pub(super) fn look<'c>(
        &mut self,
        core: &'c Arc<Core>,
        sleep: &mut Sleep<'c>,
    ) -> Result<Option<ProcessLockGuard>, CoordinationError> {
        let me = match self.me {
            Some(me) => me,
            None => *self.me.insert(threads::owner(core)?),
        };
        let word = &core.tables().locks[self.index];
        let before = word.owner();
        match word.poll(me, core.as_ref()) {
            Polled::Taken(acquired) => {
                self.enlisted = false;
                self.end_wait();
                if acquired.previous_owner_died
                    && let Some(dead) = before.filter(|owner| *owner != me)
                    && let Some(thread) = core.tables().threads.get(usize::from(dead.slot))
                {
                    // The kernel wakes one sleeper of a dead thread; that one wakes the rest.
                    Real::wake(Real::cell(crate::sync::LifeArea::word(&thread.life)), ALL);
                }
                if acquired.previous_owner_died {
                    core.note_owner_died(self.index, me, true);
                }
                Ok(Some(ProcessLockGuard {
                    session: Arc::clone(&self.session),
                    index: self.index,
                    me,
                    previous_owner_died: acquired.previous_owner_died,
                    previous_owner_panicked: acquired.previous_owner_panicked,
                }))
            }
            // Another task of this process has it, and pokes the waiting thread when it is done.
            Polled::Recursive => {
                self.waits_since.get_or_insert(sleep.now);
                Ok(None)
            }
            Polled::Corrupt { word } => Err(SegmentError::Corrupt {
                what: format!("lock {}: word {word:#x}", self.index),
            }
            .into()),
            Polled::Asleep { on, life } => {
                self.enlisted = true;
                self.waits_since.get_or_insert(sleep.now);
                sleep.on(word.cell(), on);
                sleep.until(sleep.now.saturating_add(LAST_BOUND));
                match life {
                    Some((life, armed)) => sleep.on_life(life, armed),
                    None => sleep.soon(),
                }
                Ok(None)
            }
        }
    }
}

/// The safety net of a sleep on a lock.
const LAST_BOUND: u64 = crate::limits::LOCK_BOUNDS_MICROS[2];

impl Drop for Asking {
    fn drop(&mut self) {
        if self.session.core().is_forked() {
            return;
        }
        self.end_wait();
        if self.enlisted {
            self.session.core().tables().locks[self.index].give_up();
            // The waiting thread may be asleep on the word yet, and woken in vain after this.
            self.session.reactor().gave_up(self.index);
        }
    }
}

/// The lock is held by this process until this is dropped, by whatever thread.
#[must_use = "the lock is given back when this is dropped"]
pub struct ProcessLockGuard {
    session: Arc<Session>,
    index: usize,
    me: Owner,
    previous_owner_died: bool,
    previous_owner_panicked: bool,
}

impl ProcessLockGuard {
    /// Has whoever traces know of a dead owner.
    pub(super) fn tell(&self) {
        if self.previous_owner_died {
            let tables = self.session.core().tables();
            trace::owner_died(|| lock_name(tables, self.index));
        }
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// As [`LockGuard::previous_owner_died`](crate::LockGuard::previous_owner_died).
    #[must_use]
    pub fn previous_owner_died(&self) -> bool {
        self.previous_owner_died
    }

    /// As [`LockGuard::previous_owner_panicked`](crate::LockGuard::previous_owner_panicked).
    /// A task that panics drops its guard while it unwinds.
    #[must_use]
    pub fn previous_owner_panicked(&self) -> bool {
        self.previous_owner_panicked
    }

    /// Says that what the lock protects is consistent again, after a death or a panic.
    pub fn mark_consistent(&self) {
        let core = self.session.core();
        if !core.is_forked() {
            core.tables().locks[self.index].mark_consistent(self.me);
        }
    }
}

impl Drop for ProcessLockGuard {
    fn drop(&mut self) {
        let core = self.session.core();
        if !core.is_forked() {
            let word = &core.tables().locks[self.index];
            let _ = match std::thread::panicking() {
                true => word.unlock_in_panic(self.me),
                false => word.unlock(self.me),
            };
            // Other tasks of this process see no word move.
            self.session.reactor().poke();
        }
    }
}

impl fmt::Debug for ProcessLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessLockGuard")
            .field("lock", &self.index)
            .field("previous_owner_died", &self.previous_owner_died)
            .field("previous_owner_panicked", &self.previous_owner_panicked)
            .finish_non_exhaustive()
    }
}
