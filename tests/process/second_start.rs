//! The second start: one call joins, or begins the next generation when the last is over.

use std::time::Duration;

use crate::support::{HANG, Shutdown, both};
use ebbtide::{CoordinationError, Phase, Runner, Scope, ShutdownCoordinator, ShutdownRequest};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn a_program_that_was_shut_down_in_order_starts_again() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        for generation in 1..=5 {
            let mut a = place.agent(&segment);
            assert_eq!(a.ask("start 0 a"), "ok");
            let mut b = place.agent(&segment);
            assert_eq!(b.ask("start 0 b"), "ok");
            assert_eq!(a.ask("check"), "false false");
            assert_eq!(place.status().generation, generation);
            coordinator.begin(FOREVER);
            a.tell("run");
            b.tell("run");
            let told = "Completed a=Completed b=Completed";
            assert_eq!((a.event("run"), b.event("run")), (told.into(), told.into()));
            // The result stays readable until the next generation begins.
            assert_eq!(coordinator.complete().generation, generation);
            a.quit();
            b.quit();
        }
    });
}

#[test]
fn a_group_that_was_shut_down_while_nobody_was_in_it_can_run() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(FOREVER);
        let report = coordinator.complete();
        assert_eq!((report.generation, report.runners.len()), (1, 0));
        assert_eq!(place.status().phase, Phase::Complete);
        // A plain join does it.
        let runner = Runner::join(&segment, "a").unwrap();
        assert!(!runner.is_shutting_down());
        assert_eq!(place.status().generation, 2);
        runner.leave();
        // After a generation that had a runner, the call that says so does it.
        coordinator.begin(FOREVER);
        coordinator.complete();
        let refused = Runner::join(&segment, "a").unwrap_err();
        assert_is!(
            refused,
            CoordinationError::ShuttingDown {
                phase: Phase::Complete,
                remaining: Duration::ZERO,
                ..
            }
        );
        let runner = Runner::join_or_begin(&segment, "a", Duration::ZERO).unwrap();
        assert_eq!(place.status().generation, 3);
        drop(runner);
    });
}

#[test]
fn a_start_waits_for_the_last_generation_to_be_over_and_gone() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut old = place.runner(&segment, "a");
        let request = ShutdownRequest::new().timeout(FOREVER);
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        let start = |timeout| Runner::join_or_begin(&segment, "a", timeout);
        let short = Duration::from_millis(20);
        for timeout in [Duration::ZERO, short] {
            let refused = start(timeout).unwrap_err();
            assert_is!(
                refused,
                CoordinationError::ShuttingDown {
                    phase: Phase::Signaling,
                    ..
                }
            );
        }
        let mut next = place.agent(&segment);
        next.tell("start 3600000 a");
        for phase in Phase::ACKNOWLEDGED {
            assert_eq!(old.ask(&format!("acknowledge {phase}")), "InTime");
        }
        // Over, but its runner lives.
        for timeout in [Duration::ZERO, short] {
            let refused = start(timeout).unwrap_err();
            assert_is!(&refused, CoordinationError::Occupied { generation: 1, id, .. } if id == "a");
        }
        old.kill();
        assert_eq!(next.reply("start"), "ok");
        assert_eq!(place.status().generation, 2);
        let refused = start(HANG).unwrap_err();
        assert_is!(refused, CoordinationError::DuplicateRunner { .. });
    });
}

#[test]
fn many_that_start_at_once_are_of_one_generation_also_when_some_are_killed() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        for round in 1..=8 {
            let mut rivals: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
            for (index, rival) in rivals.iter_mut().enumerate() {
                rival.tell(&format!("start 3600000 r{index}"));
            }
            let [first, rest @ ..] = &mut rivals;
            if round % 2 == 0 {
                first.kill();
            }
            for rival in &mut *rest {
                assert_eq!(rival.reply("start"), "ok");
                assert_eq!(rival.ask("check"), "false false");
            }
            assert_eq!(place.status().generation, round);
            coordinator.begin(FOREVER);
            for rival in &mut *rest {
                rival.tell("run");
            }
            if round % 2 == 1 {
                assert_eq!(first.reply("start"), "ok");
                first.tell("run");
                first.event("run");
            }
            for rival in rest {
                rival.event("run");
            }
            coordinator.complete();
        }
    });
}
