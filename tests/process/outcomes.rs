//! What became of each runner, in its own words where it has any.

use std::time::Duration;

use crate::support::{Shutdown, both, outcome};
use ebbtide::{Outcome, Phase, Runner, Scope, ShutdownCoordinator, ShutdownOutcome, limits};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn a_failed_runner_is_reported_with_its_cause() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut failed, mut well] = place.runners(&segment, ["failed", "well"]);
        well.tell("run");
        coordinator.begin(FOREVER);
        assert_eq!(failed.ask("fail out of memory on device 0"), "ok");
        assert_eq!(well.event("run"), "Died failed=Failed well=Completed");
        failed.quit();
        let report = coordinator.complete();
        assert_eq!(report.outcome, ShutdownOutcome::Died);
        let cause = "out of memory on device 0".to_owned();
        assert_eq!(*outcome(&report, "failed"), Outcome::Failed { cause });
    });
}

#[test]
fn the_first_verdict_stands_and_a_long_cause_is_cut() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator
            .initiate_shutdown(&Scope::All, &ebbtide::ShutdownRequest::new())
            .unwrap();
        coordinator.begin_generation().unwrap();
        let runner = Runner::join(&segment, "a").unwrap();
        coordinator.begin(FOREVER);
        runner.fail(&"ü".repeat(100));
        runner.fail("another");
        runner.leave_forced();
        let report = coordinator.complete();
        let cause = "ü".repeat(limits::ACTIVITY_BYTES / 2);
        assert_eq!(*outcome(&report, "a"), Outcome::Failed { cause });
    });
}

#[test]
fn a_runner_ended_by_its_supervisor_was_forced() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "program").unwrap();
        coordinator.begin(FOREVER);
        runner.set_last_words("exit status 137").unwrap();
        runner.leave_forced();
        let report = coordinator.complete();
        assert_eq!(*outcome(&report, "program"), Outcome::Forced);
        assert_eq!(report.outcome, ShutdownOutcome::TimedOut);
        assert_eq!(report.runners[0].last_words, "exit status 137");
        assert_eq!(report.laggards().count(), 1);
    });
}

#[test]
fn a_runner_dropped_by_a_panic_has_failed() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        let panicked = std::thread::spawn(move || {
            let _runner = runner;
            // Without the hook, which would print a stack.
            std::panic::resume_unwind(Box::new("the worker went wrong"));
        });
        assert!(panicked.join().is_err());
        coordinator.begin(FOREVER);
        // It ended before the shutdown began, so it is no part of it.
        assert!(coordinator.complete().runners.is_empty());
        let report = coordinator.report(&Scope::runner("a")).unwrap();
        assert_is!(outcome(&report, "a"), Outcome::Failed { cause } if cause.contains("panic"));
    });
}

#[test]
fn leaving_in_the_middle_is_completing() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut leaves, mut drops, mut stays] =
            place.runners(&segment, ["leaves", "drops", "stays"]);
        coordinator.begin(FOREVER);
        assert_eq!(leaves.ask("leave"), "ok");
        assert_eq!(drops.ask("acknowledge signaling"), "InTime");
        drops.quit();
        stays.tell("run");
        assert_eq!(
            stays.event("run"),
            "Completed drops=Completed leaves=Completed stays=Completed"
        );
    });
}

#[test]
fn a_runner_that_left_before_is_no_part_of_the_shutdown() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut left, mut stays] = place.runners(&segment, ["left", "stays"]);
        assert_eq!(left.ask("leave"), "ok");
        stays.tell("run");
        coordinator.begin(FOREVER);
        assert_eq!(stays.event("run"), "Completed stays=Completed");
        // Its own last outcome stays readable by its id.
        let report = coordinator.report(&Scope::runner("left")).unwrap();
        assert_eq!(*outcome(&report, "left"), Outcome::Completed);
    });
}

#[test]
fn times_are_in_order() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runners = place.runners(&segment, ["a", "b", "c"]);
        for runner in &mut runners {
            runner.tell("run");
        }
        coordinator.begin(FOREVER);
        let report = coordinator.complete();
        for runner in &mut runners {
            runner.event("run");
        }
        assert_eq!(report.phases.len(), 3);
        assert_eq!(
            report
                .phases
                .iter()
                .map(|phase| phase.duration)
                .sum::<Duration>(),
            report.total
        );
        for runner in &report.runners {
            let [signaling, draining, closing] = runner.acknowledged.map(Option::unwrap);
            assert!(runner.observed.unwrap() <= signaling);
            assert!(signaling <= draining && draining <= closing && closing <= report.total);
            // Nobody drains before everybody was told, nor closes before all have drained.
            assert!(report.phases[0].duration <= draining);
            assert!(report.phases[0].duration + report.phases[1].duration <= closing);
            assert_eq!(runner.blocked_in, None);
        }
        let status = place.status();
        assert_eq!(status.phase, Phase::Complete);
        assert_eq!(status.elapsed, Some(report.total));
    });
}
