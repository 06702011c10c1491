//! The one thread of an attachment that waits for all its futures and descriptors.
//!
//! Each of them is a look at the segment that is over or names words to sleep on. The
//! thread sleeps on all those words at once, and on one of its own through which new looks
//! come. It is started by the first, sleeps without a bound while there is none, and ends
//! with the attachment.
//!
//! The kernel watches [`MAX_WAIT_WORDS`] words per sleep. Where there are more, or no
//! such wait, the sleep is bounded by `PORTABLE_POLL_MICROS` instead.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::api::core::Core;
use crate::limits::{MAX_WAIT_WORDS, PORTABLE_POLL_MICROS, WAIT_BOUND_MICROS};
use crate::sync::mem::ALL;
use crate::sync::{Env, Mem, Real, life};

type Cell<'c> = <Real as Mem>::Cell<'c>;

/// What one round of looks came to.
pub(crate) struct Sleep<'c> {
    cells: Vec<(Cell<'c>, u32)>,
    lives: Vec<&'c AtomicU32>,
    until: u64,
    pub(crate) now: u64,
}

impl<'c> Sleep<'c> {
    /// Wake up when the word is not `expected` any more.
    pub(crate) fn on(&mut self, cell: Cell<'c>, expected: u32) {
        self.cells.push((cell, expected));
    }

    /// Wake up when the thread of this life word, armed with `value`, dies.
    pub(crate) fn on_life(&mut self, word: &'c AtomicU32, value: u32) {
        self.on(Real::cell(word), value);
        self.lives.push(word);
    }

    /// Wake up at this instant at the latest.
    pub(crate) fn until(&mut self, instant: u64) {
        self.until = self.until.min(instant);
    }

    /// Wake up soon, because nothing in the segment would tell.
    pub(crate) fn soon(&mut self) {
        self.until(self.now.saturating_add(PORTABLE_POLL_MICROS));
    }
}

/// Something that is waited for; asked in every round until it says that it is over.
pub(crate) trait Interest: Send {
    fn is_over<'c>(&mut self, core: &'c Arc<Core>, sleep: &mut Sleep<'c>) -> bool;
}

#[derive(Default)]
struct Inbox {
    /// Moves with each message; the thread sleeps on it.
    word: AtomicU32,
    stop: AtomicBool,
    new: Mutex<Vec<Box<dyn Interest>>>,
    /// Locks that somebody gave up while the thread may have slept on them, by index.
    given_up: Mutex<Vec<usize>>,
}

impl Inbox {
    /// Gives up in the name of the thread, which is not in the kernel now: the wake-up
    /// that it had for a look that is gone was meant for somebody.
    fn give_up_all(&self, core: &Core) {
        let mut due = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        for index in std::mem::take(&mut *due) {
            if let Some(lock) = core.tables().locks.get(index) {
                lock.give_up();
            }
        }
    }

    fn poke(&self) {
        self.word.fetch_add(1, Ordering::Release);
        Real::wake(Real::cell(&self.word), ALL);
    }
}

/// The thread, once it was needed.
#[derive(Default)]
pub(crate) struct Reactor {
    inbox: Arc<Inbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

impl Reactor {
    /// Hands the thread something to wait for; starts it if it is the first.
    pub(crate) fn add(&self, core: &Arc<Core>, interest: Box<dyn Interest>) -> std::io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let (core, inbox) = (Arc::clone(core), Arc::clone(&self.inbox));
            *thread = Some(
                std::thread::Builder::new()
                    .name("ebbtide-waiter".into())
                    .spawn(move || run(&core, &inbox))?,
            );
        }
        drop(thread);
        self.arrivals().push(interest);
        self.poke();
        Ok(())
    }

    /// Has the thread look again, for something that no word in the segment shows.
    pub(crate) fn poke(&self) {
        self.inbox.poke();
    }

    /// A look that may have slept on this lock is gone. The thread may still be queued
    /// there and take a wake-up; once it has left the kernel it gives up, too.
    pub(crate) fn gave_up(&self, lock: usize) {
        let due = &self.inbox.given_up;
        due.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lock);
        self.poke();
    }

    /// Ends the thread; what it waited for is dropped.
    pub(crate) fn stop(&self, core: &Core) {
        self.inbox.stop.store(true, Ordering::Release);
        self.inbox.poke();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // It may be this thread that drops the last handle, from within a look.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        drop(thread);
        let unasked = std::mem::take(&mut *self.arrivals());
        drop(unasked);
        // It has left the kernel for good.
        self.inbox.give_up_all(core);
    }

    /// In a forked child: there is no such thread.
    pub(crate) fn forget(&self) {
        // Locked at the fork by a thread that is not here: then nobody will take it.
        if let Ok(mut thread) = self.thread.try_lock() {
            std::mem::forget(thread.take());
        }
    }

    fn arrivals(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Interest>>> {
        self.inbox
            .new
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(core: &Arc<Core>, inbox: &Inbox) {
    let mut interests: Vec<Box<dyn Interest>> = Vec::new();
    loop {
        // Before the looks: what comes after this moves the word we sleep on.
        let seen = inbox.word.load(Ordering::Acquire);
        if inbox.stop.load(Ordering::Acquire) {
            return;
        }
        interests.append(&mut inbox.new.lock().unwrap_or_else(PoisonError::into_inner));
        inbox.give_up_all(core);
        let now = core.now();
        let mut sleep = Sleep {
            cells: vec![(Real::cell(&inbox.word), seen)],
            lives: Vec::new(),
            until: u64::MAX,
            now,
        };
        if !interests.is_empty() {
            sleep.until(now.saturating_add(WAIT_BOUND_MICROS));
        }
        interests.retain_mut(|interest| !interest.is_over(core, &mut sleep));
        if sleep.cells.len() > MAX_WAIT_WORDS {
            sleep.soon();
        }
        Real::wait_any(&sleep.cells, sleep.until);
        life::pass_on::<Real>(sleep.lives);
    }
}
