//! Runners that end by themselves, with no shutdown on: who waits for the end, and what is left.

use std::time::Duration;

use crate::support::{HANG, Shutdown, both, outcome};
use ebbtide::{CoordinationError, Outcome, Runner, Scope, ShutdownCoordinator, ShutdownOutcome};

#[test]
fn a_wait_ends_when_all_runners_have_ended_by_themselves() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut leaves, mut drops, mut dies] =
            place.runners(&segment, ["leaves", "drops", "dies"]);
        let waiter = {
            let coordinator = coordinator.clone();
            std::thread::spawn(move || coordinator.wait_for_shutdown_complete(&Scope::All, HANG))
        };
        assert_eq!(leaves.ask("leave"), "ok");
        dies.kill();
        assert!(!waiter.is_finished(), "one lives");
        assert_eq!(drops.ask("leave"), "ok");
        let report = waiter.join().unwrap().unwrap();
        assert_eq!(report.outcome, ShutdownOutcome::Died);
        assert_eq!((report.began, report.ended), (None, None));
        assert_eq!(*outcome(&report, "leaves"), Outcome::Completed);
        assert_eq!(*outcome(&report, "dies"), Outcome::Died);
        let page = report.to_string();
        assert!(
            page.contains("3 runners have ended by themselves; no shutdown was on"),
            "{page}"
        );
        // At once, if they have ended already.
        let again = coordinator.wait_for_shutdown_complete(&Scope::All, Duration::ZERO);
        assert_eq!(again.unwrap().outcome, ShutdownOutcome::Died);
    });
}

#[test]
fn a_future_of_the_end_ends_when_all_runners_have_ended_by_themselves() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        let wait = coordinator.shutdown_complete(&Scope::All).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let waiter = std::thread::spawn(move || runtime.block_on(wait));
        assert_eq!(runner.ask("leave"), "ok");
        let report = waiter.join().unwrap().unwrap();
        assert_eq!(report.outcome, ShutdownOutcome::Completed);
        assert_eq!(report.began, None);
    });
}

#[test]
fn a_wait_before_anybody_has_joined_waits() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let wait = |coordinator: &ShutdownCoordinator| {
            coordinator.wait_for_shutdown_complete(&Scope::All, Duration::from_millis(30))
        };
        let error = wait(&coordinator).unwrap_err();
        assert!(
            error.to_string().ends_with("in running: no shutdown is on"),
            "{error}"
        );
        assert_is!(error, CoordinationError::TimedOut { .. });
        // Those of an ended generation are no runners of this one.
        let runner = Runner::join(&segment, "a").unwrap();
        coordinator.begin(HANG);
        runner.run_shutdown().unwrap();
        coordinator.begin_generation().unwrap();
        assert_is!(wait(&coordinator), Err(CoordinationError::TimedOut { .. }));
    });
}

#[test]
fn a_taken_id_in_a_shutdown_is_refused_by_the_shutdown() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let _runner = Runner::join(&segment, "a").unwrap();
        assert_is!(
            Runner::join(&segment, "a"),
            Err(CoordinationError::DuplicateRunner { .. })
        );
        coordinator.begin(HANG);
        assert_is!(
            Runner::join(&segment, "a"),
            Err(CoordinationError::ShuttingDown { .. })
        );
    });
}
