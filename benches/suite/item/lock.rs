//! Locks between processes: nobody wants it, several do, and it is handed on.

use std::hint::black_box;
use std::sync::Mutex;

use crate::Fallible;
use crate::item::lock_contended;
use crate::outcome::{Case, Item, Role, Target};
use crate::peer::lock::{Lock, Means};
use crate::plan::Plan;
use crate::timing::{Batch, batches};
use crate::troop::{Lodging, Troop};

/// Those that are compared; the first is the bare futex.
pub const COMPARED: [(Means, Role); 6] = [
    (Means::Futex, Role::Aside),
    (Means::Ebbtide, Role::Ours),
    (Means::RawSync, Role::Peer),
    (Means::Robust, Role::Peer),
    (Means::Flock, Role::Peer),
    (Means::SystemV, Role::Peer),
];

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let mut cases = Vec::new();
    for pinned in plan.pinnings() {
        cases.push(uncontended(plan, pinned)?);
        for size in plan.pick(vec![2, 16], vec![2, 4, 16], vec![2, 4, 16]) {
            cases.extend(lock_contended::throughput(plan, size, pinned)?);
        }
        cases.push(lock_contended::hand_off(plan, pinned)?);
    }
    Ok(Item {
        name: "lock",
        title: "Lock and unlock",
        about: "Uncontended: the limit is std's Mutex in one process; the bare futex lock is \
                the same between processes, and knows of no deaths. Contended: each process \
                takes and gives the lock as fast as it can, doing next to nothing inside; \
                locks per second of all; how often a process had it not once in a round; the \
                least and the greatest share of a process; and the longest that any went \
                without it, looked at every millisecond (with more processes than cores it \
                includes waiting for a core). \
                Hand-off: from before the unlock until the waiter, another process, has it.",
        cases,
        missing: Vec::new(),
    })
}

fn uncontended(plan: &Plan, pinned: bool) -> Fallible<Case> {
    crate::pin(pinned)?;
    let troop = Troop::muster(1, Lodging::default())?;
    let place = troop.place(0, 1);
    let mutex = Mutex::new(());
    let mut contenders = vec![Batch::new("std Mutex, one process", Role::Limit, || {
        drop(black_box(&mutex).lock());
    })];
    for (means, role) in COMPARED {
        let lock = Lock::open(means, &place, troop.page(), &troop.segment)?;
        contenders.push(Batch::new(means.name(), role, move || {
            black_box(&lock).with(|| ());
        }));
    }
    let case = batches(plan, "uncontended", contenders)?;
    troop.dismiss()?;
    let target = Target::of_limit(1.15).and_ahead();
    Ok(case.pinned(pinned).target(Some(target)))
}
