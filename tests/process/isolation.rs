//! Sharing a segment never lets one runner's shutdown touch another runner.

use std::time::Duration;

use crate::support::{self, HANG, Shutdown, both, outcome};
use ebbtide::{
    CoordinationError, Initiation, Mode, Outcome, Phase, Scope, ShutdownCoordinator,
    ShutdownOutcome, ShutdownRequest,
};

const FOREVER: Duration = Duration::from_secs(3600);

fn alone(coordinator: &ShutdownCoordinator, id: &str) -> Initiation {
    let request = ShutdownRequest::new().timeout(FOREVER);
    coordinator
        .initiate_shutdown(&Scope::runner(id), &request)
        .unwrap()
}

#[test]
fn shutting_one_runner_down_changes_nothing_of_another() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        // One id begins like the other.
        let [mut a, mut a_b] = place.runners(&segment, ["a", "a_b"]);
        assert_eq!(a_b.ask("begin"), "ok");
        a_b.tell("lock device 1000");
        assert_eq!(a_b.event("lock"), "died=false");
        let before = place.status();
        assert_eq!(alone(&coordinator, "a"), Initiation::Drives);
        assert_eq!(alone(&coordinator, "a"), Initiation::Merged);
        assert_eq!(a.ask("check"), "true true");
        let handles = ["a", "a_b"].map(|id| coordinator.runner(id).unwrap());
        assert_eq!(
            handles.map(|handle| coordinator.check_shutdown_signal(handle)),
            [true, false]
        );
        let laggards = coordinator.laggards(&Scope::runner("a")).unwrap();
        assert_eq!(
            laggards.iter().map(|l| l.id.as_str()).collect::<Vec<_>>(),
            ["a"]
        );
        a.tell("run");
        assert_eq!(a.event("run"), "Completed a=Completed");
        let report = coordinator
            .wait_for_shutdown_complete(&Scope::runner("a"), HANG)
            .unwrap();
        assert_eq!(support::summary(&report), "Completed a=Completed");

        assert_eq!(a_b.ask("check"), "false false");
        assert_eq!(a_b.ask("begin"), "ok");
        let after = place.status();
        assert_eq!(
            (after.phase, after.generation),
            (Phase::Running, before.generation)
        );
        let find = |status: &ebbtide::Status| {
            status
                .runners
                .iter()
                .find(|r| r.id == "a_b")
                .cloned()
                .unwrap()
        };
        let (was, is) = (find(&before), find(&after));
        assert_eq!(
            (is.own_phase, is.outcome, is.locks_held),
            (was.own_phase, None, was.locks_held)
        );
        assert_eq!(is.in_flight, was.in_flight + 1);
        // And the group is still open to others, also under the id that is free again.
        place.runner(&segment, "a").quit();
    });
}

#[test]
fn a_runners_own_shutdown_can_be_cancelled_and_escalated_alone() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        let own = Scope::runner("a");
        assert_is!(
            coordinator.cancel_shutdown(&own),
            Err(CoordinationError::NotShuttingDown)
        );
        assert_is!(
            coordinator.escalate(&own, Mode::Fast),
            Err(CoordinationError::NotShuttingDown)
        );
        assert_eq!(a.ask("begin"), "ok");
        a.tell("run");
        alone(&coordinator, "a");
        support::until_true("it drains", || a.ask("phase") == "draining");
        assert_eq!(
            coordinator.escalate(&own, Mode::Fast).unwrap(),
            Mode::Graceful
        );
        assert_eq!(a.ask("mode"), "fast true");
        assert_eq!(b.ask("mode"), "graceful false");
        coordinator.cancel_shutdown(&own).unwrap();
        assert!(a.event("run").starts_with("Cancelled"));
        assert_eq!(a.ask("check"), "false false");
        assert_eq!(a.ask("begin"), "ok");
        assert_is!(
            coordinator.cancel_shutdown(&own),
            Err(CoordinationError::NotShuttingDown)
        );
    });
}

#[test]
fn the_group_can_be_shut_down_while_a_runner_is_shut_down_alone() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        assert_eq!(a.ask("begin"), "ok");
        a.tell("run");
        alone(&coordinator, "a");
        support::until_true("it drains", || a.ask("phase") == "draining");
        assert_eq!(b.ask("check"), "false false");
        coordinator.begin(FOREVER);
        b.tell("run");
        place.until_blocked_by(Phase::Draining, "a");
        assert_eq!(a.ask("end"), "ok");
        // What it says it has done counts in both.
        assert!(a.event("run").starts_with("Completed"));
        assert_eq!(b.event("run"), "Completed a=Completed b=Completed");
        let report = coordinator
            .wait_for_shutdown_complete(&Scope::runner("a"), HANG)
            .unwrap();
        assert_eq!(support::summary(&report), "Completed a=Completed");
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Completed a=Completed b=Completed"
        );
    });
}

