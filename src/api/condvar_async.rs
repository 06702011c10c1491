//! Waiting for a condition without blocking the thread.

use std::sync::Arc;
use std::time::Duration;

use crate::api::condvar::CrossProcessCondvar;
use crate::api::core::{Core, deadline};
use crate::api::lock_async::{Asking, ProcessLockGuard};
use crate::api::reactor::Sleep;
use crate::api::waiting::{Look, Wait};
use crate::error::{CoordinationError, SegmentError};
use crate::limits::WAIT_BOUND_MICROS;
use crate::sync::Env;

impl CrossProcessCondvar {
    /// As [`wait`](Self::wait), as a future, with a lock that was awaited: gives the lock
    /// back when it is first polled, and ends with the lock taken again, when it was
    /// notified or, after a second at most, for no reason: look at the condition again.
    ///
    /// Dropped before it was polled, the future gives the lock back; dropped later, it
    /// holds nothing, and takes no notification of another waiter along.
    ///
    /// # Errors
    /// [`SegmentError::Stale`] for a guard of another attachment,
    /// [`SegmentError::ForkedHandle`], `Corrupt`. The guard is spent then.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let scratch = tempfile::tempdir()?;
    /// # let options = ebbtide::SegmentOptions::new().directory(scratch.path().join("d"));
    /// # let segment = options.create("job")?;
    /// use ebbtide::{CrossProcessCondvar, CrossProcessLock, SharedStateManager};
    ///
    /// let lock = CrossProcessLock::open(&segment, "queue")?;
    /// let filled = CrossProcessCondvar::open(&segment, "queue-filled")?;
    /// let state = SharedStateManager::open(&segment)?;
    /// # let (other, told, set) = (lock.clone(), filled.clone(), state.clone());
    /// # let producer = std::thread::spawn(move || {
    /// #     let guard = other.lock().unwrap();
    /// #     set.set("item", "1").unwrap();
    /// #     told.notify_one().unwrap();
    /// #     drop(guard);
    /// # });
    /// smol::block_on(async {
    ///     let mut guard = lock.acquire().await?;
    ///     while state.get("item")?.is_none() {
    ///         guard = filled.awaited(guard).await?;
    ///     }
    ///     state.delete("item")?;
    ///     Ok::<_, Box<dyn std::error::Error>>(())
    /// })?;
    /// # producer.join().unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn awaited(&self, guard: ProcessLockGuard) -> Wait<ProcessLockGuard> {
        let mut sleeping = Sleeping::new(self, guard, None);
        let look: Look<_> = Box::new(move |core, sleep| {
            let awake = sleeping.look(core, sleep).transpose()?;
            Some(awake.map(|(guard, _)| guard))
        });
        Wait::new(self.session(), look).telling(ProcessLockGuard::tell)
    }

    /// The same with a timeout, which runs from the first poll; the flag tells that it
    /// passed. The lock is taken again in either case, and waiting for that is not bounded.
    ///
    /// # Errors
    /// As [`awaited`](Self::awaited).
    pub fn awaited_timeout(
        &self,
        guard: ProcessLockGuard,
        timeout: Duration,
    ) -> Wait<(ProcessLockGuard, bool)> {
        let mut sleeping = Sleeping::new(self, guard, Some(timeout));
        let look: Look<_> = Box::new(move |core, sleep| sleeping.look(core, sleep).transpose());
        Wait::new(self.session(), look).telling(|(guard, _)| guard.tell())
    }
}

/// One future's wait. What it holds at each stage is given back when it is dropped.
struct Sleeping {
    condvar: usize,
    timeout: Option<Duration>,
    stage: Stage,
}

enum Stage {
    /// Not polled yet: the lock is held.
    Holds(ProcessLockGuard),
    /// The lock is free.
    Asleep {
        noted: u32,
        /// The deadline, and when it looks for no reason.
        until: u64,
        bound: u64,
        then: Asking,
    },
    Takes {
        asking: Asking,
        timed_out: bool,
    },
    /// Between two stages, and after an error.
    Spent,
}

impl Sleeping {
    fn new(
        condvar: &CrossProcessCondvar,
        guard: ProcessLockGuard,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            condvar: condvar.index(),
            timeout,
            stage: Stage::Holds(guard),
        }
    }

    fn look<'c>(
        &mut self,
        core: &'c Arc<Core>,
        sleep: &mut Sleep<'c>,
    ) -> Result<Option<(ProcessLockGuard, bool)>, CoordinationError> {
        let condvar = &core.tables().condvars[self.condvar];
        // Ends: every round answers or goes on to the next stage.
        loop {
            match std::mem::replace(&mut self.stage, Stage::Spent) {
                Stage::Holds(guard) => {
                    if !Arc::ptr_eq(core, guard.session().core()) {
                        let name = core.opened().name().to_string();
                        return Err(SegmentError::Stale { name }.into());
                    }
                    let now = core.now();
                    self.stage = Stage::Asleep {
                        noted: condvar.note_shared(),
                        until: deadline(core.as_ref(), self.timeout),
                        bound: now.saturating_add(WAIT_BOUND_MICROS),
                        then: Asking::new(Arc::clone(guard.session()), guard.index()),
                    };
                    // Noted first: whoever changes the condition has the lock after us.
                    drop(guard);
                }
                Stage::Asleep {
                    noted,
                    until,
                    bound,
                    then: asking,
                } => {
                    let is_notified = condvar.is_notified(noted);
                    if is_notified || sleep.now >= until.min(bound) {
                        let timed_out = !is_notified && sleep.now >= until;
                        self.stage = Stage::Takes { asking, timed_out };
                        continue;
                    }
                    sleep.on(condvar.cell(), noted);
                    sleep.until(until.min(bound));
                    self.stage = Stage::Asleep {
                        noted,
                        until,
                        bound,
                        then: asking,
                    };
                    return Ok(None);
                }
                Stage::Takes {
                    mut asking,
                    timed_out,
                } => {
                    let taken = asking.look(core, sleep)?;
                    if taken.is_none() {
                        self.stage = Stage::Takes { asking, timed_out };
                    }
                    return Ok(taken.map(|guard| (guard, timed_out)));
                }
                Stage::Spent => return Ok(None),
            }
        }
    }
}
