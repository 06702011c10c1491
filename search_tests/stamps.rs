//! The start of a shutdown, under helpers and initiators that are stopped anywhere.
//!
//! Once a shutdown has a start, the start stays while the shutdown lasts, and it is not
//! older than the end of the shutdown before.

use std::rc::Rc;

use super::adapters::Shutdowns;
use super::model::{Model, scaled};
use super::world::{Actor, Ghost, World};
use crate::sync::Env;
use crate::table::scope::Initiated;

/// What the model knows of the shutdown that is on.
struct Known {
    /// Cancellations begun, and ended. While none is under way, a shutdown stays on.
    cancels: Rc<Ghost>,
    cancelled: Rc<Ghost>,
    /// The start of the shutdown that is on, and `cancels` when it was noted; 0 for none.
    start: Rc<Ghost>,
    as_of: Rc<Ghost>,
    /// An instant before the end of the last shutdown.
    earliest: Rc<Ghost>,
}

impl Known {
    fn new(world: &mut World) -> Rc<Self> {
        Rc::new(Self {
            cancels: world.ghost("cancels"),
            cancelled: world.ghost("cancelled"),
            start: world.ghost("known start"),
            as_of: world.ghost("known as of"),
            earliest: world.ghost("earliest start"),
        })
    }

    /// How many cancellations there were, if none is under way: while that stays so, a
    /// shutdown that is on stays on.
    fn quiet(&self) -> Option<u64> {
        let cancels = self.cancels.get();
        (self.cancelled.get() == cancels).then_some(cancels)
    }

    /// Notes the start of the shutdown that was on when it was quiet.
    fn note(&self, start: u64, quiet: Option<u64>, shutdowns: &Shutdowns) {
        if let Some(cancels) = quiet.filter(|_| self.quiet() == quiet) {
            assert_eq!(shutdowns.began(), Some(start), "the start that was found");
            assert!(start >= self.earliest.get(), "a start before the beginning");
            self.start.set(start);
            self.as_of.set(cancels);
        }
    }

    fn check(&self, shutdowns: &Shutdowns) {
        let start = self.start.get();
        if start != 0 && self.cancels.get() == self.as_of.get() {
            assert_eq!(shutdowns.began(), Some(start), "the start moved");
        }
    }
}

fn initiator(shutdowns: &Shutdowns, known: &Known, rounds: u32, me: &Actor) {
    for round in 0..rounds {
        me.state_is(round);
        let quiet = known.quiet();
        if let Initiated::Drives(_) = me.call("initiate", || shutdowns.initiate(1000, me)) {
            me.atomically(|| {
                let start = shutdowns.began().unwrap_or(0);
                known.note(start, quiet, shutdowns);
            });
        }
        me.state_is(("to cancel", round));
        let before = me.now();
        known.cancels.add(1);
        if me.call("cancel", || shutdowns.cancel()) && known.earliest.get() < before {
            known.earliest.set(before);
        }
        known.cancelled.add(1);
    }
}

/// Initiators, and helpers that have seen a shutdown and settle its start.
fn helpers(world: &mut World, initiators: usize, rounds: u32, helpers: usize) -> Rc<Shutdowns> {
    let (shutdowns, known) = (Shutdowns::new(world), Known::new(world));
    for index in 0..initiators {
        let (shutdowns, known) = (Rc::clone(&shutdowns), Rc::clone(&known));
        world.actor(&format!("initiator {index}"), move |me| {
            initiator(&shutdowns, &known, rounds, me);
        });
    }
    for index in 0..helpers {
        let (shutdowns, known) = (Rc::clone(&shutdowns), Rc::clone(&known));
        world.actor(&format!("helper {index}"), move |me| {
            let quiet = known.quiet();
            let seen = shutdowns.scope.control();
            if !seen.is_shutting_down() {
                return;
            }
            me.call("settle", || shutdowns.settle(seen.epoch(), me));
            let start = me.call("started", || shutdowns.started(seen.epoch(), me));
            me.atomically(|| known.note(start, quiet, &shutdowns));
        });
    }
    let checked = Rc::clone(&shutdowns);
    world.always(move |_| known.check(&checked));
    shutdowns
}

#[test]
fn a_start_stays_under_a_helper_of_long_ago() {
    // Narrow epochs wrap, and tags twice as often.
    Model::new("stamps, 1 initiator, 1 helper, 6 rounds")
        .clock_runs()
        .holds(|world| drop(helpers(world, 1, 6, 1)));
}

#[test]
fn a_start_stays_under_two_helpers() {
    Model::new("stamps, 1 initiator, 2 helpers")
        .clock_runs()
        .holds(|world| drop(helpers(world, 1, scaled(2, 5), 2)));
}

#[test]
fn a_start_stays_under_two_initiators_and_a_helper() {
    Model::new("stamps, 2 initiators, 1 helper")
        .clock_runs()
        .stops(scaled(3, 6))
        .holds(|world| drop(helpers(world, 2, 2, 1)));
}
