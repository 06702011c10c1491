//! Taking away what gone processes left in the operating system.

use crate::api::core::Core;
use crate::api::resource::system::take_away;
use crate::layout::Layout;
use crate::segment::Body;
use crate::sync::Mem;
use crate::table::liveness::Verdict;
use crate::table::resources::{Claimant, Fate, Key};
use crate::table::slots::Kernel;

impl<M: Mem> Core<M>
where
    Layout<M>: Body,
{
    /// Reclaims what is marked; answers what this call took. Each is taken by exactly one
    /// process, and by another if that one dies over it.
    pub(crate) fn reclaim(&self) -> Vec<Key> {
        let tables = self.tables();
        let processes = &tables.processes;
        if self.process() >= crate::limits::MAX_PROCESSES {
            // Not attached yet.
            return Vec::new();
        }
        let holder = |process: usize| {
            let generation = processes.word(process).generation();
            Claimant::new(process, generation)
        };
        let me = holder(self.process());
        // By all signs: one that has lost its byte only may be in the middle of it.
        let is_gone = |other: Claimant| {
            let word = processes.word(other.process);
            Claimant::new(other.process, word.generation()) != other
                || self.verdict(other.process, word) == Verdict::Gone
        };
        let table = &tables.resources;
        let mut taken = Vec::new();
        for index in (0..table.used()).filter(|index| table.is_to_reclaim(*index)) {
            let Some(key) = table.claim_reclaim(index, me, is_gone) else {
                continue;
            };
            let path = tables.resource_texts[index].path.read().0;
            let fate = match table.identity(key, &path) {
                Some(identity) => take_away(identity, &path),
                // Not what was registered: hands off.
                None => Some(Fate::Refused),
            };
            let Some(fate) = fate else {
                table.postpone_reclaim(key, me);
                continue;
            };
            if table.finish_reclaim(key, me, fate) {
                taken.push(key);
            }
        }
        taken
    }
}
