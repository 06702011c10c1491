//! Tasks at a barrier: parties of their own, told of every death, gone when dropped.

use std::pin::pin;
use std::time::Duration;

use crate::support::{
    self, Agent, Child, HANG, Place, both, both_with, on_each_runtime, poll_once, reply,
};
use ebbtide::{BarrierError, BrokenBy, CrossProcessBarrier, Segment};

const FOR_EVER: &str = "3600000";

fn open(segment: &Segment, parties: usize) -> CrossProcessBarrier {
    CrossProcessBarrier::open(segment, "gate", parties).unwrap()
}

fn arrive(agent: &mut Agent, parties: usize) {
    agent.tell(&format!("arrive gate {parties} {FOR_EVER}"));
}

fn until_waiting(gate: &CrossProcessBarrier, count: usize) {
    support::until_true("so many wait", || gate.waiting() == count);
}

fn is_whole(gate: &CrossProcessBarrier) -> bool {
    (gate.waiting(), gate.broken().unwrap()) == (0, None)
}

#[test]
fn tasks_threads_and_processes_pass_together() {
    both(here!(), |place| {
        let segment = place.create();
        let gate = open(&segment, 4);
        on_each_runtime(|| async {
            let mut agent = place.agent(&segment);
            for _ in 0..20 {
                arrive(&mut agent, 4);
                let here = gate.clone();
                let thread = std::thread::spawn(move || here.wait().unwrap().is_leader());
                let tasks = smol::future::zip(gate.awaited(), gate.awaited());
                let (first, second) = tasks.await;
                let leaders = [
                    first.unwrap().is_leader(),
                    second.unwrap().is_leader(),
                    thread.join().unwrap(),
                    agent.event("arrive") == "leads=true",
                ];
                assert_eq!(leaders.into_iter().filter(|leads| *leads).count(), 1);
            }
        });
        assert!(is_whole(&gate));
    });
}

#[test]
fn a_dropped_future_takes_its_arrival_back() {
    both(here!(), |place| {
        let segment = place.create();
        let gate = open(&segment, 3);
        // Before it came.
        drop(gate.awaited());
        assert!(is_whole(&gate));
        for _ in 0..3 {
            // While it waits, with a sibling that stays.
            let mut stays = Box::pin(gate.awaited());
            let mut goes = Box::pin(gate.awaited());
            assert!(poll_once(stays.as_mut()).is_none());
            assert!(poll_once(goes.as_mut()).is_none());
            until_waiting(&gate, 2);
            drop(goes);
            assert_eq!(gate.waiting(), 1);
            let mut agent = place.agent(&segment);
            arrive(&mut agent, 3);
            until_waiting(&gate, 2);
            // After it has passed.
            assert!(gate.wait_timeout(HANG).unwrap().is_leader());
            assert_eq!(agent.event("arrive"), "leads=false");
            drop(stays);
            assert!(is_whole(&gate));
        }
    });
}

/// Whenever a future is dropped, it has passed with the other party, or was never there.
#[test]
fn a_drop_that_races_with_the_last_arrival_harms_nobody() {
    both(here!(), |place| {
        let segment = place.create();
        let gate = open(&segment, 2);
        for round in 0..50 {
            let mut future = Box::pin(gate.awaited());
            assert!(poll_once(future.as_mut()).is_none());
            if round % 2 == 0 {
                until_waiting(&gate, 1);
            }
            let other = gate.clone();
            let waits = std::thread::spawn(move || other.wait().map(drop));
            let dropper = std::thread::spawn(move || drop(future));
            dropper.join().unwrap();
            // Alone now, or gone with the future.
            support::until_true("it waits or has passed", || {
                waits.is_finished() || gate.waiting() == 1
            });
            if !waits.is_finished() && gate.waiting() == 1 {
                gate.wait_timeout(HANG).unwrap();
            }
            waits.join().unwrap().unwrap();
            assert!(is_whole(&gate));
        }
    });
}

