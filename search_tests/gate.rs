//! The gate of a runner slot, under threads and drivers of an earlier holder that are
//! stopped anywhere, and killed (F9).
//!
//! Only the items of the present holder are counted, and only the present holder closes
//! and opens the gate.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::adapters;
use super::memory::U64;
use super::model::Model;
use super::system::Mortal;
use super::world::World;
use crate::sync::Word;
use crate::width;

/// Holders of the slot before its generation wraps.
const WRAP: u64 = width::mask(width::GATE) + 1;

/// A worker and a driver of the first holder; then other holders take the slot, one after
/// the other. The last of them has one item in flight and an open gate.
fn strangers(world: &mut World, worker: bool, driver: bool, holders: u64) {
    let gate = adapters::gate(world, 1);
    let word = world.raw("gate.word");
    // Stands for the phase words: the epoch, and whether they refuse work.
    let phase = world.table("phase", &["word"], U64::default);
    // The present holder, and whether it is the last and has begun its item.
    let present = world.ghost("present");
    present.set(1);
    let is_inside = world.ghost("is inside");
    if worker {
        let (gate, phase) = (Rc::clone(&gate), Rc::clone(&phase));
        world
            .actor("worker", move |me| {
                let look = || {
                    let word = phase.load(Ordering::Acquire);
                    (word & 1 != 0, (word >> 1) as adapters::Epoch)
                };
                if me.call("begin", || adapters::begin(&gate, 1, look)) {
                    me.call("end", || adapters::end(&gate, 1));
                }
            })
            .mortal(Mortal::Thread);
    }
    if driver {
        let gate = Rc::clone(&gate);
        world.actor("driver", move |me| {
            me.call("close", || adapters::close(&gate, 1));
            me.call("reopen", || adapters::reopen(&gate, 1));
        });
    }
    let (held, last) = (Rc::clone(&gate), Rc::clone(&is_inside));
    world.actor("holders", move |me| {
        for generation in 2..2 + holders {
            let generation = generation & width::mask(width::GATE);
            me.call("take", || adapters::take_gate(&held, generation));
            present.set(generation);
        }
        let generation = present.get();
        let look = || (false, 0);
        assert!(me.call("begin", || adapters::begin(&held, generation, look)));
        last.set(1);
    });
    world.always(move |_| {
        if is_inside.get() == 1 {
            let gate = word.get();
            assert!(!adapters::is_closed(gate), "another one closed it");
        }
    });
    world.finally(move |_| assert_eq!(gate.count(), 1, "items of the last holder"));
}

#[test]
fn a_worker_of_the_holder_before() {
    Model::new("gate, a worker of the holder before")
        .guards("F9")
        .kills(1)
        .holds(|world| strangers(world, true, false, 1));
}

#[test]
fn a_driver_of_the_holder_before() {
    Model::new("gate, a driver of the holder before")
        .guards("F9")
        .holds(|world| strangers(world, false, true, 1));
}

#[test]
fn both_of_the_holder_before() {
    Model::new("gate, worker and driver of the holder before")
        .guards("F9")
        .kills(1)
        .holds(|world| strangers(world, true, true, 2));
}
