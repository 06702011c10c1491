//! Models of a task at a barrier, which may go away again (`table/barrier_wait.rs`): SYNC
//! POINT barrier-withdraw.

use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER, World};
use crate::limits::WAIT_BOUND_MICROS;
use crate::sync::{Env, Mem, life};
use crate::table::barrier::{Barrier, Passed};
use crate::table::barrier_wait::{Polled, Stay, Watched};
use crate::table::barrier_word::{Broken, Cause};

type Gate<const N: usize> = Rc<Barrier<Loom, N>>;
type Withdraw<const N: usize> = fn(&Barrier<Loom, N>, Stay) -> bool;

fn gate<const N: usize>(parties: u64) -> Gate<N> {
    let gate = Barrier::default();
    gate.fix(parties).unwrap();
    Rc::new(gate)
}

fn wait<const N: usize>(gate: &Gate<N>, actor: &Actor, until: u64) -> Passed {
    let me = actor.me();
    gate.wait(me, usize::from(me.slot), actor.env(), until)
        .unwrap()
}

fn enter<const N: usize>(gate: &Gate<N>, actor: &Actor, is_shared: bool) -> Result<Stay, Passed> {
    let me = actor.me();
    gate.enter(me, usize::from(me.slot), actor.env(), is_shared)
        .unwrap()
}

/// It is as new.
fn is_whole<const N: usize>(gate: &Gate<N>) -> bool {
    gate.is_vacant() && (gate.broken(), gate.arrived()) == (Ok(None), 0)
}

/// One look and one sleep, as the thread of a task does for it.
fn look_and_sleep<const N: usize>(gate: &Gate<N>, actor: &Actor, stay: &Stay) -> Polled {
    let (me, env) = (actor.me(), actor.env());
    let (mut cells, mut lives) = (Vec::new(), Vec::new());
    let polled = gate.poll(
        stay,
        me,
        usize::from(me.slot),
        env,
        NEVER,
        |on, value| match on {
            Watched::Control(cell) => cells.push((cell, value)),
            Watched::Life(word) => {
                cells.push((Loom::cell(word), value));
                lives.push(word);
            }
        },
    );
    let polled = polled.unwrap();
    if polled == Polled::Asleep {
        Loom::wait_any(&cells, env.now() + WAIT_BOUND_MICROS);
        life::pass_on::<Loom>(lives);
    }
    polled
}

/// A task comes and goes while a thread, which has no other party, waits for a time.
fn one_withdraws(world: &Rc<World>, withdraw: Withdraw<2>) {
    let gate = gate(2);
    let [goes, waits] = [(); 2].map(|()| Rc::clone(&gate));
    let has_gone = Rc::new(std::cell::Cell::new(false));
    let has_passed = Rc::new(std::cell::Cell::new(false));
    let (gone, passed) = (Rc::clone(&has_gone), Rc::clone(&has_passed));
    world.spawn(move |actor| {
        if let Ok(stay) = enter(&goes, actor, true) {
            gone.set(withdraw(&goes, stay));
        }
    });
    world.spawn(move |actor| match wait(&waits, actor, 9) {
        Passed::Through { .. } => passed.set(true),
        Passed::TimedOut { arrived: 1 } => {}
        other => panic!("{other:?}"),
    });
    world.finish_in_time();
    assert_ne!(has_gone.get(), has_passed.get(), "it is out, or has passed");
    gate.reset(0).unwrap();
    assert!(is_whole(&gate));
}

#[test]
fn one_that_withdraws_was_never_there_or_has_passed() {
    Model::new("barrier, a task withdraws from a trip")
        .bound(2)
        .check(|world| one_withdraws(world, Barrier::withdraw));
}

#[test]
fn a_withdrawal_that_leaves_its_count_is_caught() {
    must_fail("barrier, withdrawn but counted", || {
        Model::new("twin")
            .bound(2)
            .check(|world| one_withdraws(world, Barrier::withdraw_uncounted));
    });
}

#[test]
fn a_withdrawal_from_the_next_generation_is_caught() {
    must_fail("barrier, withdrawn from the next generation", || {
        Model::new("twin")
            .bound(2)
            .check(|world| one_withdraws(world, Barrier::withdraw_blindly));
    });
}

/// A thread and a task wait already. One comes and dies waiting, and the task, which may be
/// the only one that was woken to watch it, goes away. Nobody needs time to be told.
fn one_withdraws_and_one_dies(world: &Rc<World>, is_shared: bool) {
    let gate = gate::<4>(4);
    let enter = |slot: usize, is_shared| {
        let entered = gate.enter(world.owner(slot), slot, world.as_ref(), is_shared);
        entered.unwrap().unwrap()
    };
    let (stays, goes) = (enter(2, false), enter(0, is_shared));
    let here = Rc::clone(&gate);
    world.spawn(move |actor| match look_and_sleep(&here, actor, &goes) {
        Polled::Over(_) => {}
        _ => drop(here.withdraw(goes)),
    });
    let dies = Rc::clone(&gate);
    world.spawn(move |actor| {
        dies.arrive_and_stay(actor.me(), 1, actor.env());
        actor.die();
    });
    // The last, so that every thread it watches has its life word.
    world.spawn(move |actor| {
        let passed = loop {
            match look_and_sleep(&gate, actor, &stays) {
                Polled::Over(passed) => break passed,
                polled => assert_ne!(polled, Polled::AsleepSoon),
            }
        };
        let by_death = Broken {
            cause: Cause::Died,
            process: Some(1),
        };
        assert_eq!(passed, Passed::Broken(by_death));
    });
    world.finish();
}

#[test]
fn who_withdraws_leaves_nobody_unwatched() {
    Model::new("barrier, a task withdraws, one dies waiting")
        .bound(1)
        .check(|world| one_withdraws_and_one_dies(world, true));
}

#[test]
fn a_task_that_does_not_say_so_is_caught() {
    must_fail("barrier, a task without its flag", || {
        Model::new("twin")
            .bound(1)
            .check(|world| one_withdraws_and_one_dies(world, false));
    });
}

/// Killed anywhere from its arrival to the end of its withdrawal.
#[test]
fn one_killed_in_withdrawing_hangs_nobody() {
    for portable in [false, true] {
        let model = Model::new("barrier, a task killed in withdrawing").bound(1);
        let model = if portable { model.portable() } else { model };
        kill_sweep(model, |_, world| {
            let gate = gate::<2>(2);
            let [dies, waits] = [(); 2].map(|()| Rc::clone(&gate));
            world.spawn_victim(move |actor| {
                if let Ok(stay) = enter(&dies, actor, true) {
                    dies.withdraw(stay);
                }
            });
            world.spawn(move |actor| match wait(&waits, actor, 9) {
                Passed::Through { .. } | Passed::TimedOut { arrived: 1 } => {}
                Passed::Broken(broken) => assert_eq!(broken.cause, Cause::Died),
                other => panic!("{other:?}"),
            });
            world.finish_in_time();
            // Whatever is left: who comes next is told, and then it can be used again.
            gate.hand_over(world.owner(0));
            gate.reset(1).unwrap();
            assert!(is_whole(&gate));
        });
    }
}
