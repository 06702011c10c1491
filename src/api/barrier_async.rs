//! Waiting at a barrier without blocking the thread.

use std::sync::Arc;
use std::time::Duration;

use crate::api::barrier::{BarrierPassed, CrossProcessBarrier};
use crate::api::core::{Core, deadline};
use crate::api::reactor::Sleep;
use crate::api::threads;
use crate::api::waiting::{Look, Wait};
use crate::error::BarrierError;
use crate::limits::WAIT_BOUND_MICROS;
use crate::sync::Env;
use crate::table::barrier_wait::{Polled, Stay, Watched};

impl CrossProcessBarrier {
    /// As [`wait`](Self::wait), as a future: arrives when it is first polled. Each future is a
    /// party of its own, also of one process, whose death breaks the barrier for the others.
    ///
    /// Dropping the future takes its arrival back, as if it had never come, unless all had
    /// arrived already: then it has passed with them.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let scratch = tempfile::tempdir()?;
    /// # let options = ebbtide::SegmentOptions::new().directory(scratch.path().join("d"));
    /// # let segment = options.create("job")?;
    /// use ebbtide::CrossProcessBarrier;
    ///
    /// let epoch = CrossProcessBarrier::open(&segment, "epoch", 2)?;
    /// let (first, second) = smol::block_on(smol::future::zip(epoch.awaited(), epoch.awaited()));
    /// assert_ne!(first?.is_leader(), second?.is_leader());
    /// # Ok(())
    /// # }
    /// ```
    pub fn awaited(&self) -> Wait<BarrierPassed, BarrierError> {
        self.awaited_for(None)
    }

    /// The same; when the timeout, which runs from the first poll, passes, the barrier is
    /// broken for all.
    ///
    /// # Errors
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn awaited_timeout(&self, timeout: Duration) -> Wait<BarrierPassed, BarrierError> {
        self.awaited_for(Some(timeout))
    }

    fn awaited_for(&self, timeout: Option<Duration>) -> Wait<BarrierPassed, BarrierError> {
        let mut party = Party {
            barrier: self.clone(),
            timeout,
            arrived: None,
        };
        let look: Look<_> = Box::new(move |core, sleep| party.look(core, sleep).transpose());
        Wait::new(self.session(), look)
    }
}

/// One future at a barrier.
struct Party {
    barrier: CrossProcessBarrier,
    timeout: Option<Duration>,
    arrived: Option<Arrived>,
}

struct Arrived {
    stay: Stay,
    began: u64,
    until: u64,
}

impl Party {
    fn look<'c>(
        &mut self,
        core: &'c Arc<Core>,
        sleep: &mut Sleep<'c>,
    ) -> Result<Option<BarrierPassed>, BarrierError> {
        // The waiting thread's, in whose name all tasks arrive.
        let me = threads::owner(core)?;
        let (env, process) = (core.as_ref(), core.process());
        let table = &core.tables().barriers[self.barrier.index()];
        if self.arrived.is_none() {
            let began = core.now();
            let until = deadline(env, self.timeout);
            let entered = table.enter(me, process, env, true);
            match entered.map_err(|what| core.corrupt(what))? {
                Ok(stay) => self.arrived = Some(Arrived { stay, began, until }),
                Err(passed) => return self.barrier.told(passed, began).map(Some),
            }
        }
        let Some(Arrived { stay, began, until }) = &self.arrived else {
            return Ok(None);
        };
        let (began, until) = (*began, *until);
        let polled = table.poll(stay, me, process, env, until, |on, value| match on {
            Watched::Control(cell) => sleep.on(cell, value),
            Watched::Life(word) => sleep.on_life(word, value),
        });
        match polled.map_err(|what| core.corrupt(what))? {
            Polled::Over(passed) => {
                self.arrived = None;
                return self.barrier.told(passed, began).map(Some);
            }
            Polled::Asleep => {}
            Polled::AsleepSoon => sleep.soon(),
            Polled::Again => sleep.until(0),
        }
        sleep.until(until.min(sleep.now.saturating_add(WAIT_BOUND_MICROS)));
        Ok(None)
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        if let Some(Arrived { stay, .. }) = self.arrived.take()
            && !self.barrier.session().core().is_forked()
        {
            self.barrier.table().withdraw(stay);
        }
    }
}
