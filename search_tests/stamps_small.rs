//! The steps of a stamp, each left out in turn: a small copy of the shipped code.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::memory::U64;
use super::model::{Model, scaled};
use super::world::{Actor, World};
use crate::sync::{Env, Next, Word};

/// How a stamp and its scope differ from what ships; each but the first must be found.
/// Epochs do not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Shipped,
    /// Tags of no bits: the floor alone decides what counts. Found only where two shutdowns
    /// share a microsecond: see [`same_instant`].
    NoTag,
    /// No floor: tags order themselves, near is after.
    TagsOrder,
    /// No floor: a tag that fits counts.
    NoFloor,
    /// The control word is not read again between the clock and the floor.
    FloorUnverified,
    /// The epoch is not read after the stamp was loaded.
    EpochReadFirst,
    /// The start is read from the clock before the swap.
    StartReadFirst,
}

/// A scope, small: a control word (`epoch * 2 + is on`), a stamp and a floor.
#[derive(Default)]
struct Small {
    control: U64,
    stamp: U64,
    floor: U64,
}

const MICROS: u64 = (1 << 48) - 1;

impl Small {
    fn tag(manner: Manner, epoch: u64) -> u64 {
        let bits = match manner {
            Manner::NoTag => 0,
            Manner::TagsOrder | Manner::NoFloor => 2,
            _ => 1,
        };
        (epoch & ((1 << bits) - 1)) << 48
    }

    /// The time that counts in an epoch.
    fn read(&self, manner: Manner, raw: u64, epoch: u64) -> Option<u64> {
        let floor = match manner {
            Manner::TagsOrder | Manner::NoFloor => 0,
            _ => self.floor.load(Ordering::Acquire),
        };
        let is_its = raw & !MICROS == Self::tag(manner, epoch);
        let micros = raw & MICROS;
        (is_its && micros != 0 && micros >= floor).then_some(micros)
    }

    fn set_once(&self, manner: Manner, epoch: u64, now: u64) -> u64 {
        let is_on = || self.control.load(Ordering::Acquire) >> 1 == epoch;
        if manner == Manner::EpochReadFirst && !is_on() {
            return now;
        }
        loop {
            let raw = self.stamp.load(Ordering::Acquire);
            if let Some(set) = self.read(manner, raw, epoch) {
                return set;
            }
            match manner {
                Manner::TagsOrder => {
                    let ahead = (raw >> 48).wrapping_sub(epoch) & 3;
                    if raw & MICROS != 0 && ahead == 1 {
                        return now;
                    }
                }
                Manner::EpochReadFirst | Manner::NoFloor => {}
                _ if !is_on() => return now,
                _ => {}
            }
            if swap(&self.stamp, raw, Self::tag(manner, epoch) | now) {
                return now;
            }
        }
    }

    /// Begins a shutdown; returns its epoch if this call did.
    fn initiate(&self, manner: Manner, me: &Actor) -> Option<u64> {
        let control = self.control.load(Ordering::Acquire);
        let floor = me.now();
        let is_still =
            manner == Manner::FloorUnverified || self.control.load(Ordering::Acquire) == control;
        if control & 1 == 1 || !is_still {
            return None;
        }
        self.floor.update(|old| match old < floor {
            true => Next::Store(floor, ()),
            false => Next::Leave(()),
        });
        let early = me.now();
        let epoch = control >> 1;
        swap(&self.control, control, control | 1).then(|| {
            let start = match manner {
                Manner::StartReadFirst => early,
                _ => me.now(),
            };
            self.set_once(manner, epoch, start);
            epoch
        })
    }

    /// Stamps the shutdown that is on.
    fn help(&self, manner: Manner, me: &Actor) {
        let control = self.control.load(Ordering::Acquire);
        if control & 1 == 1 {
            me.call("settle", || self.set_once(manner, control >> 1, me.now()));
        }
    }

    fn cancel(&self, epoch: u64) -> bool {
        swap(&self.control, epoch << 1 | 1, (epoch + 1) << 1)
    }
}

fn swap(word: &U64, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

/// An initiator of several shutdowns, a late initiator, and a helper.
fn small(world: &mut World, manner: Manner) {
    let scope = world.table("scope", &["control", "stamp", "floor"], Small::default);
    for (name, rounds) in [("initiator", 3), ("late initiator", 1)] {
        let scope = Rc::clone(&scope);
        world.actor(name, move |me| {
            for round in 0..rounds {
                me.state_is(round);
                let before = me.now();
                let Some(epoch) = me.call("initiate", || scope.initiate(manner, me)) else {
                    continue;
                };
                let read = || {
                    let raw = scope.stamp.load(Ordering::Acquire);
                    scope.read(manner, raw, epoch)
                };
                let start = me.atomically(read);
                assert!(
                    start.is_some_and(|start| start > before),
                    "no start of its own"
                );
                // Only this actor cancels this shutdown, and not before here.
                me.now();
                assert_eq!(me.atomically(read), start, "the start moved");
                me.state_is((round, epoch));
                me.call("cancel", || scope.cancel(epoch));
            }
        });
    }
    world.actor("helper", move |me| scope.help(manner, me));
}

/// One shutdown that begins and is cancelled, and a helper. With a clock that does not run,
/// its start lies at the floor of the next epoch, where only the tag excludes it.
fn same_instant(world: &mut World, manner: Manner) {
    let scope = world.table("scope", &["control", "stamp", "floor"], Small::default);
    let (helped, checked) = (Rc::clone(&scope), Rc::clone(&scope));
    world.actor("initiator", move |me| {
        if let Some(epoch) = me.call("initiate", || scope.initiate(manner, me)) {
            me.call("cancel", || scope.cancel(epoch));
        }
    });
    world.actor("helper", move |me| helped.help(manner, me));
    world.always(move |_| {
        let control = checked.control.load(Ordering::Acquire);
        let raw = checked.stamp.load(Ordering::Acquire);
        let start = checked.read(manner, raw, control >> 1);
        let has_begun = control & 1 == 1;
        assert!(has_begun || start.is_none(), "a start before the beginning");
    });
}

#[test]
fn a_tag_separates_shutdowns_of_one_microsecond() {
    let model = |manner: Manner| Model::new(&format!("stamps, one instant, {manner:?}"));
    model(Manner::Shipped).holds(|world| same_instant(world, Manner::Shipped));
    model(Manner::NoTag).must_be_found(|world| same_instant(world, Manner::NoTag));
}

#[test]
fn each_step_of_a_stamp_is_needed() {
    let model = |manner: Manner| {
        let model = Model::new(&format!("stamps, {manner:?}"));
        model.clock_runs().stops(scaled(4, 8))
    };
    model(Manner::Shipped).holds(|world| small(world, Manner::Shipped));
    for broken in [
        Manner::TagsOrder,
        Manner::NoFloor,
        Manner::FloorUnverified,
        Manner::EpochReadFirst,
        Manner::StartReadFirst,
    ] {
        model(broken).must_be_found(|world| small(world, broken));
    }
}
