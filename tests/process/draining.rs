//! New work is refused from Draining on, and what was begun is finished before the
//! phase is acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{self, Shutdown, both};
use ebbtide::{
    CoordinationError, Mode, Phase, Runner, Scope, ShutdownCoordinator, ShutdownRequest,
};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn work_is_refused_from_draining_on_and_taken_while_signaling() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        coordinator.begin(FOREVER);
        // Told, but the phase lets work in.
        assert_eq!(a.ask("begin"), "ok");
        assert_eq!(a.ask("end"), "ok");
        for (phase, next) in [
            ("signaling", "draining"),
            ("draining", "closing"),
            ("closing", "complete"),
        ] {
            assert_eq!(a.ask(&format!("acknowledge {phase}")), "InTime");
            assert_eq!(b.ask(&format!("acknowledge {phase}")), "InTime");
            assert_eq!(place.status().phase.name(), next);
            for runner in [&mut a, &mut b] {
                let told = runner.ask("begin");
                assert!(told.starts_with("err Draining"), "{told}");
            }
            assert!(
                place
                    .status()
                    .runners
                    .iter()
                    .all(|runner| runner.in_flight == 0)
            );
        }
    });
}

#[test]
fn in_flight_work_is_finished_before_draining_is_acknowledged() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut busy, mut idle] = place.runners(&segment, ["busy", "idle"]);
        assert_eq!(busy.ask("begin"), "ok");
        assert_eq!(busy.ask("begin"), "ok");
        busy.tell("run");
        idle.tell("run");
        coordinator.begin(FOREVER);
        for left in [2, 1] {
            let status = support::until("so many are in flight", || {
                let status = place.until_blocked_by(Phase::Draining, "busy");
                (status.laggards[0].in_flight == left).then_some(status)
            });
            assert_eq!(status.phase, Phase::Draining);
            assert!(!busy.has("run") && !idle.has("run"));
            assert_eq!(busy.ask("end"), "ok");
        }
        assert_eq!(busy.event("run"), "Completed busy=Completed idle=Completed");
        assert_eq!(idle.event("run"), "Completed busy=Completed idle=Completed");
    });
}

#[test]
fn draining_cannot_be_acknowledged_by_hand_while_work_is_in_flight() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runner = place.runner(&segment, "a");
        assert_eq!(runner.ask("begin"), "ok");
        // Nothing is published yet.
        for phase in Phase::ACKNOWLEDGED {
            assert!(
                runner
                    .ask(&format!("acknowledge {phase}"))
                    .starts_with("err OutOfOrder")
            );
        }
        ShutdownCoordinator::new(&segment).begin(FOREVER);
        assert!(
            runner
                .ask("acknowledge draining")
                .starts_with("err OutOfOrder")
        );
        assert!(
            runner
                .ask("acknowledge closing")
                .starts_with("err OutOfOrder")
        );
        assert_eq!(runner.ask("acknowledge signaling"), "InTime");
        let told = runner.ask("acknowledge draining");
        assert!(told.contains("work is in flight"), "{told}");
        assert!(
            runner
                .ask("acknowledge closing")
                .starts_with("err OutOfOrder")
        );
        assert_eq!(place.status().phase, Phase::Draining);
        assert_eq!(runner.ask("end"), "ok");
        support::until_true("the item is counted out", || {
            runner.ask("acknowledge draining") == "InTime"
        });
        // Again is no error and changes nothing.
        assert_eq!(runner.ask("acknowledge signaling"), "InTime");
        assert_eq!(runner.ask("acknowledge closing"), "InTime");
        assert_eq!(place.status().phase, Phase::Complete);
    });
}

