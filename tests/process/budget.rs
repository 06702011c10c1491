//! One absolute deadline for everybody; phases get shares of it.

use std::time::Duration;

use crate::support::{self, Shutdown, both, once, outcome};
use ebbtide::{
    CoordinationError, Mode, Phase, Scope, ShutdownCoordinator, ShutdownOutcome, ShutdownRequest,
};

const MS: Duration = Duration::from_millis(1);

#[test]
fn phases_are_forced_at_their_shares_and_the_whole_at_its_deadline() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        // It never says anything.
        let _idle = place.runner(&segment, "idle");
        let request = ShutdownRequest::new()
            .timeout(500 * MS)
            .shares([200, 200, 600])
            .unwrap();
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        let report = coordinator.complete();
        assert_eq!(report.outcome, ShutdownOutcome::TimedOut);
        // Each phase ended when its time was up and no earlier: sums, as what a late
        // scheduler takes from one phase the next does not get back.
        let ends: Vec<_> = report
            .phases
            .iter()
            .scan(Duration::ZERO, |end, phase| {
                *end += phase.duration;
                Some(*end)
            })
            .collect();
        assert_eq!(
            report.phases.iter().map(|p| p.phase).collect::<Vec<_>>(),
            Phase::ACKNOWLEDGED
        );
        assert!(
            ends[0] >= 100 * MS && ends[1] >= 200 * MS && ends[2] >= 500 * MS,
            "{ends:?}"
        );
        assert_eq!(ends[2], report.total);
        assert!(report.total < support::HANG);
    });
}

#[test]
fn what_one_phase_leaves_the_next_inherits() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        let request = ShutdownRequest::new().timeout(Duration::from_secs(1000));
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        let remaining = || {
            coordinator
                .status()
                .unwrap()
                .phase_remaining
                .unwrap()
                .as_secs()
        };
        assert!((90..=100).contains(&remaining()));
        assert_eq!(runner.ask("acknowledge signaling"), "InTime");
        // Ten and sixty per cent, not sixty.
        assert!((690..=700).contains(&remaining()));
        assert_eq!(runner.ask("acknowledge draining"), "InTime");
        assert!((990..=1000).contains(&remaining()));
    });
}

#[test]
fn shares_must_be_a_whole() {
    once(here!(), |_| {
        for bad in [[0, 0, 0], [1000, 1, 0], [333, 333, 333], [u16::MAX; 3]] {
            let error = ShutdownRequest::new().shares(bad).unwrap_err();
            assert_is!(error, CoordinationError::Shares { .. });
        }
        for good in [[1000, 0, 0], [0, 0, 1000], [334, 333, 333]] {
            assert!(ShutdownRequest::new().shares(good).is_ok());
        }
    });
}

#[test]
fn a_shutdown_without_any_time_is_forced_at_once() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        coordinator.begin(Duration::ZERO);
        assert_eq!(coordinator.complete().outcome, ShutdownOutcome::TimedOut);
        runner.tell("run");
        assert_eq!(runner.event("run"), "TimedOut a=TimedOut");
    });
}

#[test]
fn more_time_is_given_against_progress_only() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        assert!(a.ask("extend 1000").starts_with("err NotShuttingDown"));
        let hour = Duration::from_secs(3600);
        let request = ShutdownRequest::new().timeout(hour).cap(hour + 100 * MS);
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        let deadline = |place: &support::Place| {
            let status = place.status();
            status.phase_remaining.unwrap() + status.elapsed.unwrap()
        };
        let before = deadline(place);
        assert!(a.ask("extend 60").starts_with("err NoProgress"));
        assert_eq!(a.ask("progress"), "ok");
        assert_eq!(a.ask("extend 60"), "60ms");
        assert!(deadline(place) >= before + 59 * MS && deadline(place) < before + 1000 * MS);
        // The same progress is no proof twice; that of another is none of ours.
        assert!(a.ask("extend 60").starts_with("err NoProgress"));
        assert_eq!(b.ask("progress"), "ok");
        assert!(a.ask("extend 60").starts_with("err NoProgress"));
        assert_eq!(b.ask("extend 60"), "60ms");
    });
}

#[test]
fn no_extension_passes_the_cap() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        let hour = Duration::from_secs(3600);
        // The last phase ends with the whole, so beyond it only the cap gives time.
        let request = ShutdownRequest::new().timeout(hour).cap(hour + 100 * MS);
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        for phase in ["signaling", "draining"] {
            assert_eq!(runner.ask(&format!("acknowledge {phase}")), "InTime");
        }
        let overall = || {
            let status = place.status();
            status.remaining.unwrap() + status.elapsed.unwrap()
        };
        for (asked, granted) in [("70", "70ms"), ("70", "30ms")] {
            assert_eq!(runner.ask("progress"), "ok");
            assert_eq!(runner.ask(&format!("extend {asked}")), granted);
            assert!(overall() <= hour + 101 * MS);
        }
        assert_eq!(runner.ask("progress"), "ok");
        assert!(runner.ask("extend 70").starts_with("err CapReached"));
        // Extending is not escalating.
        assert_eq!(place.status().mode, Mode::Graceful);
    });
}

#[test]
fn without_a_cap_an_extension_takes_from_later_phases() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        coordinator.begin(Duration::from_secs(1000));
        assert_eq!(runner.ask("progress"), "ok");
        assert_eq!(runner.ask("extend 500000"), "500s");
        let status = place.status();
        assert!(status.phase_remaining.unwrap() <= Duration::from_secs(600));
        assert!(status.phase_remaining.unwrap() > Duration::from_secs(500));
        assert!(status.remaining.unwrap() <= Duration::from_secs(1000));
        assert_eq!(runner.ask("progress"), "ok");
        // All that is left of the whole, less than was asked for.
        assert_eq!(runner.ask("extend 500000"), "400s");
        assert_eq!(runner.ask("progress"), "ok");
        assert!(runner.ask("extend 500000").starts_with("err CapReached"));
        assert_eq!(runner.ask("acknowledge signaling"), "InTime");
        assert_eq!(
            *outcome(
                &{
                    runner.ask("acknowledge draining");
                    runner.ask("acknowledge closing");
                    coordinator.complete()
                },
                "a"
            ),
            ebbtide::Outcome::Completed
        );
    });
}

#[test]
fn waiting_is_bounded_by_the_callers_timeout_too() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let _idle = place.runner(&segment, "idle");
        // None is on.
        let error = coordinator
            .wait_for_shutdown_complete(&Scope::All, 20 * MS)
            .unwrap_err();
        assert_is!(&error, CoordinationError::TimedOut { phase: Phase::Running, laggards, .. } if laggards.is_empty());
        coordinator.begin(Duration::from_secs(3600));
        let error = coordinator
            .wait_for_shutdown_complete(&Scope::All, 20 * MS)
            .unwrap_err();
        assert_is!(&error, CoordinationError::TimedOut { laggards, .. } if laggards.len() == 1);
        let error = coordinator
            .wait_for_shutdown_complete(&Scope::All, Duration::ZERO)
            .unwrap_err();
        assert_is!(error, CoordinationError::TimedOut { .. });
    });
}
