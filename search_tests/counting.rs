//! Marking dead runners and acknowledging, by ones that are stopped while the slot gets
//! other holders.
//!
//! A living runner is not marked dead, and a phase does not pass before the present runner
//! has acknowledged it.

use std::rc::Rc;

use super::adapters::{self, Epoch, Join, Registry};
use super::model::{Model, scaled};
use super::world::World;
use crate::phase::Phase;
use crate::width;

/// Holders after which the generation of a narrow slot is the same again.
const WRAP: u64 = 4;

/// The runner of slot 0 dies; a finder of that is stopped, and `holders` other runners take
/// the slot in turn, in the same process slot. The last of them stays.
fn counter(world: &mut World, holders: u64) {
    let registry = Registry::new(world);
    let group = adapters::group::<1>(world, 1, &*registry);
    let is_in = world.ghost("is in");
    let (counted, env) = (Rc::clone(&group), Rc::clone(&registry));
    world.actor("counter", move |me| {
        me.call("count out", || adapters::count_out_dead(&counted, &*env));
    });
    let (held, last) = (Rc::clone(&group), Rc::clone(&is_in));
    world.actor("holders", move |me| {
        registry.set(0, false);
        me.call("count out", || adapters::count_out_dead(&held, &*registry));
        registry.set(0, true);
        for holder in 1..=holders {
            me.state_is(holder);
            let joined = me.call("join", || adapters::join(&held, 0, &*registry));
            assert_eq!(joined, Join::Live(1));
            if holder < holders {
                let generation = me.atomically(|| adapters::slot_generation(&held));
                assert!(me.call("leave", || adapters::leave(&held, generation, &*registry)));
            }
        }
        last.set(1);
    });
    world.always(move |_| {
        assert!(
            is_in.get() == 0 || adapters::is_live(&group),
            "a living runner is marked dead"
        );
    });
}

#[test]
fn one_that_marks_the_dead_is_stopped() {
    Model::new("mark dead, 3 holders").holds(|world| counter(world, 3));
    let around = Model::new("mark dead, the generation of the slot wraps if it is narrow");
    match adapters::wraps(width::RUNNER) {
        true => drop(around.must_be_found(|world| counter(world, WRAP))),
        false => around.holds(|world| counter(world, WRAP)),
    }
}

/// A runner acknowledges Signaling and is stopped; `holders` others take its slot in turn,
/// each in a shutdown of its own, and the last one's is on.
fn acknowledger(world: &mut World, holders: u64) {
    let registry = Registry::new(world);
    let group = adapters::group::<1>(world, 1, &*registry);
    adapters::initiate(&group, 1000, &*registry);
    let waits = world.ghost("is waited for");
    let (acked, env) = (Rc::clone(&group), Rc::clone(&registry));
    world.actor("acknowledger", move |me| {
        let epoch: Epoch = 0;
        let _ = me.call("acknowledge", || {
            adapters::acknowledge(&acked, 1, epoch, &*env)
        });
    });
    let (held, waited) = (Rc::clone(&group), Rc::clone(&waits));
    world.actor("holders", move |me| {
        for holder in 1..=holders {
            me.state_is(holder);
            let generation = me.atomically(|| adapters::slot_generation(&held));
            if !me.call("cancel", || adapters::cancel(&held)) {
                return;
            }
            assert!(me.call("leave", || adapters::leave(&held, generation, &*registry)));
            let joined = me.call("join", || adapters::join(&held, 1, &*registry));
            assert_eq!(joined, Join::Live(1));
            waited.set(1);
            me.call("initiate", || adapters::initiate(&held, 1000, &*registry));
            if holder < holders {
                waited.set(0);
            }
        }
    });
    world.always(move |_| {
        let phase = group.scope.control().phase().unwrap();
        assert!(
            waits.get() == 0 || phase <= Phase::Signaling,
            "passed without its runner"
        );
    });
}

#[test]
fn an_acknowledger_is_stopped() {
    Model::new("acknowledge, 2 holders").holds(|world| acknowledger(world, 2));
    let around =
        Model::new("acknowledge, epoch and generation wrap if they are narrow").stops(scaled(3, 6));
    match adapters::wraps(width::RUNNER) {
        true => drop(around.must_be_found(|world| acknowledger(world, WRAP))),
        false => around.holds(|world| acknowledger(world, WRAP)),
    }
}
