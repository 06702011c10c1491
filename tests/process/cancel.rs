//! A shutdown can be called off until Closing is published; then it cannot.

use std::time::Duration;

use crate::support::{self, HANG, Shutdown, both};
use ebbtide::{
    CoordinationError, Initiation, Mode, Phase, Scope, ShutdownCoordinator, ShutdownOutcome,
};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn cancelled_while_signaling_everybody_runs_again() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut idle, mut running] = place.runners(&segment, ["idle", "running"]);
        let mut bystander = place.agent(&segment);
        running.tell("run");
        assert_eq!(
            bystander.ask("initiate all 3600000 fast a mistake"),
            "Drives"
        );
        bystander.tell("complete all 30000");
        bystander.until_asleep();
        place.until_blocked_by(Phase::Signaling, "idle");
        assert_eq!(idle.ask("check"), "true true");
        coordinator.cancel_shutdown(&Scope::All).unwrap();
        assert!(running.event("run").starts_with("Cancelled"));
        assert!(bystander.event("complete").starts_with("Cancelled"));
        for runner in [&mut idle, &mut running] {
            assert_eq!(runner.ask("check"), "false false");
            assert_eq!(runner.ask("mode"), "graceful false");
            assert_eq!(runner.ask("begin"), "ok");
            assert_eq!(runner.ask("end"), "ok");
        }
        let status = place.status();
        assert_eq!(status.phase, Phase::Running);
        assert_eq!(status.mode, Mode::Graceful);
        assert_eq!(
            (status.reason, status.elapsed, status.remaining),
            (None, None, None)
        );
        assert!(status.laggards.is_empty());
        // Nobody has left.
        assert_eq!(
            status.runners.iter().filter(|runner| runner.alive).count(),
            2
        );
    });
}

#[test]
fn cancelled_while_draining_the_drained_take_work_again() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut busy, mut drained, mut by_hand] =
            place.runners(&segment, ["busy", "drained", "by-hand"]);
        assert_eq!(busy.ask("begin"), "ok");
        busy.tell("run");
        drained.tell("run");
        coordinator.begin(FOREVER);
        assert_eq!(by_hand.ask("acknowledge signaling"), "InTime");
        place.until_phase(Phase::Draining);
        assert_eq!(by_hand.ask("acknowledge draining"), "InTime");
        place.until_blocked_by(Phase::Draining, "busy");
        for runner in [&mut busy, &mut drained, &mut by_hand] {
            assert!(runner.ask("begin").starts_with("err Draining"));
        }
        coordinator.cancel_shutdown(&Scope::All).unwrap();
        assert!(busy.event("run").starts_with("Cancelled"));
        assert!(drained.event("run").starts_with("Cancelled"));
        for runner in [&mut busy, &mut drained, &mut by_hand] {
            assert_eq!(runner.ask("begin"), "ok");
        }
        assert_eq!(busy.ask("end"), "ok");

        // Acknowledgements of the cancelled one do not count for the next.
        coordinator.begin(FOREVER);
        assert!(
            by_hand
                .ask("acknowledge draining")
                .starts_with("err OutOfOrder")
        );
        for runner in [&mut busy, &mut drained, &mut by_hand] {
            runner.tell("run");
        }
        let observer = place.observe();
        support::until_true("all three hold Draining up", || {
            let status = observer.status().unwrap();
            status.phase == Phase::Draining
                && status.laggards.iter().all(|l| l.in_flight == 1)
                && status.laggards.len() == 3
        });
        for runner in [&mut busy, &mut drained, &mut by_hand] {
            assert_eq!(runner.ask("end"), "ok");
        }
        let expected = "Completed busy=Completed by-hand=Completed drained=Completed";
        for runner in [&mut busy, &mut drained, &mut by_hand] {
            assert_eq!(runner.event("run"), expected);
        }
        let report = coordinator.complete();
        assert_eq!(support::summary(&report), expected);
        assert_eq!(report.generation, 1);
    });
}

#[test]
fn it_is_too_late_from_closing_on() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        assert_is!(
            coordinator.cancel_shutdown(&Scope::All),
            Err(CoordinationError::NotShuttingDown)
        );
        coordinator.begin(FOREVER);
        assert_eq!(runner.ask("acknowledge signaling"), "InTime");
        assert_eq!(runner.ask("acknowledge draining"), "InTime");
        assert_eq!(place.status().phase, Phase::Closing);
        for _ in 0..2 {
            let refused = coordinator.cancel_shutdown(&Scope::All);
            assert_is!(
                refused,
                Err(CoordinationError::TooLate {
                    phase: Phase::Closing
                })
            );
            assert!(runner.ask("cancel all").starts_with("err TooLate"));
        }
        assert_eq!(runner.ask("acknowledge closing"), "InTime");
        let refused = coordinator.cancel_shutdown(&Scope::All);
        assert_is!(
            refused,
            Err(CoordinationError::TooLate {
                phase: Phase::Complete
            })
        );
        assert_eq!(coordinator.complete().outcome, ShutdownOutcome::Completed);
    });
}

#[test]
fn cancelling_twice_is_told_and_does_no_harm() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        for _ in 0..50 {
            assert_eq!(coordinator.begin(FOREVER), Initiation::Drives);
            coordinator.cancel_shutdown(&Scope::All).unwrap();
            assert_is!(
                coordinator.cancel_shutdown(&Scope::All),
                Err(CoordinationError::NotShuttingDown)
            );
            assert_eq!(runner.ask("check"), "false false");
        }
        coordinator.begin(FOREVER);
        runner.tell("run");
        assert_eq!(runner.event("run"), "Completed a=Completed");
    });
}

/// Runners drive while the shutdown is begun and cancelled again and again. Each begin
/// ends as cancelled for everybody or as completed for everybody.
#[test]
fn cancelling_against_the_commit_is_one_answer_for_all() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let (mut cancelled, mut late) = (0, 0);
        for _ in 0..15 {
            let mut runners = place.runners(&segment, ["a", "b"]);
            coordinator.begin(HANG);
            for runner in &mut runners {
                runner.tell("run-on");
            }
            match coordinator.cancel_shutdown(&Scope::All) {
                Ok(()) => {
                    cancelled += 1;
                    coordinator.begin(HANG);
                }
                Err(CoordinationError::TooLate { .. }) => late += 1,
                Err(error) => panic!("{error}"),
            }
            for runner in &mut runners {
                // One that saw the cancelled one was sent back, and goes on.
                let told = runner.event("run-on");
                assert_eq!(told, "Completed a=Completed b=Completed");
            }
            coordinator.complete();
            for runner in runners {
                runner.quit();
            }
            coordinator.begin_generation().unwrap();
        }
        println!("{cancelled} cancelled, {late} too late");
    });
}
