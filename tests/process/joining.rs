//! Who may become a runner, and when.

use std::time::Duration;

use crate::support::{Shutdown, both, once};
use ebbtide::{CoordinationError, Phase, Runner, ShutdownCoordinator, limits};

#[test]
fn late_joiner_is_refused_with_phase_and_reason_and_uses_no_slot() {
    both(here!(), |place| {
        let segment = place.create();
        let mut early = place.runner(&segment, "early");
        let mut late = place.agent(&segment);
        let coordinator = ShutdownCoordinator::new(&segment);
        assert_eq!(
            early.ask("initiate all 3600000 graceful a new version"),
            "Drives"
        );
        for phase in [
            Phase::Signaling,
            Phase::Draining,
            Phase::Closing,
            Phase::Complete,
        ] {
            assert_eq!(place.status().phase, phase);
            for _ in 0..3 {
                let told = late.ask("join late");
                assert!(told.starts_with("err ShuttingDown"), "{told}");
                let error = Runner::join(&segment, "late").unwrap_err();
                let CoordinationError::ShuttingDown {
                    phase: now,
                    reason,
                    remaining,
                } = error
                else {
                    panic!("{error:?}")
                };
                assert_eq!(now, phase);
                assert_eq!(reason, "idle: a new version");
                // Nothing remains of a shutdown that is over.
                assert_eq!(remaining > Duration::ZERO, phase != Phase::Complete);
                assert!(remaining <= Duration::from_secs(3600));
            }
            let status = place.status();
            assert_eq!(status.runners.len(), 1, "{:?}", status.runners);
            if phase != Phase::Complete {
                assert_eq!(early.ask(&format!("acknowledge {phase}")), "InTime");
            }
        }
        // The first generation still lives.
        assert_eq!(early.ask("leave"), "ok");
        assert_eq!(coordinator.begin_generation().unwrap(), 2);
        assert_eq!(late.ask("join late"), "ok");
        assert_eq!(late.ask("check"), "false false");
        assert_eq!(place.status().runners.len(), 1);
        assert_eq!(place.status().generation, 2);
    });
}

#[test]
fn an_id_belongs_to_one_living_runner() {
    both(here!(), |place| {
        let segment = place.create();
        let mut holder = place.runner(&segment, "worker");
        let mut other = place.agent(&segment);
        let told = other.ask("join worker");
        assert!(
            told.starts_with("err DuplicateRunner") && told.contains(&holder.pid().to_string()),
            "{told}"
        );
        // Not even for the holder itself, but an id that only begins like it is another.
        assert!(holder.ask("join worker").starts_with("err DuplicateRunner"));
        assert_eq!(other.ask("join worker_b"), "ok");
        let mut third = place.agent(&segment);
        assert_eq!(third.ask("join work"), "ok");

        holder.kill();
        let mut heir = place.agent(&segment);
        assert_eq!(heir.ask("join worker"), "ok");
        assert_eq!(heir.ask("leave"), "ok");
        assert_eq!(third.ask("leave"), "ok");
        assert_eq!(third.ask("join worker"), "ok");
    });
}

#[test]
fn a_frozen_runner_keeps_its_id() {
    both(here!(), |place| {
        let segment = place.create();
        let holder = place.runner(&segment, "worker");
        holder.stop();
        let error = Runner::join(&segment, "worker").unwrap_err();
        assert_is!(error, CoordinationError::DuplicateRunner { pid, .. } if pid == holder.pid());
    });
}

#[test]
fn of_many_that_want_one_id_at_once_one_gets_it() {
    both(here!(), |place| {
        let segment = place.create();
        let mut rivals: [_; 6] = std::array::from_fn(|_| place.agent(&segment));
        for rival in &mut rivals {
            // Attached, and waiting for the next order.
            assert!(rival.ask("report all").starts_with("Running"));
        }
        for round in 0..10 {
            for rival in &mut rivals {
                rival.tell(&format!("join worker-{round}"));
            }
            let told = rivals.each_mut().map(|rival| rival.reply("join"));
            let winners = told.iter().filter(|told| *told == "ok").count();
            assert_eq!(winners, 1, "round {round}: {told:?}");
            assert!(
                told.iter()
                    .all(|told| told == "ok" || told.starts_with("err DuplicateRunner"))
            );
        }
    });
}

#[test]
fn ids_are_checked() {
    once(here!(), |place| {
        let segment = place.create();
        let longest = "x".repeat(limits::ID_BYTES);
        for good in ["a", "worker 1", "größe", longest.as_str()] {
            assert_eq!(Runner::join(&segment, good).unwrap().id(), good);
        }
        let too_long = "x".repeat(limits::ID_BYTES + 1);
        for bad in ["", "a/b", "a\nb", "a\0", too_long.as_str(), &"ä".repeat(33)] {
            let error = Runner::join(&segment, bad).unwrap_err();
            assert_is!(error, CoordinationError::InvalidName { .. });
        }
        assert_eq!(
            place
                .status()
                .runners
                .iter()
                .filter(|r| r.alive && r.outcome.is_none())
                .count(),
            0
        );
    });
}

/// Joining and initiating at the same moment: either the runner is refused, or the
/// shutdown waits for it. There is nothing in between. (A shutdown that meets nobody stops
/// nobody, so one is there all the time.)
#[test]
fn a_joiner_is_refused_or_waited_for() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut joiners: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
        let (mut joined, mut refused) = (0, 0);
        let mut there = place.agent(&segment);
        for round in 1..=40 {
            assert_eq!(there.ask("join there"), "ok");
            there.tell("run");
            for (index, joiner) in joiners.iter_mut().enumerate() {
                if index == round % 4 {
                    joiner.tell("initiate all 3600000");
                } else {
                    joiner.tell(&format!("join {index}"));
                }
            }
            for (index, joiner) in joiners.iter_mut().enumerate() {
                let told = joiner.reply("join or initiate");
                if index == round % 4 {
                    assert_eq!(told, "Drives");
                } else if told == "ok" {
                    joined += 1;
                    // If the shutdown had not waited, this would come too late.
                    for phase in Phase::ACKNOWLEDGED {
                        joiner.tell(&format!("acknowledge-when {phase}"));
                    }
                } else {
                    assert!(told.starts_with("err ShuttingDown"), "{told}");
                    refused += 1;
                }
            }
            let report = coordinator.complete();
            assert_eq!(report.generation as usize, round);
            there.event("run");
            for runner in report.runners.iter().filter(|r| r.id != "there") {
                let joiner = &mut joiners[runner.id.parse::<usize>().unwrap()];
                for _ in Phase::ACKNOWLEDGED {
                    assert_eq!(joiner.reply("acknowledge"), "InTime");
                }
                assert_eq!(joiner.ask("leave"), "ok");
            }
            assert_eq!(coordinator.begin_generation().unwrap() as usize, round + 1);
        }
        println!("{joined} joined, {refused} were refused");
    });
}
