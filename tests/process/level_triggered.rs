//! A shutdown is a state that anybody can read at any time, not a message that is consumed.

use std::time::Duration;

use crate::support::{HANG, Shutdown, both, outcome};
use ebbtide::{Initiation, Phase, Scope, ShutdownCoordinator, ShutdownOutcome, ShutdownRequest};

#[test]
fn told_once_every_later_check_in_every_thread_says_so() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runners = place.runners(&segment, ["a", "b"]);
        let handle = coordinator.runner("a").unwrap();
        assert!(!coordinator.check_shutdown_signal(handle));
        for runner in &mut runners {
            assert_eq!(runner.ask("check"), "false false");
        }
        assert_eq!(coordinator.begin(HANG), Initiation::Drives);
        for _ in 0..3 {
            for runner in &mut runners {
                assert_eq!(runner.ask("check"), "true true");
            }
            assert!(coordinator.check_shutdown_signal(handle));
        }
        // All know of it.
        for runner in &mut runners {
            assert_eq!(runner.ask("phase"), "draining");
            runner.tell("run");
        }
        assert_eq!(coordinator.complete().outcome, ShutdownOutcome::Completed);
        for runner in &mut runners {
            assert_eq!(runner.event("run"), "Completed a=Completed b=Completed");
            // Also when it is over.
            assert_eq!(runner.ask("check"), "true true");
            assert_eq!(runner.ask("phase"), "complete");
        }
        assert!(coordinator.check_shutdown_signal(handle));
    });
}

#[test]
fn an_idle_runner_is_woken_and_a_late_asker_is_told_at_once() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut idle, mut late] = place.runners(&segment, ["idle", "late"]);
        idle.tell("wait 3600000");
        assert_eq!(idle.ask("check"), "false false");
        ShutdownCoordinator::new(&segment).begin(HANG);
        assert_eq!(idle.event("wait"), "true");
        for _ in 0..3 {
            late.tell("wait 0");
            assert_eq!(late.event("wait"), "true");
        }
    });
}

#[test]
fn waiting_for_a_shutdown_that_does_not_come_ends_with_false() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runner = place.runner(&segment, "a");
        runner.tell("wait 20");
        assert_eq!(runner.event("wait"), "false");
        assert_eq!(runner.ask("check"), "false false");
    });
}

#[test]
fn the_report_is_the_same_when_asked_again() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut killed, mut a, mut b] = place.runners(&segment, ["killed", "a", "b"]);
        let mut bystander = place.agent(&segment);
        coordinator.begin(HANG);
        killed.kill();
        a.tell("run");
        b.tell("run");
        let first = coordinator.complete();
        assert_eq!(first.outcome, ShutdownOutcome::Died);
        let expected = "Died a=Completed b=Completed killed=Died";
        assert_eq!(a.event("run"), expected);
        assert_eq!(b.event("run"), expected);
        a.quit();
        b.kill();
        segment.reap().unwrap();
        for _ in 0..2 {
            let again = coordinator.complete();
            for report in [
                again,
                coordinator.report(&Scope::All).unwrap(),
                place.observe().report().unwrap(),
            ] {
                assert_eq!(report.outcome, first.outcome);
                assert_eq!(report.total, first.total);
                assert_eq!(report.phases, first.phases);
                assert_eq!(report.reason, first.reason);
                assert_eq!(report.runners.len(), 3);
                for runner in &first.runners {
                    assert_eq!(
                        outcome(&report, &runner.id),
                        runner.outcome.as_ref().unwrap()
                    );
                    let same = report
                        .runners
                        .iter()
                        .find(|other| other.id == runner.id)
                        .unwrap();
                    assert_eq!(same.acknowledged, runner.acknowledged);
                    assert_eq!(same.pid, runner.pid);
                }
            }
            assert_eq!(bystander.ask("report all"), expected);
            bystander.tell("complete all 30000");
            assert_eq!(bystander.event("complete"), expected);
        }
        let mut newcomer = place.agent(&segment);
        assert_eq!(newcomer.ask("report all"), expected);
    });
}

#[test]
fn asking_for_a_shutdown_that_is_over_gets_its_outcome() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        // With nobody to wait for it is over at once.
        assert_eq!(coordinator.begin(HANG), Initiation::Drives);
        assert_eq!(place.status().phase, Phase::Complete);
        for _ in 0..3 {
            assert_eq!(coordinator.begin(Duration::ZERO), Initiation::Over);
            assert_eq!(coordinator.complete().outcome, ShutdownOutcome::Completed);
        }
        let mut other = place.agent(&segment);
        assert_eq!(other.ask("initiate all"), "Over");
        assert_eq!(other.ask("report all"), "Completed");
    });
}

/// Somebody waits while the group is shut down, restarted, and all without a chance for
/// the waiter to look in between. What it waited for has happened.
#[test]
fn a_waiter_that_sleeps_through_a_whole_shutdown_is_not_told_it_was_cancelled() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        let mut waiter = place.agent(&segment);
        coordinator
            .initiate_shutdown(&Scope::All, &ShutdownRequest::new())
            .unwrap();
        waiter.tell("complete all 3600000");
        waiter.until_asleep();
        waiter.stop();
        runner.tell("run");
        assert_eq!(coordinator.complete().outcome, ShutdownOutcome::Completed);
        assert_eq!(runner.event("run"), "Completed a=Completed");
        assert_eq!(coordinator.begin_generation().unwrap(), 2);
        waiter.go_on();
        let told = waiter.event("complete");
        assert!(told.starts_with("Completed"), "{told}");
    });
}