/// A process with two tasks at the barrier, which is told to end.
fn awaits(child: &Child) {
    let segment = child.open();
    let gate = open(&segment, 5);
    let mut tasks: Vec<_> = (0..2).map(|_| Box::pin(gate.awaited())).collect();
    for task in &mut tasks {
        assert!(poll_once(task.as_mut()).is_none());
    }
    until_waiting(&gate, 2);
    reply("waits");
    child.order();
    // In order: nothing of them is left.
    drop(tasks);
    assert!(is_whole(&gate));
    reply("gone");
    child.order();
}

#[test]
fn the_death_of_a_process_with_tasks_breaks_it() {
    both_with(here!(), &[("awaits", awaits)], |place| {
        let segment = place.create();
        let gate = open(&segment, 5);
        let mut child = Agent::spawn(place, "awaits", Some(&segment));
        assert_eq!(child.reply("wait"), "waits");
        assert_eq!(child.ask("go"), "gone");
        child.quit();

        let mut child = Agent::spawn(place, "awaits", Some(&segment));
        assert_eq!(child.reply("wait"), "waits");
        let mut agent = place.agent(&segment);
        arrive(&mut agent, 5);
        until_waiting(&gate, 3);
        let mut task = pin!(gate.awaited());
        assert!(poll_once(task.as_mut()).is_none());
        until_waiting(&gate, 4);
        child.kill();
        assert!(agent.event("arrive").contains("the death of"));
        assert_is!(
            smol::block_on(task).unwrap_err(),
            BarrierError::BrokenBarrier {
                by: BrokenBy::Death { .. },
                ..
            }
        );
        gate.reset().unwrap();
        assert!(is_whole(&gate));
    });
}

#[test]
fn a_task_is_told_of_a_death_a_reset_and_an_abort() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let gate = open(&segment, 3);
            let by = |result: Result<_, BarrierError>| match result {
                Err(BarrierError::BrokenBarrier { by, .. }) => by,
                other => panic!("{other:?}"),
            };
            let mut runner = place.runner(&segment, "doomed");
            let mut task = Box::pin(gate.awaited());
            assert!(poll_once(task.as_mut()).is_none());
            arrive(&mut runner, 3);
            until_waiting(&gate, 2);
            runner.kill();
            assert_is!(by(task.await), BrokenBy::Death { ref who } if who.contains("doomed"));
            // Who comes later is told, too.
            assert_is!(by(gate.awaited().await), BrokenBy::Death { .. });
            gate.reset().unwrap();

            for end in [CrossProcessBarrier::abort, CrossProcessBarrier::reset] {
                let mut task = Box::pin(gate.awaited());
                assert!(poll_once(task.as_mut()).is_none());
                until_waiting(&gate, 1);
                end(&gate).unwrap();
                assert_is!(
                    by(task.await),
                    BrokenBy::Abort { .. } | BrokenBy::Reset { .. }
                );
                gate.reset().unwrap();
            }
            assert!(is_whole(&gate));
        });
    });
}

#[test]
fn the_timeout_of_a_task_breaks_it_for_all() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let gate = open(&segment, 3);
            let mut agent = place.agent(&segment);
            arrive(&mut agent, 3);
            until_waiting(&gate, 1);
            let timeout = Duration::from_millis(20);
            let error = gate.awaited_timeout(timeout).await.unwrap_err();
            assert_is!(error, BarrierError::TimedOut { arrived: 2, parties: 3, waited, .. }
                if waited >= timeout);
            assert!(agent.event("arrive").contains("broken by the timeout of"));
            gate.reset().unwrap();
            // One that is met in time breaks nothing.
            let parties = smol::future::zip(gate.awaited_timeout(HANG), gate.awaited());
            arrive(&mut agent, 3);
            let (first, second) = parties.await;
            assert!(first.is_ok() && second.is_ok());
            agent.event("arrive");
            assert!(is_whole(&gate));
        });
    });
}
