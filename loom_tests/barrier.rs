//! Models of the barrier (`table/barrier.rs`): SYNC POINT barrier-watch.

use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER, World};
use crate::sync::{Env, Owner, Pulse};
use crate::table::barrier::{Barrier, Passed};
use crate::table::barrier_wait::{Polled, Stay};
use crate::table::barrier_word::{Broken, Cause};

type Gate = Rc<Barrier<Loom, 3>>;

fn gate(parties: u64) -> Gate {
    let gate = Barrier::default();
    gate.fix(parties).unwrap();
    Rc::new(gate)
}

fn wait(gate: &Gate, actor: &Actor, until: u64) -> Passed {
    let me = actor.me();
    gate.wait(me, usize::from(me.slot), actor.env(), until)
        .unwrap()
}

#[test]
fn two_pass_together_and_one_leads() {
    Model::new("barrier, 2 parties").bound(2).check(|world| {
        let gate = gate(2);
        let leaders = Rc::new(std::cell::Cell::new(0));
        for _ in 0..2 {
            let (gate, leaders) = (Rc::clone(&gate), Rc::clone(&leaders));
            world.spawn(move |actor| match wait(&gate, actor, NEVER) {
                Passed::Through { leads } => leaders.set(leaders.get() + u32::from(leads)),
                other => panic!("{other:?}"),
            });
        }
        world.finish();
        assert_eq!(leaders.get(), 1);
    });
}

#[test]
fn who_comes_at_once_is_counted_one_by_one() {
    Model::new("barrier, 1 party, 2 come")
        .bound(3)
        .check(|world| {
            let gate = gate(1);
            for _ in 0..2 {
                let gate = Rc::clone(&gate);
                let alone = Passed::Through { leads: true };
                world.spawn(move |actor| assert_eq!(wait(&gate, actor, NEVER), alone));
            }
            world.finish();
        });
}

#[test]
fn a_party_killed_anywhere_hangs_nobody() {
    for portable in [false, true] {
        let model = Model::new("barrier, 2 parties, killed").bound(1);
        let model = if portable { model.portable() } else { model };
        kill_sweep(model, |_, world| {
            let gate = gate(2);
            let dying = Rc::clone(&gate);
            world.spawn_victim(move |actor| {
                let _ = wait(&dying, actor, NEVER);
            });
            world.spawn(move |actor| match wait(&gate, actor, 9) {
                // It may have died after all had arrived, or before it came.
                Passed::Through { .. } | Passed::TimedOut { arrived: 1 } => {}
                Passed::Broken(broken) => assert_eq!(broken.cause, Cause::Died),
                other => panic!("{other:?}"),
            });
            world.finish_in_time();
        });
    }
}

#[test]
fn the_death_of_one_who_waits_is_told_without_any_time() {
    Model::new("barrier, 3 parties, one dies waiting")
        .bound(2)
        .check(|world| {
            let gate = gate(3);
            let waiter = Rc::clone(&gate);
            world.spawn(move |actor| {
                let broken = Broken {
                    cause: Cause::Died,
                    process: Some(1),
                };
                assert_eq!(wait(&waiter, actor, NEVER), Passed::Broken(broken));
            });
            world.spawn(move |actor| {
                gate.arrive_and_stay(actor.me(), 1, actor.env());
                actor.die();
            });
            world.finish();
        });
}

#[test]
fn a_reset_is_told_to_who_waits_and_the_next_round_is_open() {
    Model::new("barrier, reset").bound(2).check(|world| {
        let gate = gate(2);
        let waiter = Rc::clone(&gate);
        world.spawn(move |actor| match wait(&waiter, actor, 9) {
            Passed::Broken(broken) => assert_eq!(broken.cause, Cause::Reset),
            Passed::TimedOut { arrived: 1 } => {}
            other => panic!("{other:?}"),
        });
        let resetter = Rc::clone(&gate);
        world.spawn(move |_| resetter.reset(1).unwrap());
        world.finish_in_time();
        gate.reset(0).unwrap();
        assert_eq!((gate.broken(), gate.arrived()), (Ok(None), 0));
    });
}

