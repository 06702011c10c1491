//! Events: set for nobody, and for a waiter in another process.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::eventfd::EventFd;

use crate::Fallible;
use crate::outcome::{Case, Item, Role, Target};
use crate::plan::Plan;
use crate::raw::futex;
use crate::stats::alternate;
use crate::timing::{Batch, batches};
use crate::troop::{Lodging, Task, Troop};

const WAKES: [(&str, Role, Task); 7] = [
    ("futex", Role::Limit, Task::Told),
    ("ebbtide", Role::Ours, Task::Event),
    (
        "ebbtide, through the descriptor",
        Role::Aside,
        Task::Notifier,
    ),
    ("raw_sync event", Role::Peer, Task::RawSync),
    ("pthread broadcast", Role::Peer, Task::Condition),
    ("eventfd", Role::Peer, Task::EventFd),
    ("unix socket", Role::Peer, Task::Socket),
];

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let mut cases = Vec::new();
    for pinned in plan.pinnings() {
        crate::pin(pinned)?;
        let mut troop = Troop::muster(
            1,
            Lodging {
                pinned,
                megabytes: 0,
            },
        )?;
        cases.push(alone(plan, &troop)?.pinned(pinned));
        let series = alternate(plan.rounds(1), &[1; WAKES.len()], |contender| {
            wake(&mut troop, WAKES[contender].2)
        })?;
        troop.dismiss()?;
        let names = WAKES.map(|(name, role, _)| (name, role));
        let case = Case::new("set → a sleeping process has seen it", &names, &series);
        let target = Target::of_limit(1.2);
        cases.push(case.pinned(pinned).target(Some(target)));
    }
    Ok(Item {
        name: "event",
        title: "Events",
        about: "Set without waiters: the limit is an addition to a word and a futex wake of \
                nobody, as the least event that does not know whether anybody waits would do; \
                ours also numbers the set, stamps it with the time and keeps it for subscribers. \
                With a waiter: the limit is a futex. The descriptor is fed by a thread of the \
                waiting process, so its way is one wake longer.",
        cases,
        missing: Vec::new(),
    })
}

fn alone(plan: &Plan, troop: &Troop) -> Fallible<Case> {
    let (word, eventfd) = (AtomicU32::new(0), EventFd::new()?);
    let contenders = vec![
        Batch::new("addition and futex wake", Role::Limit, || {
            black_box(&word).fetch_add(1, Ordering::AcqRel);
            futex::wake_all(&word);
        }),
        Batch::new("ebbtide", Role::Ours, || {
            troop.event.set().expect("it can be set");
        }),
        Batch::new("raw_sync event", Role::Peer, || troop.raw_event.set()),
        Batch::new("eventfd", Role::Peer, || {
            eventfd.write(1).expect("there is room");
        }),
    ];
    let case = batches(plan, "set, nobody waits", contenders)?;
    troop.event.clear()?;
    troop.raw_event.clear();
    Ok(case)
}

fn wake(troop: &mut Troop, task: Task) -> Fallible<f64> {
    troop.ready(task)?;
    troop.connect()?;
    let began = futex::now();
    match task {
        Task::Event | Task::Notifier => {
            troop.event.set()?;
        }
        Task::RawSync => troop.raw_event.set(),
        Task::Condition => troop.page().condition.0.broadcast(),
        Task::EventFd => troop.ring_eventfds()?,
        Task::Socket => troop.send()?,
        _ => troop.page().tell(),
    }
    troop.done()?;
    troop.event.clear()?;
    troop.raw_event.clear();
    Ok(troop.page().last(1).saturating_sub(began) as f64)
}
