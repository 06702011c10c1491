//! What a waiter for a lock does before each sleep, and what it sleeps on.

use super::life;
use super::mem::{ALL, Mem};

/// Somebody else's reason to stop waiting; it knows which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CalledOff;

/// What is done before each sleep of a waiter. `()` does nothing.
pub(crate) trait Watch<M: Mem> {
    /// Called when WAITERS is set, so that leaving loses no wake-up. Answers one more
    /// word to sleep on, with the value expected there.
    fn before_sleep(&self) -> Result<Option<(M::Cell<'_>, u32)>, CalledOff>;
}

impl<M: Mem> Watch<M> for () {
    fn before_sleep(&self) -> Result<Option<(M::Cell<'_>, u32)>, CalledOff> {
        Ok(None)
    }
}

/// Sleeps until the lock word, the owner's life word or the further word moves.
pub(super) fn sleep_beside<'a, M: Mem>(
    lock: (M::Cell<'a>, u32),
    (life, armed): (&'a M::U32, u32),
    further: Option<(M::Cell<'a>, u32)>,
    until: u64,
) {
    let life_cell = (M::cell(life), armed);
    match further {
        Some(further) => M::wait_any(&[lock, life_cell, further], until),
        None => M::wait_any(&[lock, life_cell], until),
    };
    if life::is_marked::<M>(life) {
        // The kernel wakes one sleeper of a dead thread; that one wakes the rest.
        M::wake(M::cell(life), ALL);
    }
}
