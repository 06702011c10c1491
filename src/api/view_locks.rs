//! Which locks a process holds and waits for, as seen from outside.

use core::sync::atomic::Ordering;

use crate::api::view::View;

impl<E> View<'_, E> {
    /// Names of the locks that threads of a process hold, and one that is waited for.
    pub(super) fn locks_of(&self, process: Option<usize>) -> (Vec<String>, Option<String>) {
        let Some(process) = process else {
            return (Vec::new(), None);
        };
        let tables = self.tables;
        let held = tables.lock_names.all().filter(|(index, _)| {
            let owner = tables.locks[*index].owner();
            owner.is_some_and(|owner| {
                let word = tables.threads.word(usize::from(owner.slot));
                word.process() == Some(process) && word.generation() == owner.generation
            })
        });
        let held = held.map(|(_, name)| name).collect();
        let wanted = tables.threads.of_process(process).find_map(|slot| {
            let wants = tables.threads.get(slot)?.wants.load(Ordering::Acquire);
            tables
                .lock_names
                .name(usize::try_from(wants).ok()?.checked_sub(1)?)
        });
        (held, wanted)
    }
}
