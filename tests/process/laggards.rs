//! Who holds a phase up is named, with what it is doing, also while it is frozen.

use std::time::Duration;

use crate::support::{self, HANG, Shutdown, both, outcome};
use ebbtide::{CoordinationError, Outcome, Phase, Scope, ShutdownCoordinator, ShutdownOutcome};

#[test]
fn stopped_runner_is_named_with_phase_work_activity_and_locks() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut owner, mut wanter, mut well] =
            place.runners(&segment, ["owner", "wanter", "well"]);
        for order in ["begin", "begin", "progress", "activity generating batch 7"] {
            assert_eq!(owner.ask(order), "ok");
        }
        owner.tell("lock device-0 1000");
        assert_eq!(owner.event("lock"), "died=false");
        wanter.tell("lock device-0 3600000");
        let observer = place.observe();
        support::until_true("the other one waits for the lock", || {
            let status = observer.status().unwrap();
            let runner = status
                .runners
                .iter()
                .find(|runner| runner.id == "wanter")
                .unwrap();
            runner.lock_wanted.is_some()
        });
        owner.stop();
        wanter.stop();
        well.tell("run");
        coordinator.begin(Duration::from_secs(3600));

        let status = support::until("the two alone hold the phase up", || {
            let status = observer.status().unwrap();
            (status.laggards.len() == 2).then_some(status)
        });
        assert_eq!(status.phase, Phase::Signaling);
        let find = |id: &str| {
            status
                .laggards
                .iter()
                .find(|laggard| laggard.id == id)
                .unwrap()
        };
        let laggard = find("owner");
        assert_eq!(laggard.pid, owner.pid());
        assert_eq!(laggard.phase, Phase::Signaling);
        assert_eq!(laggard.in_flight, 2);
        assert_eq!(
            laggard.activity.as_ref().unwrap().text,
            "generating batch 7"
        );
        assert_eq!(laggard.locks_held, ["device-0"]);
        assert_eq!(laggard.lock_wanted, None);
        let laggard = find("wanter");
        assert_eq!(laggard.lock_wanted.as_deref(), Some("device-0"));
        assert_eq!(laggard.locks_held, [""; 0]);
        // A stopped runner is not dead.
        assert!(
            status
                .runners
                .iter()
                .all(|runner| runner.alive && runner.outcome.is_none())
        );
        assert!(status.remaining.unwrap() <= Duration::from_secs(3600));
        assert!(status.phase_remaining.unwrap() <= status.remaining.unwrap());

        // The coordinator says the same, also in the error of a wait that is too short.
        let named: Vec<_> = coordinator
            .laggards(&Scope::All)
            .unwrap()
            .into_iter()
            .map(|l| l.id)
            .collect();
        assert_eq!(named, ["owner", "wanter"]);
        let error = coordinator
            .wait_for_shutdown_complete(&Scope::All, Duration::from_millis(20))
            .unwrap_err();
        let CoordinationError::TimedOut {
            waited,
            phase,
            laggards,
        } = &error
        else {
            panic!("{error:?}")
        };
        assert!(*waited >= Duration::from_millis(20));
        assert_eq!(*phase, Phase::Signaling);
        assert_eq!(laggards.len(), 2);
        let text = error.to_string();
        for word in [
            "owner",
            "signaling",
            "2 items in flight",
            "generating batch 7",
            "device-0",
        ] {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
    });
}

#[test]
fn shutdown_with_a_frozen_runner_ends_within_its_budget_and_says_which() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut frozen, mut well] = place.runners(&segment, ["frozen", "well"]);
        let mut bystander = place.agent(&segment);
        frozen.tell("run");
        frozen.stop();
        well.tell("run");
        bystander.tell("complete all 30000");
        coordinator.begin(Duration::from_millis(400));
        let report = coordinator.complete();
        assert_eq!(report.outcome, ShutdownOutcome::TimedOut);
        // Not before its time, as the frozen one never acknowledged.
        assert!(report.total >= Duration::from_millis(400));
        let laggards: Vec<_> = report.laggards().map(|runner| runner.id.as_str()).collect();
        assert_eq!(laggards, ["frozen"]);
        let runner = report
            .runners
            .iter()
            .find(|runner| runner.id == "frozen")
            .unwrap();
        assert_eq!(runner.blocked_in, Some(Phase::Signaling));
        assert!(runner.alive);
        let expected = "TimedOut frozen=TimedOut well=Completed";
        assert_eq!(well.event("run"), expected);
        assert_eq!(bystander.event("complete"), expected);

        // Thawed, it does what is left to do, is told that it is late, and leaves.
        frozen.go_on();
        assert_eq!(frozen.event("run"), expected);
        frozen.quit();
        let again = coordinator.complete();
        assert_eq!(support::summary(&again), expected);
        assert_eq!(again.total, report.total);
        let runner = again
            .runners
            .iter()
            .find(|runner| runner.id == "frozen")
            .unwrap();
        assert!(
            runner
                .acknowledged
                .iter()
                .all(|time| time.unwrap() >= report.total)
        );
    });
}

#[test]
fn an_acknowledgement_after_the_phase_was_forced_is_late_and_recorded() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        runner.stop();
        coordinator.begin(Duration::from_millis(100));
        coordinator.complete();
        runner.go_on();
        assert_eq!(runner.ask("acknowledge signaling"), "Late");
        assert_eq!(runner.ask("acknowledge signaling"), "Late");
        assert_eq!(runner.ask("acknowledge draining"), "Late");
        let report = coordinator.report(&Scope::All).unwrap();
        assert_eq!(*outcome(&report, "a"), Outcome::TimedOut);
        // The first one that went on without it, for good.
        assert_eq!(report.runners[0].blocked_in, Some(Phase::Signaling));
        assert_eq!(runner.ask("acknowledge closing"), "Late");
        assert_eq!(runner.ask("leave"), "ok");
        let report = coordinator.complete();
        assert_eq!(*outcome(&report, "a"), Outcome::TimedOut);
        assert_eq!(report.runners[0].blocked_in, Some(Phase::Signaling));
    });
}

#[test]
fn frozen_runner_that_is_killed_when_all_is_over_had_timed_out() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut frozen = place.runner(&segment, "frozen");
        frozen.stop();
        coordinator.begin(Duration::from_millis(100));
        assert_eq!(
            *outcome(&coordinator.complete(), "frozen"),
            Outcome::TimedOut
        );
        frozen.kill();
        segment.reap().unwrap();
        assert_eq!(
            *outcome(&coordinator.complete(), "frozen"),
            Outcome::TimedOut
        );
        assert_eq!(coordinator.complete().outcome, ShutdownOutcome::TimedOut);
    });
}

#[test]
fn a_runner_that_thaws_in_time_completes() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut frozen, mut well] = place.runners(&segment, ["frozen", "well"]);
        frozen.tell("run");
        frozen.stop();
        well.tell("run");
        coordinator.begin(Duration::from_secs(3600));
        place.until_blocked_by(Phase::Signaling, "frozen");
        frozen.go_on();
        assert_eq!(
            frozen.event("run"),
            "Completed frozen=Completed well=Completed"
        );
        assert_eq!(coordinator.complete().outcome, ShutdownOutcome::Completed);
        assert!(coordinator.complete().total < HANG);
    });
}
