//! Named condition variables between processes.

use std::sync::Arc;
use std::time::Duration;

use crate::api::core::deadline;
use crate::api::lock::LockGuard;
use crate::api::lock_order;
use crate::api::lock_wait;
use crate::api::names::index_of;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::threads;
use crate::error::{LockError, SegmentError};
use crate::sync::condvar::Condvar;
use crate::sync::mutex::NotLocked;
use crate::sync::{Env, Real};

/// A named condition variable, used with a [`CrossProcessLock`](crate::CrossProcessLock).
/// It survives the death of waiters and notifiers: no wait sleeps longer than a second
/// between two looks, so a notification lost with a dead process costs at most that.
#[derive(Clone, Debug)]
pub struct CrossProcessCondvar {
    session: Arc<Session>,
    index: usize,
}

impl CrossProcessCondvar {
    /// Opens the condition variable of this name (1 to 64 bytes).
    ///
    /// # Errors
    /// [`CoordinationError::InvalidName`](crate::CoordinationError::InvalidName),
    /// [`SegmentError::Full`] (128 of them), [`SegmentError::ForkedHandle`], [`LockError::TimedOut`] when a stopped process keeps
    /// the table of names for 5 s.
    pub fn open(segment: &Segment, name: &str) -> Result<Self, LockError> {
        let session = Arc::clone(segment.session());
        let names = &session.core().tables().condvar_names;
        let index = index_of(session.core(), names, "condition variables", name)?;
        Ok(Self { session, index })
    }

    /// Gives the lock back, sleeps until notified, and takes it again. May return
    /// without a notification: look at the condition again.
    ///
    /// # Errors
    /// [`LockError::Deadlock`] when taking the lock again would close a circle of waiting
    /// and this thread is the one to give up, [`SegmentError::Corrupt`],
    /// [`SegmentError::ForkedHandle`]. The guard is spent then, and the lock not held.
    pub fn wait<'a>(&self, guard: LockGuard<'a>) -> Result<LockGuard<'a>, LockError> {
        self.wait_until(guard, None).map(|(guard, _)| guard)
    }

    /// The same with a timeout; the flag tells that it passed. The lock is taken again
    /// in either case, and waiting for that is not bounded by the timeout.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout<'a>(
        &self,
        guard: LockGuard<'a>,
        timeout: Duration,
    ) -> Result<(LockGuard<'a>, bool), LockError> {
        self.wait_until(guard, Some(timeout))
    }

    /// Waits as long as `condition` is true.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_while<'a>(
        &self,
        mut guard: LockGuard<'a>,
        mut condition: impl FnMut() -> bool,
    ) -> Result<LockGuard<'a>, LockError> {
        while condition() {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Wakes one waiter, if any; all of them while a task of any process waits
    /// ([`awaited`](Self::awaited)), as the one might be a task that was dropped.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn notify_one(&self) -> Result<(), LockError> {
        self.session.core().check()?;
        self.word().notify_one();
        Ok(())
    }

    /// Wakes all waiters by one system call.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn notify_all(&self) -> Result<(), LockError> {
        self.session.core().check()?;
        self.word().notify_all();
        Ok(())
    }

    fn wait_until<'a>(
        &self,
        mut guard: LockGuard<'a>,
        timeout: Option<Duration>,
    ) -> Result<(LockGuard<'a>, bool), LockError> {
        let core = self.session.core();
        core.check()?;
        if !Arc::ptr_eq(core, guard.lock().session().core()) {
            return Err(SegmentError::Stale {
                name: core.opened().name().to_string(),
            }
            .into());
        }
        let until = deadline(core.as_ref(), timeout);
        let lock = guard.lock();
        // What is held besides comes before this lock when it is taken again. Only told:
        // the other order, in which it was taken first, is the one to be refused.
        let _ = lock_order::check(core, lock.index(), false);
        let (word, me) = (lock.word(), guard.owner());
        let waiting = lock_wait::waiter(core, lock.index(), me);
        let result = self.word().wait(word, me, core.as_ref(), until, &waiting);
        if let Err(NotLocked::NotOurs) = result {
            return Err(lock.recursive());
        }
        threads::gave(core, lock.index());
        let began = core.now();
        let awake = lock.taken(waiting, result, began)?;
        guard.reacquired(awake.acquired);
        if awake.timed_out {
            // Drops the guard, which frees the lock.
            core.opened().not_removed()?;
        }
        Ok((guard, awake.timed_out))
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }
    pub(super) fn index(&self) -> usize {
        self.index
    }
    fn word(&self) -> &Condvar<Real> {
        &self.session.core().tables().condvars[self.index]
    }
}
