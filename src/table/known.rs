//! A world for tests in which nobody sleeps: an instant, one thread that may be known to be
//! dead, and a journal.

use core::cell::{Cell, RefCell};
use core::sync::atomic::AtomicU32;

use crate::note::Note;
use crate::sync::{Env, Owner, Pulse, Real};
use crate::width;

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) now: Cell<u64>,
    pub(crate) dead: Cell<Option<Owner>>,
    /// The life word of slot 1; the others have none.
    pub(crate) life: Option<AtomicU32>,
    /// What was noted, and when.
    pub(crate) notes: RefCell<Vec<(u64, Note)>>,
}

/// The thread that holds a slot.
pub(crate) fn owner(slot: u16) -> Owner {
    Owner {
        slot,
        generation: 7 & width::mask(width::THREAD),
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
    fn note(&self, at: u64, note: impl FnOnce() -> Note) -> u64 {
        let mut notes = self.notes.borrow_mut();
        notes.push((at, note()));
        notes.len() as u64
    }
}
