//! Records of resources, under closers, sweepers and claimants that are stopped while the
//! record gets other registrations.
//!
//! Each step is done to the registration that it was meant for, or not at all; what a dead
//! process left is reclaimed once, and nothing else is.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::adapters::{self, Table1, register};
use super::memory::U64;
use super::model::{Model, scaled};
use super::system::Mortal;
use super::world::{Actor, Ghost, World};
use crate::sync::{Env, Pulse, Word};
use crate::table::resources::{Claimant, Fate, Key, State};
use crate::width;

const IS_NARROW: bool = width::RESOURCE <= 2;
/// Registrations after which the generation of a narrow record is the same again.
const WRAP: u64 = 4;

fn move_to(table: &Table1, key: Key, from: State, to: State, me: &Actor) {
    let _ = table.move_to(key, &[from], to, me.now());
}

/// A thread drains a resource and is stopped; another thread of its process closes it, and
/// registers `registrations` others. The last of them stays active.
fn closer(world: &mut World, registrations: u64) {
    let founder = world.founder();
    let table = adapters::resources(world);
    let first = register(&table, 0, 1, &founder).expect("it is empty");
    let closed = Rc::clone(&table);
    world.actor("closer", move |me| {
        me.call("drain", || {
            move_to(&closed, first, State::Active, State::Draining, me);
        });
    });
    let kept = Rc::clone(&table);
    world.actor("others", move |me| {
        let mut key = first;
        for registration in 1..=registrations {
            me.call("close", || {
                for from in [State::Active, State::Draining] {
                    move_to(&kept, key, from, State::Closed, me);
                }
            });
            me.state_is((registration, key));
            key = me
                .call("register", || register(&kept, 0, registration + 1, me))
                .unwrap();
            me.state_is((registration, key));
        }
    });
    world.finally(move |_| {
        assert_eq!(
            table.word(0).state(),
            Ok(State::Active),
            "drained by another's closer"
        );
    });
}

#[test]
fn one_that_closes_is_stopped() {
    Model::new("resources, a closer and 2 registrations").holds(|world| closer(world, 2));
    let around = Model::new("resources, the generation of the record wraps if it is narrow");
    match IS_NARROW {
        true => drop(around.must_be_found(|world| closer(world, WRAP))),
        false => around.holds(|world| closer(world, WRAP)),
    }
}

/// How a sweep differs from what ships; each but the first must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Shipped,
    /// It does not ask whether the slot is still the dead one's.
    Unbound,
}

/// A process slot, small: `incarnation * 2 + is live`.
const FIRST: u64 = 1 << 1 | 1;
const SECOND: u64 = 2 << 1 | 1;

struct Swept {
    table: Rc<Table1>,
    slot: Rc<U64>,
    /// How often the first owner's resource was reclaimed.
    reclaimed: Rc<Ghost>,
    manner: Manner,
}

impl Swept {
    fn swap(&self, from: u64, to: u64) -> bool {
        let swapped = self
            .slot
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        swapped.is_ok()
    }

    /// Sweeps the slot of the dead one, and reclaims what it left.
    fn sweep(&self, process: usize, me: &Actor) {
        let is_first = || self.slot.load(Ordering::Acquire) & !1 == FIRST & !1;
        if is_first() && matches!(me.process_pulse(0), Pulse::Dead) {
            let is_same = || self.manner == Manner::Unbound || is_first();
            me.call("sweep", || self.table.sweep(0, is_same, me));
            me.state_is("swept");
            me.call("free", || self.swap(FIRST, FIRST & !1));
        }
        me.state_is("reclaims");
        let by = Claimant::new(process, 1);
        let claimed = me.call("claim", || self.table.claim_reclaim(0, by, |_| false));
        if let Some(key) = claimed {
            let of = me.atomically(|| self.table.identity(key, "path"));
            assert_eq!(of.map(|it| it[0]), Some(1), "of a living one");
            assert_eq!(self.reclaimed.add(1), 0, "reclaimed twice");
            me.state_is(("finishes", key));
            me.call("finish", || {
                self.table.finish_reclaim(key, by, Fate::Reclaimed)
            });
        }
    }
}

/// The owner of a resource may be killed; sweepers clear what it left; the next holder of
/// its process slot registers one that stays.
fn sweepers(world: &mut World, manner: Manner, sweepers: usize) {
    let table = adapters::resources(world);
    let slot = world.table("slot", &["word"], U64::default);
    slot.store(FIRST, Ordering::Relaxed);
    let swept = Rc::new(Swept {
        table: Rc::clone(&table),
        slot,
        reclaimed: world.ghost("reclaimed"),
        manner,
    });
    // The generation of what the second one registered, plus one.
    let kept = world.ghost("kept");
    let owned = Rc::clone(&table);
    let owner = world.actor("owner", move |me| {
        me.call("register", || register(&owned, 0, 1, me));
    });
    owner.mortal(Mortal::Process);
    for sweeper in 1..=sweepers {
        let swept = Rc::clone(&swept);
        world.actor(&format!("sweeper {sweeper}"), move |me| {
            swept.sweep(sweeper, me)
        });
    }
    let (second, seen) = (Rc::clone(&table), Rc::clone(&kept));
    world.actor("second", move |me| {
        if me.call("attach", || swept.swap(FIRST & !1, SECOND))
            && let Some(key) = me.call("register", || register(&second, 0, 2, me))
        {
            seen.set(key.generation + 1);
        }
    });
    world.finally(move |_| {
        if let Some(generation) = kept.get().checked_sub(1) {
            let word = table.word(0);
            assert_eq!(word.generation(), generation, "another one's");
            assert_eq!(word.state(), Ok(State::Active), "a living one's was swept");
        }
    });
}

#[test]
fn what_the_dead_left_is_swept_and_reclaimed_once() {
    let model = |manner: Manner| Model::new(&format!("resources, 2 sweepers, {manner:?}")).kills(1);
    let shipped = model(Manner::Shipped).stops(scaled(3, 5));
    shipped.holds(|world| sweepers(world, Manner::Shipped, 2));
    let broken = model(Manner::Unbound).stops(3);
    broken.must_be_found(|world| sweepers(world, Manner::Unbound, 2));
}
