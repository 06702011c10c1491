//! The coordinator is the segment: no process is needed for a shutdown to go on.

use crate::support::{self, HANG, Shutdown, both, outcome};
use ebbtide::{Phase, ShutdownCoordinator, ShutdownOutcome};

#[test]
fn initiator_killed_right_after_initiating_is_not_needed() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runners = place.runners(&segment, ["a", "b", "c"]);
        for runner in &mut runners {
            runner.tell("run");
        }
        let mut initiator = place.agent(&segment);
        // From here on nobody but the runners is awake.
        initiator.tell("initiate-and-die all 60000 fast the initiator dies");
        for runner in &mut runners {
            assert_eq!(
                runner.event("run"),
                "Completed a=Completed b=Completed c=Completed"
            );
        }
        assert!(!initiator.ended().success());
        let report = place.observe().report().unwrap();
        assert_eq!(report.outcome, ShutdownOutcome::Completed);
        assert_eq!(report.reason.text, "the initiator dies");
        assert_eq!(report.reason.pid, initiator.pid());
        assert_eq!(report.mode, ebbtide::Mode::Fast);
    });
}

#[test]
fn initiator_that_is_a_runner_and_dies_is_counted_out() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut initiator, mut a, mut b] = place.runners(&segment, ["initiator", "a", "b"]);
        a.tell("run");
        b.tell("run");
        initiator.tell("initiate-and-die all 60000");
        for runner in [&mut a, &mut b] {
            assert_eq!(
                runner.event("run"),
                "Died a=Completed b=Completed initiator=Died"
            );
        }
    });
}

#[test]
fn nobody_else_needs_to_be_attached() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runners = place.runners(&segment, ["a", "b", "c", "d"]);
        let file = place.observe();
        drop(segment);
        for runner in &mut runners[1..] {
            runner.tell("run");
        }
        assert_eq!(runners[0].ask("initiate all 60000"), "Drives");
        runners[0].tell("run");
        for runner in &mut runners {
            assert!(runner.event("run").starts_with("Completed"));
        }
        assert_eq!(file.report().unwrap().outcome, ShutdownOutcome::Completed);
    });
}

/// A runner that acknowledges by hand and then waits for nothing must still see to it
/// that the death of the next laggard is noticed.
#[test]
fn runners_that_acknowledged_by_hand_and_do_not_wait_still_go_on() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runners = place.runners(&segment, ["a", "b", "c", "victim"]);
        let observer = place.observe();
        assert_eq!(runners[0].ask("initiate all 3600000"), "Drives");
        drop(segment);
        let [rest @ .., victim] = &mut runners;
        for runner in &mut *rest {
            assert_eq!(runner.ask("acknowledge signaling"), "InTime");
        }
        place.until_blocked_by(Phase::Signaling, "victim");
        victim.kill();
        for phase in ["draining", "closing"] {
            support::until_true(phase, || observer.status().unwrap().phase.name() == phase);
            for runner in &mut *rest {
                assert_eq!(runner.ask(&format!("acknowledge {phase}")), "InTime");
            }
        }
        place.until_phase(Phase::Complete);
        let report = observer.report().unwrap();
        assert_eq!(report.outcome, ShutdownOutcome::Died);
        assert_eq!(outcome(&report, "victim").name(), "Died");
    });
}

#[test]
fn a_waiter_forces_the_phases_of_a_group_that_does_nothing() {
    both(here!(), |place| {
        let segment = place.create();
        let _idle = place.runner(&segment, "idle");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(std::time::Duration::from_millis(200));
        let report = coordinator.complete();
        assert_eq!(report.outcome, ShutdownOutcome::TimedOut);
        assert_eq!(outcome(&report, "idle").name(), "TimedOut");
        assert!(report.total >= std::time::Duration::from_millis(200));
        assert!(report.total < HANG);
    });
}
