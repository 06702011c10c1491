//! The terms of a shutdown, under initiators that are stopped anywhere (F2).
//!
//! Terms that were published for an epoch stay whole while the epoch lasts: an initiator
//! of an earlier epoch that goes on takes nothing of them away.

use std::rc::Rc;

use super::adapters::Shutdowns;
use super::model::Model;
use super::world::World;

/// Initiators that propose, initiate and cancel once, and readers of the terms.
fn initiators(world: &mut World, count: usize, readers: usize) {
    let shutdowns = Shutdowns::new(world);
    for process in 0..count {
        let shutdowns = Rc::clone(&shutdowns);
        world.actor(&format!("initiator {process}"), move |me| {
            let seen = shutdowns.scope.control();
            if seen.is_shutting_down() {
                return;
            }
            me.call("propose", || shutdowns.propose(seen, process, me));
            me.state_is("proposed");
            let _ = me.call("initiate", || shutdowns.initiate(1000, me));
            me.state_is("initiated");
            me.call("cancel", || shutdowns.cancel());
        });
    }
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
    world.always(move |_| {
        let epoch = shutdowns.scope.control().epoch();
        if shutdowns.has_terms(epoch) {
            assert!(shutdowns.terms_are_of_one(epoch), "not what was published");
        }
    });
}

#[test]
fn three_initiators() {
    Model::new("terms, 3 initiators")
        .guards("F2")
        .holds(|world| initiators(world, 3, 0));
}

#[test]
fn two_initiators_and_a_reader() {
    Model::new("terms, 2 initiators, 1 reader").holds(|world| initiators(world, 2, 1));
}
