//! Joining a group whose shutdown ends without the joiner.
//!
//! A runner that was admitted belongs to the generation that is on, and that generation
//! is not over before the runner has left.

use std::rc::Rc;

use super::adapters::{self, Join};
use super::model::{Model, scaled};
use super::world::World;

/// A joiner, a forced shutdown, and one that waits for the end of the generation and
/// begins the next.
fn joiners(world: &mut World, joiners: usize) {
    let founder = world.founder();
    let group = adapters::group::<2>(world, 0, &founder);
    // The generations that were found to be gone.
    let gone = world.ghost("gone");
    for process in 0..joiners {
        let (group, gone) = (Rc::clone(&group), Rc::clone(&gone));
        world.actor(&format!("joiner {process}"), move |me| {
            let joined = me.call("join", || adapters::join(&group, process, me));
            if let Join::Live(generation) = joined {
                me.atomically(|| {
                    assert_eq!(
                        adapters::generation(&group),
                        generation,
                        "of an old generation"
                    );
                    assert!(gone.get() < generation, "of a generation that was gone");
                });
            }
        });
    }
    let driven = Rc::clone(&group);
    world.actor("driver", move |me| {
        // Without a budget, every phase is forced.
        me.call("initiate", || adapters::initiate(&driven, 0, me));
    });
    world.actor("renewer", move |me| {
        if me.call("is gone", || adapters::is_gone(&group, 1, me)) == Some(true) {
            gone.set(1);
        }
        me.state_is("begins");
        me.call("begin", || adapters::begin_generation(&group, me));
    });
}

#[test]
fn one_joiner() {
    Model::new("join, forced shutdown, renewal, 1 joiner")
        .stops(scaled(4, 9))
        .holds(|world| joiners(world, 1));
}

#[test]
fn two_joiners() {
    Model::new("join, forced shutdown, renewal, 2 joiners")
        .stops(scaled(2, 4))
        .holds(|world| joiners(world, 2));
}
