//! Acknowledging and advancing: the last to resolve a laggard advances, whoever dies.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use loom::sync::atomic::AtomicU32;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::shutdown::{FIRST, LONG, acknowledge, group, initiate, phase_of, wait_past};
use super::world::{NEVER, World};
use crate::phase::Phase;
use crate::sync::Mem;
use crate::table::acknowledge::Acked;
use crate::table::group::Group;

/// `N` runners acknowledge Signaling at the same time and all get past it.
fn all_acknowledge<const N: usize>(world: &Rc<World>) {
    let group = group::<N>(world, N);
    let _ = initiate(&group, world, LONG);
    for slot in 0..N {
        let group = Rc::clone(&group);
        world.spawn(move |runner| {
            let seen = group.scope.control();
            assert_eq!(
                acknowledge(&group, slot, Phase::Signaling, runner.env()),
                Acked::InTime
            );
            if seen.phase() == Ok(Phase::Signaling) {
                wait_past(&group, seen, runner.env(), NEVER).unwrap();
            }
            assert_eq!(phase_of(&group), Phase::Draining);
        });
    }
    world.finish();
}

#[test]
fn two_runners_pass_a_phase_together() {
    Model::new("acknowledge and advance, 2 runners")
        .bound(2)
        .check(all_acknowledge::<2>);
}

#[test]
fn three_runners_pass_a_phase_together() {
    Model::new("acknowledge and advance, 3 runners")
        .bound(1)
        .check(all_acknowledge::<3>);
}

/// Two runners; one is killed at every point of its acknowledgement. The other gets on,
/// by its own look or because the death wakes it.
#[test]
fn an_acknowledger_killed_anywhere_holds_nobody_up() {
    kill_sweep(
        Model::new("acknowledge, last one killed").bound(1),
        |_, world| {
            let group = group::<2>(world, 2);
            let _ = initiate(&group, world, LONG);
            let shared = Rc::clone(&group);
            world.spawn_victim(move |victim| {
                let _ = acknowledge(&shared, 0, Phase::Signaling, victim.env());
            });
            world.spawn(move |survivor| {
                let seen = group.scope.control();
                let _ = acknowledge(&group, 1, Phase::Signaling, survivor.env());
                if seen.phase() == Ok(Phase::Signaling) {
                    wait_past(&group, seen, survivor.env(), NEVER).unwrap();
                }
                assert_ne!(phase_of(&group), Phase::Signaling);
                // Whoever looks gives the phase the time that its publisher could not.
                let _ = group.advance(survivor.env()).unwrap();
                let now = group.scope.control();
                let entered = group.scope.entered(now.phase().unwrap(), now.epoch());
                assert!(entered.is_some(), "a phase without a time");
            });
            world.finish_in_time();
        },
    );
}

/// One dies without a word while two wait for it, and the clock stands still: the
/// kernel's one wake-up must reach everybody.
#[test]
fn one_death_wakes_every_waiter() {
    Model::new("a death wakes all waiters")
        .bound(1)
        .check(|world| {
            let group = group::<3>(world, 3);
            let _ = initiate(&group, world, LONG);
            world.spawn(|victim| victim.die());
            for slot in 1..3 {
                let group = Rc::clone(&group);
                world.spawn(move |waiter| {
                    let seen = group.scope.control();
                    let _ = acknowledge(&group, slot, Phase::Signaling, waiter.env());
                    if seen.phase() == Ok(Phase::Signaling) {
                        wait_past(&group, seen, waiter.env(), NEVER).unwrap();
                    }
                });
            }
            world.finish();
            assert_eq!(phase_of(&group), Phase::Draining);
        });
}

