//! Initiate → the last of N blocked processes has seen it.

use std::fs;
use std::time::Duration;

use ebbtide::{Scope, ShutdownRequest};

use crate::Fallible;
use crate::outcome::{Case, Item, Role, Target};
use crate::peer::external::External;
use crate::plan::Plan;
use crate::raw::futex;
use crate::stats::alternate;
use crate::troop::{Lodging, Place, Task, Troop};

/// So long that no phase is ever forced.
const BUDGET: Duration = Duration::from_secs(600);

/// By residents of ours, and by programs of their own.
enum Contender {
    Task(Task),
    External(External),
}

/// Name, role, task, and for those that sleep: how many milliseconds a round takes.
const OWN: [(&str, Role, Task, usize); 11] = [
    ("futex wake-all", Role::Limit, Task::Told, 0),
    ("futex_waitv wake-all", Role::Aside, Task::ToldOfTwo, 0),
    ("ebbtide", Role::Ours, Task::Observe, 0),
    ("raw_sync event", Role::Peer, Task::RawSync, 0),
    ("pthread broadcast", Role::Peer, Task::Condition, 0),
    ("eventfd each", Role::Peer, Task::EventFd, 0),
    ("unix socket each", Role::Peer, Task::Socket, 0),
    ("signal each", Role::Peer, Task::Signal, 0),
    ("file polled, 1 ms", Role::Peer, Task::Poll(1), 3),
    ("file polled, 10 ms", Role::Peer, Task::Poll(10), 20),
    ("file polled, 100 ms", Role::Peer, Task::Poll(100), 200),
];

/// The most processes that Python is started with: each is a fork of an interpreter.
const MOST_OF_PYTHON: usize = 128;

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let mut cases = Vec::new();
    let mut missing = Vec::new();
    for size in plan.sizes() {
        for pinned in plan.pinnings() {
            cases.push(case(plan, size, pinned, &mut missing)?);
        }
    }
    missing.sort();
    missing.dedup();
    Ok(Item {
        name: "broadcast",
        title: "Broadcast: initiate → the last of N blocked processes has seen it",
        about: "The limit: all sleep on one futex word, and one system call wakes them. \
                futex_waitv: the same, but each sleeps on two words with a time limit, as it \
                must to learn of deaths, too. Ours: `initiate_shutdown` against \
                `wait_for_shutdown`.",
        cases,
        missing,
    })
}

fn case(plan: &Plan, size: usize, pinned: bool, missing: &mut Vec<String>) -> Fallible<Case> {
    crate::pin(pinned)?;
    let mut troop = Troop::muster(
        size,
        Lodging {
            pinned,
            megabytes: 0,
        },
    )?;
    let rounds = plan.rounds(size);
    let mut names = Vec::new();
    let mut strides = Vec::new();
    let mut contenders = Vec::new();
    for (name, role, task, millis) in OWN {
        names.push((name, role));
        strides.push(match millis {
            0 => 1,
            _ => plan.stride(rounds.counted, millis),
        });
        contenders.push(Contender::Task(task));
    }
    if !pinned {
        // What they start is not ours to tie to cores.
        let mut add = |name, peer: Fallible<External>| match peer {
            Ok(peer) => {
                names.push((name, Role::Peer));
                strides.push(rounds.counted.div_ceil(plan.pick(1, 10, 40)));
                contenders.push(Contender::External(peer));
            }
            Err(why) => missing.push(format!("{name}: {why}")),
        };
        if size <= MOST_OF_PYTHON {
            add("Python mp.Event", External::python(size));
        }
        add("iceoryx2 event", External::iceoryx2(size));
    }
    let series = alternate(rounds, &strides, |contender| {
        match &mut contenders[contender] {
            Contender::Task(task) => round(&mut troop, *task),
            Contender::External(peer) => peer.round(),
        }
    })?;
    troop.dismiss()?;
    let case = Case::new(format!("N = {size}"), &names, &series);
    let target = Target::of_limit(1.15).and_ahead();
    Ok(case.size(size).pinned(pinned).target(Some(target)))
}

fn round(troop: &mut Troop, task: Task) -> Fallible<f64> {
    let request = ShutdownRequest::new().timeout(BUDGET);
    let signal = Place::signal_path(troop.scratch());
    troop.ready(task)?;
    troop.connect()?;
    let began = futex::now();
    match task {
        Task::Observe => {
            troop.coordinator.initiate_shutdown(&Scope::All, &request)?;
        }
        Task::RawSync => troop.raw_event.set(),
        Task::Condition => troop.page().condition.0.broadcast(),
        Task::EventFd => troop.ring_eventfds()?,
        Task::Socket => troop.send()?,
        Task::Signal => troop.signal()?,
        Task::Poll(_) => fs::write(&signal, "shutdown\n")?,
        _ => troop.page().tell(),
    }
    troop.done()?;
    match task {
        Task::Observe => {
            troop.coordinator.cancel_shutdown(&Scope::All)?;
        }
        Task::RawSync => troop.raw_event.clear(),
        Task::Poll(_) => fs::remove_file(&signal)?,
        _ => {}
    }
    let last = troop.page().last(troop.size());
    Ok(last.saturating_sub(began) as f64)
}