#[test]
fn a_runner_can_be_shut_down_alone_while_the_group_is() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        a.tell("run");
        coordinator.begin(FOREVER);
        place.until_blocked_by(Phase::Signaling, "b");
        // It need not wait for the others any more.
        assert_eq!(alone(&coordinator, "a"), Initiation::Drives);
        assert_eq!(a.event("run"), "Completed a=Completed");
        place.until_blocked_by(Phase::Signaling, "b");
        b.tell("run");
        assert_eq!(b.event("run"), "Completed a=Completed b=Completed");
    });
}

#[test]
fn shutting_a_dead_runner_down_alone_says_that_it_died() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut unnoticed, mut noticed, mut later, mut well] =
            place.runners(&segment, ["unnoticed", "noticed", "later", "well"]);
        let own = |id: &str| {
            let report = coordinator
                .wait_for_shutdown_complete(&Scope::runner(id), HANG)
                .unwrap();
            assert_eq!(report.outcome, ShutdownOutcome::Died);
            assert_eq!(*outcome(&report, id), Outcome::Died);
            assert_eq!(report.runners.len(), 1);
        };
        unnoticed.kill();
        alone(&coordinator, "unnoticed");
        own("unnoticed");
        noticed.kill();
        segment.reap().unwrap();
        assert_eq!(alone(&coordinator, "noticed"), Initiation::Over);
        own("noticed");
        // Killed while it is waited for.
        alone(&coordinator, "later");
        let waiter = coordinator.clone();
        let waiting = std::thread::spawn(move || {
            waiter.wait_for_shutdown_complete(&Scope::runner("later"), HANG)
        });
        later.kill();
        assert_eq!(
            waiting.join().unwrap().unwrap().outcome,
            ShutdownOutcome::Died
        );
        own("later");
        assert_eq!(well.ask("check"), "false false");
        assert_eq!(place.status().phase, Phase::Running);
    });
}

/// Waiting for one runner also ends when it leaves or dies although nobody asked it to.
#[test]
fn waiting_for_one_runner_ends_when_it_ends_by_itself() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut leaves, mut dies] = place.runners(&segment, ["leaves", "dies"]);
        let wait = |id: &'static str| {
            let waiter = coordinator.clone();
            std::thread::spawn(move || {
                waiter
                    .wait_for_shutdown_complete(&Scope::runner(id), HANG)
                    .unwrap()
            })
        };
        let (left, died) = (wait("leaves"), wait("dies"));
        assert_eq!(leaves.ask("leave"), "ok");
        dies.kill();
        assert_eq!(
            support::summary(&left.join().unwrap()),
            "Completed leaves=Completed"
        );
        assert_eq!(support::summary(&died.join().unwrap()), "Died dies=Died");
    });
}

#[test]
fn a_runner_that_never_was_is_no_such_runner() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let _other = place.runner(&segment, "nobody_else");
        let own = Scope::runner("nobody");
        let request = ShutdownRequest::new();
        assert_is!(
            coordinator.initiate_shutdown(&own, &request),
            Err(CoordinationError::NoSuchRunner { .. })
        );
        assert_is!(
            coordinator.wait_for_shutdown_complete(&own, HANG),
            Err(CoordinationError::NoSuchRunner { .. })
        );
        assert_is!(
            coordinator.cancel_shutdown(&own),
            Err(CoordinationError::NoSuchRunner { .. })
        );
        assert_is!(
            coordinator.escalate(&own, Mode::Fast),
            Err(CoordinationError::NoSuchRunner { .. })
        );
        assert_is!(
            coordinator.runner("nobody"),
            Err(CoordinationError::NoSuchRunner { .. })
        );
        assert_is!(
            coordinator.laggards(&own),
            Err(CoordinationError::NoSuchRunner { .. })
        );
        assert_is!(
            coordinator.report(&own),
            Err(CoordinationError::NoSuchRunner { .. })
        );
        assert_is!(
            coordinator.process("nobody"),
            Err(CoordinationError::NoSuchRunner { .. })
        );
    });
}

#[test]
fn a_frozen_runners_own_shutdown_times_out_alone() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [frozen, mut well] = place.runners(&segment, ["frozen", "well"]);
        frozen.stop();
        let request = ShutdownRequest::new().timeout(Duration::from_millis(200));
        coordinator
            .initiate_shutdown(&Scope::runner("frozen"), &request)
            .unwrap();
        let report = coordinator
            .wait_for_shutdown_complete(&Scope::runner("frozen"), HANG)
            .unwrap();
        assert_eq!(support::summary(&report), "TimedOut frozen=TimedOut");
        assert!(report.total >= Duration::from_millis(200));
        assert_eq!(well.ask("check"), "false false");
        assert!(place.status().laggards.is_empty());
    });
}