/// Many threads of two processes begin and finish items until they are refused. When
/// Closing begins every item that was begun is finished.
#[test]
fn no_item_among_many_threads_is_lost() {
    both(here!(), |place| {
        for _ in 0..10 {
            let segment = place.create();
            let coordinator = ShutdownCoordinator::new(&segment);
            let mut peer = place.runner(&segment, "peer");
            assert_eq!(peer.ask("handler closing 0 closing note"), "ok");
            assert_eq!(peer.ask("work 2"), "ok");
            peer.tell("run");

            let runner = Arc::new(Runner::join(&segment, "ours").unwrap());
            let (begun, finished) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            let seen = Arc::new(Mutex::new(None));
            {
                let (begun, finished, seen) =
                    (Arc::clone(&begun), Arc::clone(&finished), Arc::clone(&seen));
                let look = move |_: &ebbtide::HandlerContext| {
                    let finished = finished.load(Ordering::SeqCst);
                    *seen.lock().unwrap() = Some((begun.load(Ordering::SeqCst), finished));
                };
                runner
                    .register_shutdown_handler(Phase::Closing, 0, "look", look)
                    .unwrap();
            }
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while let Ok(item) = runner.begin() {
                            begun.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            finished.fetch_add(1, Ordering::SeqCst);
                            drop(item);
                        }
                    });
                }
                support::until_true("work is being done", || {
                    finished.load(Ordering::SeqCst) > 100
                });
                coordinator.begin(FOREVER);
                let report = runner.run_shutdown().unwrap();
                assert_eq!(support::summary(&report), "Completed ours=Completed");
            });
            let (begun, finished) = seen.lock().unwrap().expect("the handler ran");
            assert_eq!(begun, finished, "items were in flight when Closing began");
            peer.event("run");
            let worked = peer.ask("worked");
            let (begun, finished) = worked.split_once(' ').unwrap();
            assert_eq!(begun, finished);
            drop((peer, coordinator, runner, segment));
            place.options.remove(support::Place::NAME, false).unwrap();
        }
    });
}

#[test]
fn an_immediate_shutdown_does_not_wait_for_work() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        assert_eq!(runner.ask("begin"), "ok");
        assert_eq!(runner.ask("mode"), "graceful false");
        runner.tell("run");
        coordinator.begin(FOREVER);
        place.until_blocked_by(Phase::Draining, "a");
        assert_eq!(
            coordinator.escalate(&Scope::All, Mode::Fast).unwrap(),
            Mode::Graceful
        );
        assert_eq!(runner.ask("mode"), "fast true");
        // Fast asks the work to stop, and still waits for it.
        place.until_blocked_by(Phase::Draining, "a");
        assert_eq!(
            coordinator.escalate(&Scope::All, Mode::Immediate).unwrap(),
            Mode::Fast
        );
        assert_eq!(
            runner.event("run"),
            "CompletedWithFailures a=CompletedWithFailures"
        );
    });
}

#[test]
fn a_runner_in_this_process_is_refused_by_type() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        let item = runner.begin().unwrap();
        assert_eq!(runner.in_flight(), 1);
        let request = ShutdownRequest::new().timeout(FOREVER);
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        runner.acknowledge(Phase::Signaling).unwrap();
        let refused = runner.begin().unwrap_err();
        assert_is!(
            refused,
            CoordinationError::Draining {
                phase: Phase::Draining,
                ..
            }
        );
        assert_eq!(runner.in_flight(), 1);
        drop(item);
        assert_eq!(runner.in_flight(), 0);
        drop(runner);
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Completed a=Completed"
        );
    });
}

/// Draining is forced while a thread is still at it; the runner leaves, the group is
/// restarted, and only then the thread is done with its item.
#[test]
fn an_item_that_outlives_its_runner_does_not_count_for_the_next_one() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let old = Runner::join(&segment, "a").unwrap();
        let item = old.begin().unwrap();
        coordinator.begin(Duration::from_millis(50));
        let report = old.run_shutdown().unwrap();
        assert_eq!(
            support::summary(&report),
            "CompletedWithFailures a=CompletedWithFailures"
        );
        coordinator.begin_generation().unwrap();
        // Slots of the ended generation are used first.
        let mut new = place.runner(&segment, "a");
        assert_eq!(new.ask("begin"), "ok");
        drop(item);
        assert_eq!(place.status().runners[0].in_flight, 1);
        new.tell("run");
        coordinator.begin(FOREVER);
        place.until_blocked_by(Phase::Draining, "a");
        assert_eq!(new.ask("end"), "ok");
        assert_eq!(new.event("run"), "Completed a=Completed");
    });
}
