//! The wake that moves no word (docs/design.md, section 5 (c)): one that leaves wakes all
//! sleepers, and one of them, between its look and its sleep, goes on watching it.

use std::rc::Rc;

use super::model::{Model, must_fail};
use super::shutdown::{FIRST, LONG, acknowledge, group, initiate, phase_of, wait_past};
use super::world::{Actor, NEVER, World};
use crate::phase::Phase;
use crate::table::group::Group;

type Three = Group<super::memory::Loom, 3>;

/// The first laggard leaves while another runner waits; the second laggard does `last`.
fn one_leaves(world: &Rc<World>, last: fn(&Three, &Actor)) -> Rc<Three> {
    let group = group::<3>(world, 3);
    let _ = initiate(&group, world, LONG);
    let [leaver, laggard, waiter] = [(); 3].map(|()| Rc::clone(&group));
    world.spawn(move |actor| {
        assert!(leaver.leave(0, FIRST, actor.env()).unwrap());
    });
    world.spawn(move |actor| last(&laggard, actor));
    world.spawn(move |actor| {
        let seen = waiter.scope.control();
        let _ = acknowledge(&waiter, 2, Phase::Signaling, actor.env());
        if seen.phase() == Ok(Phase::Signaling) {
            wait_past(&waiter, seen, actor.env(), NEVER).unwrap();
        }
    });
    group
}

fn acknowledges(group: &Three, actor: &Actor) {
    let _ = acknowledge(group, 1, Phase::Signaling, actor.env());
}

fn dies(_: &Three, actor: &Actor) {
    actor.die();
}

/// The clock stands still: the last to acknowledge looks for itself.
#[test]
fn a_laggard_that_acknowledges_needs_no_time() {
    Model::new("one leaves, the next acknowledges")
        .bound(2)
        .check(|world| {
            let group = one_leaves(world, acknowledges);
            world.finish();
            assert_eq!(phase_of(&group), Phase::Draining);
        });
}

/// A race and a death at once: found at the bound of a sleep.
#[test]
fn a_laggard_that_dies_is_found_in_time() {
    Model::new("one leaves, the next dies")
        .bound(2)
        .check(|world| {
            let group = one_leaves(world, dies);
            world.finish_in_time();
            assert_eq!(phase_of(&group), Phase::Draining);
        });
}

/// The document says that time is needed; were it not, the document would be wrong.
#[test]
fn a_laggard_that_dies_is_not_found_without_time() {
    must_fail("one leaves, the next dies, no time passes", || {
        Model::new("twin").bound(2).check(|world| {
            let _group = one_leaves(world, dies);
            world.finish();
        });
    });
}
