//! What the life word of a thread slot says.

use core::sync::atomic::Ordering;

use crate::sync::{Mem, Word, life};

/// What a life word says.
pub(crate) enum LifeSign<'a, M: Mem> {
    /// Held by a living thread.
    Beats(&'a M::U32),
    /// The kernel marked it: dead.
    Marked,
    /// Not in use: ask the byte lock.
    Silent,
}

impl<'a, M: Mem> LifeSign<'a, M> {
    /// What a life word says.
    pub(crate) fn of(life: &'a M::U32) -> Self {
        let value = life.load(Ordering::Acquire);
        if value & life::OWNER_DIED != 0 {
            LifeSign::Marked
        } else if value & life::TID != 0 {
            LifeSign::Beats(life)
        } else {
            LifeSign::Silent
        }
    }
}
