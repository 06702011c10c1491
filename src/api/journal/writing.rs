//! Writing the journal: what an attachment does with the notes of the algorithms, and
//! with those of the layers above them.

use crate::api::core::Core;
use crate::layout::Layout;
use crate::note::{FORCED, Kind, Note, OWN};
use crate::phase::Phase;
use crate::segment::Body;
use crate::sync::{Env, Mem, Owner};
use crate::table::journal_record::Entry;
use crate::table::member::State;

/// In the detail of a hand-over: the lock was freed by whoever cleared up after the dead,
/// or its next owner took it.
pub(super) const FREED: u8 = 0;
pub(super) const TAKEN: u8 = 1;

impl<M: Mem> Core<M>
where
    Layout<M>: Body,
{
    /// Writes a note down: clock and atomics only, so signal handlers may come here.
    pub(crate) fn write_note(&self, at: u64, note: Note) -> u64 {
        let tables = self.tables();
        let tallies = &tables.tallies;
        // A lock that was freed is counted when its next owner is told.
        let is_told = note.kind != Kind::OwnerDied || note.detail == TAKEN;
        if note.kind.is_rare() && is_told {
            tallies.count(note.kind);
        }
        if note.kind == Kind::Phase && note.detail & OWN == 0 {
            if note.detail & FORCED != 0 {
                tallies.count_forced();
            }
            let entered = Phase::from_bits(u64::from(note.detail & 0b111));
            let index = entered.and_then(|entered| (entered as usize).checked_sub(2));
            if let Some(histogram) = index.and_then(|index| tallies.phases.get(index)) {
                histogram.add(note.argument);
            }
            if entered == Some(Phase::Complete) {
                let scope = &tables.group.scope;
                let start = scope.entered(Phase::Signaling, note.epoch).unwrap_or(at);
                tallies.shutdowns.add(at.saturating_sub(start));
            }
        }
        let entry = Entry {
            at,
            pid: self.pid(),
            generation: tables.group.generation.current(),
            note,
        };
        tables.journal.write(&entry.pack())
    }

    /// Notes what happened just now.
    pub(crate) fn note_now(&self, note: Note) -> u64 {
        self.write_note(self.now(), note)
    }

    /// A named lock of a dead thread was freed (by whoever clears up after it), or passed
    /// to its next owner.
    #[cold]
    pub(crate) fn note_owner_died(&self, lock: usize, owner: Owner, is_taken: bool) {
        let detail = if is_taken { TAKEN } else { FREED };
        let process = self.tables().threads.process_of(owner);
        let note = self.of_process(Note::new(Kind::OwnerDied), process);
        self.note_now(self.of_lock(note, lock).detail(detail).thread(owner.slot));
    }

    /// The note with a lock's index and name.
    pub(crate) fn of_lock(&self, note: Note, lock: usize) -> Note {
        let name = self.tables().lock_names.name(lock).unwrap_or_default();
        note.argument(lock as u64).text(&name)
    }

    /// The note with the runner that a process is, or was.
    pub(crate) fn of_process(&self, note: Note, process: Option<usize>) -> Note {
        let group = &self.tables().group;
        let of_it = |wanted: fn(State) -> bool| {
            (0..group.used()).find_map(|slot| {
                let member = group.member(slot);
                let is_it = process.is_some() && member.process() == process;
                let fits = is_it && member.state().is_ok_and(wanted);
                fits.then(|| (slot, member.generation()))
            })
        };
        let living = of_it(|state| matches!(state, State::Joining | State::Live));
        match living.or_else(|| of_it(|state| state == State::Dead)) {
            Some((slot, generation)) => note.runner(slot, generation),
            None => note,
        }
    }
}
