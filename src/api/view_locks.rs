//! Which locks a process holds and waits for, as seen from outside, and who lives without
//! its own lock on the segment.

use crate::api::holders::holders;
use crate::api::view::View;
use crate::error::Holder;
use crate::sync::{Env, Pulse, Real};

impl<E> View<'_, E> {
    /// Names of the locks that threads of a process hold, and one that is waited for.
    pub(super) fn locks_of(&self, process: Option<usize>) -> (Vec<String>, Option<String>) {
        let tables = self.tables;
        let Some(process) = process.filter(|_| tables.lock_names.is_used()) else {
            return (Vec::new(), None);
        };
        let held = (0..tables.locks.len()).filter(|index| {
            let owner = tables.locks[*index].owner();
            owner.and_then(|owner| tables.threads.process_of(owner)) == Some(process)
        });
        let held = held
            .filter_map(|index| tables.lock_names.name(index))
            .collect();
        let wanted = tables.threads.of_process(process).find_map(|slot| {
            let thread = tables.threads.word(slot).owner(u16::try_from(slot).ok()?);
            tables.lock_names.name(tables.waits.of(thread)?.0)
        });
        (held, wanted)
    }
}

impl<E: Env<Real>> View<'_, E> {
    /// The processes that have published that they live without their life byte.
    pub(super) fn lockless(&self) -> Vec<Holder> {
        let processes = &self.tables.processes;
        let said = processes.occupied().filter(|p| processes.is_lockless(*p));
        let lives = |p: &usize| matches!(self.env.process_pulse(*p), Pulse::Alive(_));
        holders(self.tables, said.filter(lives))
    }
}
