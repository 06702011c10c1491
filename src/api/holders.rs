//! Who is in a process slot, for errors and reports.

use crate::error::Holder;
use crate::layout::Layout;
use crate::sync::Mem;

/// The process id of the holder of a process slot.
pub(crate) fn pid_of<M: Mem>(tables: &Layout<M>, process: usize) -> u32 {
    tables.processes.pid(process)
}

/// The processes of some slots, by the name of a runner they hold.
pub(crate) fn holders<M: Mem>(
    tables: &Layout<M>,
    slots: impl Iterator<Item = usize>,
) -> Vec<Holder> {
    let group = &tables.group;
    slots
        .map(|process| {
            let pid = pid_of(tables, process);
            let runner = (0..group.used()).find(|slot| {
                let member = group.member(*slot);
                member.is_counted() && member.process() == Some(process)
            });
            let name = match runner {
                Some(slot) => format!("runner {:?}", tables.texts[slot].id.read().0),
                None => format!("process {process}"),
            };
            Holder { name, pid }
        })
        .collect()
}
