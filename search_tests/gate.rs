//! The gate of a runner slot, under threads and drivers of an earlier holder that are
//! stopped anywhere, and killed (F9).
//!
//! Only the items of the present holder are counted, and only the present holder closes
//! and opens the gate.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::adapters;
use super::memory::U64;
use super::model::{Model, scaled};
use super::system::Mortal;
use super::world::World;
use crate::sync::Word;
use crate::width::{GATE, mask};

const IS_NARROW: bool = GATE <= 2;
/// Holders after which the generation of a narrow gate is the same again.
const WRAP: u64 = 4;

/// How the holder before begins an item and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Shipped,
    /// It adds one, and takes it back if the gate is another holder's.
    Adds,
    /// It sets the bit, also in the gate of another holder.
    ClosesBlindly,
}

/// A worker and a driver of the first holder; then other holders take the slot, one after
/// the other. The last of them has one item in flight and an open gate.
fn strangers(world: &mut World, manner: Manner, holders: u64) {
    let gate = adapters::gate(world, 1);
    // In place of the phase words: the epoch, and whether they refuse work.
    let phase = world.table("phase", &["word"], U64::default);
    let is_inside = world.ghost("is inside");
    let look = move || {
        let word = phase.load(Ordering::Acquire);
        (word & 1 != 0, word >> 1)
    };
    let (worked, reads) = (Rc::clone(&gate), look.clone());
    let worker = world.actor("worker", move |me| {
        let begun = me.call("begin", || match manner {
            Manner::Adds => {
                let before = worked.word().fetch_add(1, Ordering::AcqRel);
                let is_its = before >> 24 & mask(GATE) == 1;
                if !is_its {
                    worked.word().fetch_add(u64::MAX, Ordering::AcqRel);
                }
                is_its
            }
            _ => adapters::begin(&worked, 1, &reads),
        });
        if begun {
            me.call("end", || adapters::end(&worked, 1));
        }
    });
    worker.mortal(Mortal::Thread);
    let (driven, reads) = (Rc::clone(&gate), look.clone());
    world.actor("driver", move |me| {
        me.call("close", || match manner {
            Manner::ClosesBlindly => {
                driven.word().fetch_or(1 << 63, Ordering::AcqRel);
            }
            _ => drop(adapters::close(&driven, 1)),
        });
        me.call("reopen", || adapters::reopen(&driven, 1, &reads));
    });
    let (held, last) = (Rc::clone(&gate), Rc::clone(&is_inside));
    let latest = 1 + holders;
    world.actor("holders", move |me| {
        for generation in 2..=latest {
            me.call("take", || adapters::take_gate(&held, generation));
        }
        assert!(me.call("begin", || adapters::begin(&held, latest, || (false, 0))));
        last.set(1);
    });
    let checked = Rc::clone(&gate);
    world.always(move |_| {
        let is_closed = is_inside.get() == 1 && adapters::is_closed(&checked);
        assert!(!is_closed, "another one closed it");
    });
    world.finally(move |_| {
        let count = adapters::in_flight(&gate, latest);
        assert_eq!(count, 1, "items of the last holder");
    });
}

#[test]
fn only_the_present_holder_moves_the_gate() {
    let model = |name: &str| Model::new(&format!("gate, {name}")).kills(1);
    model("2 holders").holds(|world| strangers(world, Manner::Shipped, 2));
    let around = model("the generation wraps if it is narrow");
    let setup = |world: &mut World| strangers(world, Manner::Shipped, WRAP);
    match IS_NARROW {
        true => drop(around.must_be_found(setup)),
        false => around.holds(setup),
    }
    for broken in [Manner::Adds, Manner::ClosesBlindly] {
        let broken_model = model(&format!("{broken:?}"));
        broken_model.must_be_found(|world| strangers(world, broken, 1));
    }
}

/// Items against a driver of the same holder: what a closing found in flight ends, and
/// nothing begins after it.
fn drain(world: &mut World, workers: usize) {
    let gate = adapters::gate(world, 1);
    // The epoch, and whether work is refused; a shutdown begins, is cancelled, and the
    // next one begins.
    let phase = world.table("phase", &["word"], U64::default);
    let drained = world.ghost("drained");
    let read = {
        let phase = Rc::clone(&phase);
        move || {
            let word = phase.load(Ordering::Acquire);
            (word & 1 != 0, word >> 1)
        }
    };
    for worker in 0..workers {
        let (gate, read, drained) = (Rc::clone(&gate), read.clone(), Rc::clone(&drained));
        world.actor(&format!("worker {worker}"), move |me| {
            for item in 0..2 {
                me.state_is(item);
                if me.call("begin", || adapters::begin(&gate, 1, &read)) {
                    assert_eq!(drained.get(), 0, "work in a gate that was drained");
                    me.state_is(("working", item));
                    me.call("end", || adapters::end(&gate, 1));
                }
            }
        });
    }
    world.actor("driver", move |me| {
        // As the runner's driver does, under its own lock.
        let drain = || adapters::close(&gate, 1) == Some(0);
        phase.store(1, Ordering::Release);
        if me.call("close", drain) {
            drained.set(1);
            me.state_is("drained");
            drained.set(0);
        }
        phase.store(2, Ordering::Release);
        me.call("reopen", || adapters::reopen(&gate, 1, &read));
        phase.store(3, Ordering::Release);
        if me.call("close", drain) {
            drained.set(1);
        }
    });
}

#[test]
fn what_is_drained_stays_so() {
    Model::new("gate, drained, 1 worker").holds(|world| drain(world, 1));
    Model::new("gate, drained, 2 workers")
        .stops(scaled(3, 6))
        .holds(|world| drain(world, 2));
}
