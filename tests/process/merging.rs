//! Concurrent initiators merge: one drives, all get the same outcome.

use std::time::Duration;

use crate::support::{Shutdown, both};
use ebbtide::{
    CoordinationError, Initiation, Mode, ReasonCode, Scope, ShutdownCoordinator, ShutdownRequest,
};

#[test]
fn earliest_deadline_strongest_mode_and_first_reason_win() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let _idle = place.runner(&segment, "idle");
        let ask = |seconds, mode, code, text: &str| {
            let request = ShutdownRequest::new()
                .timeout(Duration::from_secs(seconds))
                .mode(mode)
                .reason(code, text);
            coordinator
                .initiate_shutdown(&Scope::All, &request)
                .unwrap()
        };
        let look = || {
            let status = place.status();
            (
                status.mode,
                status.reason.unwrap(),
                status.remaining.unwrap().as_secs(),
            )
        };
        assert_eq!(
            ask(2000, Mode::Graceful, ReasonCode::Upgrade, "first"),
            Initiation::Drives
        );
        let (mode, first, remaining) = look();
        assert_eq!(
            (mode, first.code, first.text.as_str()),
            (Mode::Graceful, ReasonCode::Upgrade, "first")
        );
        assert_eq!(first.pid, std::process::id());
        assert!((1900..=2000).contains(&remaining));
        // Later and milder changes nothing.
        assert_eq!(
            ask(9000, Mode::Graceful, ReasonCode::Idle, "second"),
            Initiation::Merged
        );
        assert_eq!(look(), (Mode::Graceful, first.clone(), look().2));
        assert!((1900..=2000).contains(&look().2));
        // Earlier and harder does, but for the reason.
        assert_eq!(
            ask(1000, Mode::Fast, ReasonCode::Failure, "third"),
            Initiation::Merged
        );
        let (mode, reason, remaining) = look();
        assert_eq!((mode, reason), (Mode::Fast, first));
        assert!((900..=1000).contains(&remaining));
    });
}

#[test]
fn a_mode_never_relaxes() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let _idle = place.runner(&segment, "idle");
        let error = coordinator.escalate(&Scope::All, Mode::Fast).unwrap_err();
        assert_is!(error, CoordinationError::NotShuttingDown);
        coordinator.begin(Duration::from_secs(3600));
        assert_eq!(
            coordinator.escalate(&Scope::All, Mode::Immediate).unwrap(),
            Mode::Graceful
        );
        for mode in [Mode::Graceful, Mode::Fast, Mode::Immediate] {
            let error = coordinator.escalate(&Scope::All, mode).unwrap_err();
            assert_is!(
                error,
                CoordinationError::ModeHeld {
                    mode: Mode::Immediate
                }
            );
            assert_eq!(place.status().mode, Mode::Immediate);
        }
        // A second for each phase, from now on.
        assert!(place.status().remaining.unwrap() <= Duration::from_secs(3));
    });
}

#[test]
fn of_six_initiators_at_once_one_drives_and_all_get_the_same_outcome() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut initiators: [_; 6] = std::array::from_fn(|_| place.agent(&segment));
        for round in 1..=10 {
            let mut runner = place.runner(&segment, "runner");
            runner.tell("run");
            for initiator in &mut initiators {
                assert!(initiator.ask("report all").starts_with("Running"));
            }
            // All have been seen waiting for an order; now all get it.
            for (index, initiator) in initiators.iter_mut().enumerate() {
                initiator.tell(&format!("initiate all 60000 fast number {index}"));
                initiator.tell("complete all 30000");
            }
            let mut told = initiators
                .each_mut()
                .map(|initiator| initiator.reply("initiate"));
            told.sort();
            assert_eq!(
                told.iter().filter(|told| *told == "Drives").count(),
                1,
                "{told:?}"
            );
            assert!(
                told.iter()
                    .all(|told| ["Drives", "Merged", "Over"].contains(&told.as_str())),
                "{told:?}"
            );
            for initiator in &mut initiators {
                assert_eq!(initiator.event("complete"), "Completed runner=Completed");
            }
            assert_eq!(runner.event("run"), "Completed runner=Completed");
            let report = coordinator.complete();
            assert_eq!((report.generation, report.mode), (round, Mode::Fast));
            // One of the six gave the reason, whole.
            assert!(
                report.reason.text.starts_with("number "),
                "{:?}",
                report.reason
            );
            assert_eq!(report.reason.code, ReasonCode::Idle);
            assert!(
                initiators
                    .iter()
                    .any(|initiator| initiator.pid() == report.reason.pid)
            );
            // Asked again after the end, nobody begins another one.
            for initiator in &mut initiators {
                assert_eq!(initiator.ask("initiate all 60000"), "Over");
                assert_eq!(initiator.ask("report all"), "Completed runner=Completed");
            }
            runner.quit();
            assert_eq!(coordinator.begin_generation().unwrap(), round + 1);
        }
    });
}

#[test]
fn initiators_killed_among_the_others_do_no_harm() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runners = place.runners(&segment, ["a", "b"]);
        for runner in &mut runners {
            runner.tell("run");
        }
        let mut doomed: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
        let mut others: [_; 2] = std::array::from_fn(|_| place.agent(&segment));
        for initiator in &mut others {
            assert!(initiator.ask("report all").starts_with("Running"));
        }
        for initiator in &mut doomed {
            initiator.tell("initiate-and-die all 60000 fast last wish");
        }
        for initiator in &mut others {
            initiator.tell("initiate all 60000 graceful survivor");
            initiator.tell("complete all 30000");
        }
        for initiator in &mut others {
            assert_eq!(
                initiator.event("complete"),
                "Completed a=Completed b=Completed"
            );
        }
        for runner in &mut runners {
            assert_eq!(runner.event("run"), "Completed a=Completed b=Completed");
        }
        for initiator in &mut doomed {
            assert!(!initiator.ended().success());
        }
    });
}
