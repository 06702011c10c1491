//! How a thread waits for a named lock, and what its waiting is called.

use std::cell::{Cell, RefCell};

use crate::api::core::{Core, Tables};
use crate::api::holders::pid_of;
use crate::error::{LockThread, WaitEdge};
use crate::limits::MAX_THREADS;
use crate::sync::{Owner, Real};
use crate::table::waits::{Edge, Waiter};

/// How the calling thread waits for the lock of this index.
pub(super) fn waiter(core: &Core, index: usize, me: Owner) -> Waiting<'_> {
    let tables = core.tables();
    Waiter {
        waits: &tables.waits,
        locks: &tables.locks,
        env: core,
        me,
        lock: index,
        is_published: Cell::new(false),
        deadlock: RefCell::default(),
    }
}

/// A thread of this process that waits for a lock.
pub(super) type Waiting<'a> = Waiter<'a, Real, Core, MAX_THREADS>;

/// Edges by the names of their locks, processes and runners.
pub(super) fn told(tables: &Tables, edges: &[Edge]) -> Vec<WaitEdge> {
    let told = |edge: &Edge| WaitEdge {
        waiter: thread_of(tables, edge.waiter),
        lock: lock_name(tables, edge.lock),
        holder: thread_of(tables, edge.holder),
    };
    edges.iter().map(told).collect()
}

pub(super) fn lock_name(tables: &Tables, index: usize) -> String {
    let name = tables.lock_names.name(index);
    name.unwrap_or_else(|| format!("lock {index}"))
}

/// Who a thread is. One that has gone meanwhile has no process any more.
pub(super) fn thread_of(tables: &Tables, thread: Owner) -> LockThread {
    let slot = usize::from(thread.slot);
    let process = tables.threads.process_of(thread);
    LockThread {
        runner: process.and_then(|process| runner_of(tables, process)),
        pid: process.map_or(0, |process| pid_of(tables, process)),
        slot,
    }
}

/// The id of the runner that a process is registered as.
pub(super) fn runner_of(tables: &Tables, process: usize) -> Option<String> {
    let group = &tables.group;
    let runner = (0..group.used()).find(|slot| {
        let member = group.member(*slot);
        member.is_counted() && member.process() == Some(process)
    })?;
    Some(tables.texts.get(runner)?.id.read().0)
}
