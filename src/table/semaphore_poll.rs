//! The semaphore for one that sleeps elsewhere, by the rules of `semaphore.rs`. A waiter
//! that gives up leaves at most WAITERS, and every wake-up wakes all, so it takes none along.

use core::sync::atomic::Ordering;

use crate::sync::{Env, Mem, Owner, Pulse, Word, life};

use super::Corrupt;
use super::semaphore::{Semaphore, WAITERS};

/// What one look at a semaphore came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    Taken(usize),
    /// Sleep on all that was named to `watch`.
    Asleep,
    /// The same, but one holder has nothing that tells of its death: look again soon.
    AsleepSoon,
    /// It changed during the look.
    Again,
}

/// What a look names to sleep on.
pub(crate) enum Watched<'e, M: Mem> {
    Signal(M::Cell<'e>),
    Life(&'e M::U32),
}

impl<M: Mem, const N: usize> Semaphore<M, N> {
    /// Takes a permit, or names what to sleep on. Never blocks.
    pub(crate) fn poll<'e>(
        &'e self,
        me: Owner,
        env: &'e impl Env<M>,
        mut watch: impl FnMut(Watched<'e, M>, u32),
    ) -> Result<Polled, Corrupt> {
        let asleep_on = self.signal.fetch_or(WAITERS, Ordering::AcqRel) | WAITERS;
        // SYNC POINT semaphore-signal: pairs with `tell`.
        M::fence(Ordering::SeqCst);
        if let Some(index) = self.try_acquire(me, env)? {
            return Ok(Polled::Taken(index));
        }
        watch(Watched::Signal(M::cell(&self.signal)), asleep_on);
        let mut polled = Polled::Asleep;
        let mut last = None;
        for owner in self.slots().iter().map(|slot| slot.owner()) {
            if owner.is_some() && owner == last {
                continue;
            }
            last = owner;
            match owner.map(|owner| env.thread_pulse(owner)) {
                Some(Pulse::Alive(Some(word))) => match life::arm::<M>(word) {
                    Some(value) => watch(Watched::Life(word), value),
                    None => return Ok(Polled::Again),
                },
                Some(Pulse::Alive(None)) => polled = Polled::AsleepSoon,
                Some(Pulse::Dead) | None => return Ok(Polled::Again),
            }
        }
        Ok(polled)
    }
}
