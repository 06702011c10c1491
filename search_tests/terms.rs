//! The terms of a shutdown, under initiators that are stopped anywhere.
//!
//! Terms that were published for an epoch stay whole while the epoch lasts: an initiator
//! of an earlier epoch that goes on takes nothing of them away.

use std::rc::Rc;

use super::adapters::{self, Shutdowns};
use super::model::{Model, scaled};
use super::world::World;
use crate::width;

/// Initiators that propose, initiate and cancel, each so often; returns the scope.
fn initiators_in_rounds(world: &mut World, rounds: &[u32]) -> Rc<Shutdowns> {
    let shutdowns = Shutdowns::new(world);
    // The epoch that terms were published for last, plus one.
    let published = world.ghost("published");
    for (process, rounds) in rounds.iter().copied().enumerate() {
        let (shutdowns, published) = (Rc::clone(&shutdowns), Rc::clone(&published));
        world.actor(&format!("initiator {process}"), move |me| {
            for round in 0..rounds {
                me.state_is(round);
                let seen = shutdowns.scope.control();
                if seen.is_shutting_down() {
                    continue;
                }
                me.call("propose", || shutdowns.propose(seen, process, me));
                me.atomically(|| {
                    let epoch = shutdowns.scope.control().epoch();
                    if shutdowns.has_terms(epoch) {
                        published.set(epoch + 1);
                    }
                });
                me.state_is(("proposed", round));
                let _ = me.call("initiate", || shutdowns.initiate(1000, me));
                me.state_is(("initiated", round));
                me.call("cancel", || shutdowns.cancel());
            }
        });
    }
    let checked = Rc::clone(&shutdowns);
    world.always(move |_| {
        let epoch = checked.scope.control().epoch();
        if checked.has_terms(epoch) {
            assert!(checked.terms_are_of_one(epoch), "not what was published");
            assert!(
                checked.reason_is_of_one(epoch),
                "a reason that was not given"
            );
        }
    });
    shutdowns
}

/// Initiators of one shutdown each, and readers of the terms.
fn initiators(world: &mut World, count: usize, readers: usize) {
    let shutdowns = initiators_in_rounds(world, &vec![1; count]);
    for _ in 0..readers {
        let shutdowns = Rc::clone(&shutdowns);
        world.actor("reader", move |me| {
            let seen = shutdowns.scope.control();
            let epoch = seen.epoch();
            let has_terms = me.call("has terms", || shutdowns.has_terms(epoch));
            let are_whole = me.call("terms", || shutdowns.terms_are_of_one(epoch));
            let is_on = me.atomically(|| shutdowns.scope.control() == seen);
            assert!(are_whole || !has_terms || !is_on, "the terms are gone");
        });
    }
}

#[test]
fn three_initiators() {
    Model::new("terms, 3 initiators").holds(|world| initiators(world, 3, 0));
}

#[test]
fn two_initiators_and_a_reader() {
    Model::new("terms, 2 initiators, 1 reader").holds(|world| initiators(world, 2, 1));
}

#[test]
fn epochs_that_wrap_take_terms_away_only_if_they_are_narrow() {
    let model = Model::new("terms, 2 initiators, epochs wrap if they are narrow");
    let setup = |world: &mut World| drop(initiators_in_rounds(world, &[1, 6]));
    match adapters::wraps(width::EPOCH) {
        true => drop(model.stops(3).must_be_found(setup)),
        false => model.stops(scaled(4, 8)).holds(setup),
    }
}