/// Two have passed and died before they gave their places up. In the next generation one
/// reads the places, and another takes a dead one's over.
fn one_looks_at_a_place_that_is_taken_over(
    world: &Rc<World>,
    look: fn(&Barrier<Loom, 3>, &Stay, &Actor),
) {
    let gate = gate(3);
    for slot in 1..=2 {
        // Of this name nobody lives in the model.
        let dead = Owner {
            generation: 0,
            ..world.owner(slot)
        };
        let entered = gate.enter(dead, slot, &Before, false).unwrap();
        assert!(entered.is_ok());
    }
    let leads = gate.enter(world.owner(0), 0, &Before, false).unwrap();
    assert_eq!(leads.err(), Some(Passed::Through { leads: true }));
    let entered = gate.enter(world.owner(0), 0, world.as_ref(), false);
    let stay = entered.unwrap().expect("two of three wait");
    let (looks, takes) = (Rc::clone(&gate), Rc::clone(&gate));
    world.spawn(move |actor| look(&looks, &stay, actor));
    world.spawn(move |actor| {
        let entered = takes.enter(actor.me(), 1, actor.env(), false).unwrap();
        assert!(entered.is_ok());
    });
    world.finish();
    assert_eq!((gate.broken(), gate.arrived()), (Ok(None), 2));
}

/// Before anybody died.
struct Before;

impl Env<Loom> for Before {
    fn now(&self) -> u64 {
        0
    }
    fn process_pulse(&self, _process: usize) -> Pulse<'_, Loom> {
        Pulse::Alive(None)
    }
    fn thread_pulse(&self, _owner: Owner) -> Pulse<'_, Loom> {
        Pulse::Alive(None)
    }
}

#[test]
fn the_dead_of_an_old_generation_are_not_taken_for_their_successors() {
    Model::new("barrier, a dead one's place is taken over")
        .bound(3)
        .check(|world| {
            one_looks_at_a_place_that_is_taken_over(world, |gate, stay, actor| {
                let (me, env) = (actor.me(), actor.env());
                let polled = gate.poll(stay, me, 0, env, NEVER, |_, _| ()).unwrap();
                assert_ne!(polled, Polled::Again, "it saw a death");
            });
        });
}

mod twins {
    use core::sync::atomic::Ordering;

    use super::*;
    use crate::loom_tests::memory::U32;
    use crate::sync::mem::{ALL, Mem, Word};

    const PARTIES: u32 = 3;

    /// The usual barrier: a count and a wake.
    fn count_in(word: &U32, actor: &Actor) {
        let mut count = word.fetch_add(1, Ordering::AcqRel) + 1;
        if count == PARTIES {
            return Loom::wake(Loom::cell(word), ALL);
        }
        while count < PARTIES {
            Loom::wait(Loom::cell(word), count, actor.env().now() + 1);
            count = word.load(Ordering::Acquire);
            assert!(actor.env().now() < 20, "it waits for the dead");
        }
    }

    #[test]
    fn a_count_that_does_not_know_who_died_is_caught() {
        must_fail("barrier, a count instead of places", || {
            kill_sweep(Model::new("twin").bound(1), |_, world| {
                let word = Rc::new(U32::default());
                for _ in 0..2 {
                    let word = Rc::clone(&word);
                    world.spawn(move |actor| count_in(&word, actor));
                }
                world.spawn_victim(move |actor| count_in(&word, actor));
                world.finish_in_time();
            });
        });
    }

    #[test]
    fn a_place_that_is_read_in_two_steps_is_caught() {
        must_fail("barrier, holder before generation", || {
            Model::new("variant").bound(3).check(|world| {
                one_looks_at_a_place_that_is_taken_over(world, |gate, _, actor| {
                    gate.look_once(actor.env());
                });
            });
        });
    }

    #[test]
    fn an_arrival_that_wakes_nobody_is_caught() {
        must_fail("barrier, nobody is woken to watch", || {
            Model::new("twin").bound(2).check(|world| {
                let gate = gate(3);
                let waiter = Rc::clone(&gate);
                world.spawn(move |actor| {
                    let _ = wait(&waiter, actor, NEVER);
                });
                world.spawn(move |actor| {
                    gate.arrive_silently(actor.me(), 1, actor.env());
                    actor.die();
                });
                world.finish();
            });
        });
    }
}