/// The initiator is killed at every point; if the shutdown began, the runner
/// takes it on.
#[test]
fn an_initiator_killed_anywhere_is_not_needed() {
    kill_sweep(Model::new("initiator killed").bound(1), |_, world| {
        let group = group::<1>(world, 1);
        let shared = Rc::clone(&group);
        world.spawn(move |runner| {
            let mut seen = shared.scope.control();
            for phase in [Phase::Signaling] {
                while seen.phase().unwrap() < phase {
                    match wait_past(&shared, seen, runner.env(), 1_000_000) {
                        Some(next) => seen = next,
                        None => {
                            assert_eq!(seen.phase(), Ok(Phase::Running));
                            return;
                        }
                    }
                }
                assert_eq!(acknowledge(&shared, 0, phase, runner.env()), Acked::InTime);
            }
            assert_eq!(phase_of(&shared), Phase::Draining);
        });
        world.spawn_victim(move |initiator| {
            let _ = initiate(&group, initiator.env(), LONG);
        });
        world.finish_in_time();
    });
}

/// A runner leaves while another waits for it.
#[test]
fn leaving_resolves_a_laggard() {
    Model::new("leave while waited for")
        .bound(2)
        .check(|world| {
            let group = group::<2>(world, 2);
            let _ = initiate(&group, world, LONG);
            let shared = Rc::clone(&group);
            world.spawn(move |leaver| {
                assert!(shared.leave(0, FIRST, leaver.env()).unwrap());
            });
            world.spawn(move |waiter| {
                let seen = group.scope.control();
                let _ = acknowledge(&group, 1, Phase::Signaling, waiter.env());
                if seen.phase() == Ok(Phase::Signaling) {
                    wait_past(&group, seen, waiter.env(), NEVER).unwrap();
                }
            });
            world.finish();
        });
}

/// A hung runner is passed at the deadline, and told that it was late.
#[test]
fn the_deadline_passes_a_hung_runner() {
    Model::new("forced at the deadline")
        .bound(1)
        .check(|world| {
            let group = group::<2>(world, 2);
            let _ = initiate(
                &group,
                world,
                crate::table::control::Ask {
                    budget_millis: 1000,
                    ..LONG
                },
            );
            let shared = Rc::clone(&group);
            world.spawn(move |waiter| {
                let seen = shared.scope.control();
                let _ = acknowledge(&shared, 1, Phase::Signaling, waiter.env());
                wait_past(&shared, seen, waiter.env(), NEVER).unwrap();
                assert_eq!(phase_of(&shared), Phase::Draining);
            });
            world.finish_in_time();
            assert_eq!(acknowledge(&group, 0, Phase::Signaling, world), Acked::Late);
        });
}

/// The bare pattern of two acknowledgers, with and without the fence.
fn both_acknowledge(fenced: bool) {
    Model::new(if fenced {
        "acknowledge, bare"
    } else {
        "acknowledge, no fence"
    })
    .check(move |world| {
        let words = Rc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let advanced = Rc::new(std::cell::Cell::new(0));
        for me in 0..2 {
            let (words, advanced) = (Rc::clone(&words), Rc::clone(&advanced));
            world.spawn(move |_| {
                let _ = words[me].compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
                if fenced {
                    Loom::fence(Ordering::SeqCst);
                }
                if words[1 - me].load(Ordering::Acquire) == 1 {
                    advanced.set(advanced.get() + 1);
                }
            });
        }
        world.finish();
        assert!(
            advanced.get() > 0,
            "the last acknowledger did not see that it was the last"
        );
    });
}

#[test]
fn the_fence_is_needed() {
    both_acknowledge(true);
    must_fail("advance without its fence", || both_acknowledge(false));
}

/// A twin that publishes the next phase without waking.
fn publish_silently(group: &Group<Loom, 2>) {
    // The same word by the same step, through a renewal that wakes nobody.
    let control = group.scope.control();
    let _ = group.scope.begin_renewing(control);
}

#[test]
fn a_missing_wake_is_caught() {
    must_fail("advance without a wake", || {
        Model::new("advance, no wake").bound(2).check(|world| {
            let group = group::<2>(world, 2);
            let _ = initiate(&group, world, LONG);
            let shared = Rc::clone(&group);
            world.spawn(move |_| publish_silently(&shared));
            world.spawn(move |waiter| {
                let seen = group.scope.control();
                if seen.phase() == Ok(Phase::Signaling) {
                    wait_past(&group, seen, waiter.env(), NEVER).unwrap();
                }
            });
            world.finish();
        });
    });
}
