//! A world for tests in which nobody sleeps: an instant, and one thread that may be known to
//! be dead.

use core::cell::Cell;
use core::sync::atomic::AtomicU32;

use crate::sync::{Env, Owner, Pulse, Real};

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) now: Cell<u64>,
    pub(crate) dead: Cell<Option<Owner>>,
    /// The life word of slot 1; the others have none.
    pub(crate) life: Option<AtomicU32>,
}

/// The thread that holds a slot.
pub(crate) fn owner(slot: u16) -> Owner {
    Owner {
        slot,
        generation: 7,
    }
}

impl Known {
    fn pulse(&self, slot: usize, is_dead: bool) -> Pulse<'_, Real> {
        match is_dead {
            true => Pulse::Dead,
            false => Pulse::Alive(self.life.as_ref().filter(|_| slot == 1)),
        }
    }
}

impl Env<Real> for Known {
    fn now(&self) -> u64 {
        self.now.get()
    }
    fn process_pulse(&self, process: usize) -> Pulse<'_, Real> {
        let dead = self.dead.get().map(|owner| usize::from(owner.slot));
        self.pulse(process, dead == Some(process))
    }
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Real> {
        self.pulse(usize::from(owner.slot), self.dead.get() == Some(owner))
    }
}
