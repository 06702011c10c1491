//! Process slots under sweepers, claimants and holders that are stopped anywhere, die, or
//! lose the descriptor of their lock bytes (F1, F7).
//!
//! A slot has one holder at a time; a living holder is not swept, or detects it before
//! it uses what it has; the slot of a dead one is to be had.

use std::rc::Rc;

use super::model::{Model, scaled};
use super::place::{Attached, Manner, Place};
use super::system::Mortal;
use super::world::{Actor, Spec, World};
use crate::table::liveness::Verdict;
use crate::width;

/// Holders after which the generation of a narrow slot is the same again.
const WRAP: u32 = 4;

/// A process attaches, is inside, and detaches, so often. It may be killed, and other code
/// may close its descriptor at any time; then its keeper takes the byte again.
fn lives<'w>(world: &'w mut World, place: &Rc<Place>, name: &str, lives: u32) -> &'w mut Spec {
    let place = Rc::clone(place);
    world.actor(name, move |me| {
        for life in 0..lives {
            me.state_is(life);
            live(&place, me, life);
        }
    })
}

fn live(place: &Place, me: &Actor, life: u32) {
    let Attached::Inside(held) = me.call("attach", || place.attach(me)) else {
        return;
    };
    place.enter(me);
    me.state_is(("inside", life, held));
    let is_its = me.call("keep byte", || place.keep_byte(me, held.0));
    assert!(is_its, "a living one was swept");
    place.leave(me, held);
    me.state_is(("detaches", life, held));
    me.call("detach", || place.detach(me, held));
}

/// Other code of the program closes the descriptor of a process.
fn closer(world: &mut World, place: &Rc<Place>, of: usize) {
    let place = Rc::clone(place);
    world.actor("other code", move |_| place.close(of));
}

fn sweeper(world: &mut World, place: &Rc<Place>) {
    let place = Rc::clone(place);
    world.actor("sweeper", move |me| {
        me.call("reap", || place.reap(me));
    });
}

fn is_left_whole(world: &mut World, place: &Rc<Place>) {
    let place = Rc::clone(place);
    world.finally(move |me| place.check(me));
}

/// Two processes want one slot, and a third one sweeps; one of them is killed.
fn kills(world: &mut World, manner: Manner) {
    let place = Place::new(world, manner, true);
    lives(world, &place, "first", 1).mortal(Mortal::Process);
    lives(world, &place, "second", 1);
    sweeper(world, &place);
    is_left_whole(world, &place);
}

#[test]
fn a_slot_has_one_holder_at_a_time() {
    Model::new("slots, 2 holders, 1 sweeper, 1 killed")
        .kills(1)
        .stops(scaled(3, 5))
        .holds(|world| kills(world, Manner::Shipped));
    Model::new("slots, AskedOnce")
        .kills(1)
        .stops(3)
        .must_be_found(|world| kills(world, Manner::AskedOnce));
}

/// One that lives loses its descriptor.
fn lost(world: &mut World, manner: Manner) {
    let place = Place::new(world, manner, true);
    lives(world, &place, "first", 1);
    lives(world, &place, "second", 1);
    closer(world, &place, 0);
    is_left_whole(world, &place);
}

#[test]
fn one_that_has_lost_its_byte_is_not_swept() {
    let model = |manner: Manner| Model::new(&format!("slots, a lost descriptor, {manner:?}"));
    let shipped = model(Manner::Shipped).stops(scaled(3, 5));
    shipped.holds(|world| lost(world, Manner::Shipped));
    let broken = model(Manner::NoLifeWord).stops(3);
    broken.must_be_found(|world| lost(world, Manner::NoLifeWord));
}

/// The sweeper of a dead one loses its descriptor, and the next holder comes.
fn lost_in_the_sweep(world: &mut World, manner: Manner, next: u32) {
    let place = Place::new(world, manner, true);
    lives(world, &place, "first", 1).mortal(Mortal::Process);
    lives(world, &place, "second", next);
    sweeper(world, &place);
    closer(world, &place, 2);
    is_left_whole(world, &place);
}

#[test]
fn an_overtaken_sweeper_takes_nothing_of_the_next_holder() {
    let model = |manner: Manner| {
        let model = Model::new(&format!("slots, a sweeper's lost descriptor, {manner:?}"));
        model.kills(1)
    };
    let shipped = model(Manner::Shipped).stops(scaled(3, 5));
    shipped.holds(|world| lost_in_the_sweep(world, Manner::Shipped, 1));
    let broken = model(Manner::Unbound).stops(3);
    broken.must_be_found(|world| lost_in_the_sweep(world, Manner::Unbound, 1));
    let around = Model::new("slots, the generation of the slot wraps if it is narrow");
    let around = around.kills(1).stops(scaled(2, 3));
    let setup = |world: &mut World| lost_in_the_sweep(world, Manner::Shipped, WRAP);
    match width::PROCESS <= 2 {
        true => drop(around.must_be_found(setup)),
        false => around.holds(setup),
    }
}

/// Without life words: a sweeper is under way, and another one judges the dead.
fn judged(world: &mut World, manner: Manner) {
    let place = Place::new(world, manner, false);
    let held = Rc::clone(&place);
    let victim = world.actor("victim", move |me| {
        let _ = me.call("attach", || held.attach(me));
    });
    victim.mortal(Mortal::Process);
    sweeper(world, &place);
    world.actor("judge", move |me| {
        if place.is_buried(0) {
            let found = me.call("judge", || place.verdict(me));
            assert_eq!(found, Verdict::Gone, "the dead seem to live");
        }
    });
}

#[test]
fn a_sweeper_hides_no_death() {
    let model = |manner: Manner| Model::new(&format!("slots, portable, {manner:?}")).kills(1);
    model(Manner::Shipped).holds(|world| judged(world, Manner::Shipped));
    model(Manner::OneByte).must_be_found(|world| judged(world, Manner::OneByte));
}
