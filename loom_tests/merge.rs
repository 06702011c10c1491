//! Several hands on one shutdown: merging initiators, cancelling against the commit
//! point, renewal by whoever is there.

use std::cell::Cell;
use std::rc::Rc;

use super::model::{Model, kill_sweep};
use super::shutdown::{LONG, acknowledge, group, initiate, phase_of};
use crate::phase::{Mode, Phase};
use crate::table::acknowledge::Acked;
use crate::table::control::{Ask, Stage};
use crate::table::scope::{Cancelled, Initiated};

#[test]
fn two_initiators_merge_into_one_shutdown() {
    Model::new("merge of two initiators")
        .bound(2)
        .check(|world| {
            let group = group::<1>(world, 1);
            let drives = Rc::new(Cell::new(0));
            let asks = [
                Ask {
                    mode: Mode::Fast,
                    budget_millis: 9_000,
                    ..LONG
                },
                Ask {
                    mode: Mode::Graceful,
                    budget_millis: 1_000,
                    ..LONG
                },
            ];
            for ask in asks {
                let (group, drives) = (Rc::clone(&group), Rc::clone(&drives));
                world.spawn(move |initiator| {
                    if let Initiated::Drives(_) = initiate(&group, initiator.env(), ask) {
                        drives.set(drives.get() + 1);
                    }
                });
            }
            world.finish();
            assert_eq!(drives.get(), 1, "one drives, the other merges");
            let control = group.scope.control();
            assert_eq!(control.mode(), Mode::Fast);
            assert_eq!(control.budget_millis(), 1_000);
            assert_eq!(control.phase(), Ok(Phase::Signaling));
        });
}

#[test]
fn cancel_and_commit_exclude_each_other() {
    Model::new("cancel against commit").check(|world| {
        let group = group::<1>(world, 1);
        let _ = initiate(&group, world, LONG);
        let _ = acknowledge(&group, 0, Phase::Signaling, world);
        let cancelled = Rc::new(Cell::new(None));
        let (shared, result) = (Rc::clone(&group), Rc::clone(&cancelled));
        world.spawn(move |_| result.set(Some(shared.scope.cancel().unwrap())));
        let shared = Rc::clone(&group);
        world.spawn(move |runner| {
            // Whether it counts is for the epoch to say.
            let _ = acknowledge(&shared, 0, Phase::Draining, runner.env());
        });
        world.finish();
        let control = group.scope.control();
        match cancelled.get() {
            Some(Cancelled::Done) => {
                assert_eq!((control.phase(), control.epoch()), (Ok(Phase::Running), 1));
                // The acknowledgement of the cancelled shutdown counts for no other.
                let _ = initiate(&group, world, LONG);
                assert_eq!(phase_of(&group), Phase::Signaling);
            }
            Some(Cancelled::TooLate(phase)) => {
                assert_eq!(
                    (phase, control.phase()),
                    (Phase::Closing, Ok(Phase::Closing))
                );
            }
            _ => unreachable!("a shutdown was on"),
        }
    });
}

#[test]
fn an_extension_never_passes_the_cap() {
    Model::new("two extensions").bound(2).check(|world| {
        let group = group::<1>(world, 1);
        let ask = Ask {
            budget_millis: 1_000,
            ..LONG
        };
        let _ = initiate(&group, world, ask);
        let granted = Rc::new(Cell::new(0));
        for _ in 0..2 {
            let (group, granted) = (Rc::clone(&group), Rc::clone(&granted));
            world.spawn(move |_| {
                let more = group.scope.extend(group.scope.control(), 600_000, 1);
                granted.set(granted.get() + more);
            });
        }
        world.finish();
        // Signaling has 100 ms of the 1000: at most 900 more.
        assert!(granted.get() <= 900_000, "granted {}", granted.get());
        assert!(granted.get() >= 600_000);
    });
}

/// The one who begins a generation is killed at every point; a second one finishes it,
/// and the number goes up by exactly one.
#[test]
fn a_generation_begun_by_the_dead_is_begun_once() {
    kill_sweep(
        Model::new("begin generation, killed").bound(2),
        |_, world| {
            let group = group::<1>(world, 0);
            let _ = initiate(&group, world, LONG);
            assert_eq!(phase_of(&group), Phase::Complete);
            let begin = |group: &crate::table::group::Group<super::memory::Loom, 1>| {
                let control = group.scope.control();
                if control.stage() == Ok(Stage::Phase(Phase::Complete)) {
                    group.generation.begin(&group.scope, control).unwrap();
                } else {
                    group.generation.help(&group.scope).unwrap();
                }
            };
            let shared = Rc::clone(&group);
            world.spawn_victim(move |_| begin(&shared));
            let shared = Rc::clone(&group);
            world.spawn(move |_| begin(&shared));
            world.finish_in_time();
            begin(&group);
            assert_eq!(group.generation.current(), 2);
            assert_eq!(
                (phase_of(&group), group.scope.control().epoch()),
                (Phase::Running, 1)
            );
        },
    );
}

/// An acknowledgement repeated by two threads of one runner gives one answer.
#[test]
fn an_acknowledgement_may_be_repeated() {
    Model::new("acknowledge twice").bound(2).check(|world| {
        let group = group::<2>(world, 2);
        let _ = initiate(&group, world, LONG);
        for _ in 0..2 {
            let group = Rc::clone(&group);
            world.spawn(move |runner| {
                let acked = acknowledge(&group, 0, Phase::Signaling, runner.env());
                assert_eq!(acked, Acked::InTime);
            });
        }
        world.finish();
        assert_eq!(phase_of(&group), Phase::Signaling);
    });
}
