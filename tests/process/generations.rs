//! One life of the group after another, without overlap.

use std::time::Duration;

use crate::support::{HANG, Shutdown, both};
use ebbtide::{CoordinationError, Initiation, Phase, ShutdownCoordinator};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn a_generation_begins_only_after_complete_and_without_the_old_runners() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        let refused = coordinator.begin_generation();
        assert_is!(
            refused,
            Err(CoordinationError::NotComplete {
                generation: 1,
                phase: Phase::Running
            })
        );
        coordinator.begin(FOREVER);
        for phase in Phase::ACKNOWLEDGED {
            let refused = coordinator.begin_generation();
            assert_is!(refused, Err(CoordinationError::NotComplete { phase: now, .. }) if now == phase);
            assert_eq!(a.ask(&format!("acknowledge {phase}")), "InTime");
            assert_eq!(b.ask(&format!("acknowledge {phase}")), "InTime");
        }
        // All is done, but they live.
        for left in ["a", "b"] {
            let refused = coordinator.begin_generation();
            assert_is!(&refused, Err(CoordinationError::Occupied { generation: 1, id, .. }) if id == left);
            let refused = coordinator.wait_gone(1, Duration::from_millis(20));
            assert_is!(&refused, Err(CoordinationError::Occupied { id, .. }) if id == left);
            match left {
                "a" => assert_eq!(a.ask("leave"), "ok"),
                _ => b.kill(),
            }
        }
        coordinator.wait_gone(1, HANG).unwrap();
        assert_eq!(coordinator.begin_generation().unwrap(), 2);
        let refused = coordinator.begin_generation();
        assert_is!(
            refused,
            Err(CoordinationError::NotComplete {
                generation: 2,
                phase: Phase::Running
            })
        );
        let status = place.status();
        assert_eq!((status.generation, status.phase), (2, Phase::Running));
        assert!(status.runners.is_empty(), "{:?}", status.runners);

        // The spent handle of the first generation stays spent.
        assert!(a.ask("begin").starts_with("err Left"));
        assert_eq!(a.ask("join a"), "ok");
        assert_eq!(a.ask("begin"), "ok");
        assert_eq!(a.ask("end"), "ok");
        coordinator.begin(FOREVER);
        a.tell("run");
        assert_eq!(a.event("run"), "Completed a=Completed");
        let report = coordinator.complete();
        assert_eq!(report.generation, 2);
    });
}

#[test]
fn a_frozen_runner_of_the_old_generation_keeps_the_new_one_out() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut frozen = place.runner(&segment, "frozen");
        frozen.stop();
        coordinator.begin(Duration::from_millis(50));
        coordinator.complete();
        let refused = coordinator.begin_generation();
        assert_is!(&refused, Err(CoordinationError::Occupied { id, pid, .. }) if id == "frozen" && *pid == frozen.pid());
        let waiter = coordinator.clone();
        let waiting = std::thread::spawn(move || waiter.wait_gone(1, HANG));
        frozen.kill();
        waiting.join().unwrap().unwrap();
        assert_eq!(coordinator.begin_generation().unwrap(), 2);
    });
}

#[test]
fn a_generation_of_nobody_is_gone_at_once() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.wait_gone(1, Duration::ZERO).unwrap();
        coordinator.wait_gone(7, Duration::ZERO).unwrap();
        for generation in 1..=100 {
            assert_eq!(coordinator.status().unwrap().generation, generation);
            assert_eq!(coordinator.begin(FOREVER), Initiation::Drives);
            assert_eq!(coordinator.begin_generation().unwrap(), generation + 1);
        }
    });
}

#[test]
fn many_that_restart_at_once_begin_one_generation() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut rivals: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
        for round in 1..=10 {
            coordinator.begin(FOREVER);
            for rival in &mut rivals {
                assert!(rival.ask("report all").starts_with("Completed"));
            }
            for rival in &mut rivals {
                rival.tell("restart");
            }
            let mut told = rivals.each_mut().map(|rival| rival.reply("restart"));
            told.sort();
            // One begins it; the others find it begun.
            assert_eq!(told[0], (round + 1).to_string(), "{told:?}");
            assert!(
                told[1..]
                    .iter()
                    .all(|told| told.starts_with("err NotComplete")),
                "{told:?}"
            );
            assert_eq!(place.status().generation, round + 1);
        }
    });
}
