//! Processes that lose the descriptor of their lock bytes: one that lives, one that sweeps,
//! both. Each variant of how it was, or might be, must be caught.

use std::rc::Rc;

use super::super::model::{Model, must_fail};
use super::super::world::World;
use super::place::{Attached, Place, SLOT, Variant};
use crate::table::liveness::Verdict;
use crate::table::slots::{Kernel, LOCK_LOST};

/// Somebody attaches and dies there.
fn a_dead_holder(world: &Rc<World>, place: &Rc<Place>) {
    let place = Rc::clone(place);
    world.spawn(move |actor| {
        assert!(matches!(place.attach(actor), Attached::Inside(_)));
        actor.die();
    });
    world.finish_in_time();
}

/// One that lives loses its descriptor while another reaps; it takes the byte again.
fn the_living_lose_theirs(variant: Variant) {
    Model::new("a living process loses its descriptor")
        .bound(2)
        .check(move |world| {
            let place = Place::of(world, variant, true);
            let shared = Rc::clone(&place);
            world.spawn(move |actor| {
                let Attached::Inside(word) = shared.attach(actor) else {
                    panic!("the slot is free")
                };
                shared.close(actor);
                let again = shared.retake(actor, word).expect("it was swept");
                assert_eq!(again, word);
                shared.is_whole(actor, word);
                shared.detach(actor, word);
            });
            let shared = Rc::clone(&place);
            world.spawn(move |reaper| {
                let word = shared.processes.word(SLOT);
                if shared.seen(reaper).verdict(SLOT, word) == Verdict::LockLost {
                    shared.processes.send(SLOT, LOCK_LOST);
                }
                assert_eq!(shared.reap(reaper), 0, "nobody died");
            });
            world.finish();
            assert!(place.processes.word(SLOT).is_free());
        });
}

#[test]
fn who_lives_and_has_lost_its_byte_is_swept_by_nobody() {
    the_living_lose_theirs(Variant::Shipped);
    must_fail("life word not asked", || {
        the_living_lose_theirs(Variant::NoLifeWord);
    });
}

/// It loses its descriptor while it attaches, and may be swept, for its byte is all that
/// speaks for it. It learns of that, and whoever has the slot then is not harmed.
fn the_starting_lose_theirs(variant: Variant) {
    Model::new("a starting process loses its descriptor")
        .bound(2)
        .check(move |world| {
            let place = Place::of(world, variant, true);
            let shared = Rc::clone(&place);
            world.spawn(move |actor| {
                if let Some(word) = shared.claim(actor) {
                    shared.close(actor);
                    if let Attached::Inside(word) = shared.enter(actor, word) {
                        let word = shared.retake(actor, word).expect("it beats");
                        shared.is_whole(actor, word);
                        shared.detach(actor, word);
                    }
                }
            });
            let shared = Rc::clone(&place);
            world.spawn(move |actor| {
                shared.live(actor);
            });
            world.finish();
            assert!(place.processes.word(SLOT).is_free());
        });
}

#[test]
fn who_is_swept_while_it_attaches_learns_of_it() {
    the_starting_lose_theirs(Variant::Shipped);
    must_fail("the thread slot live before the process", || {
        the_starting_lose_theirs(Variant::ThreadFirst);
    });
}

/// A sweeper loses its descriptor in the middle. The next one sweeps, and lives there.
fn the_sweeper_loses_its_own(variant: Variant) {
    Model::new("a sweeper loses its descriptor")
        .bound(2)
        .check(move |world| {
            let place = Place::of(world, variant, true);
            a_dead_holder(world, &place);
            let shared = Rc::clone(&place);
            world.spawn(move |sweeper| {
                shared.close_in_the_sweep(sweeper);
            });
            let shared = Rc::clone(&place);
            world.spawn(move |next| {
                if let Attached::Inside(word) = shared.attach(next) {
                    shared.is_whole(next, word);
                    shared.detach(next, word);
                }
            });
            world.finish();
        });
}

#[test]
fn an_overtaken_sweeper_takes_nothing_of_the_next_holder() {
    the_sweeper_loses_its_own(Variant::Shipped);
    must_fail("steps not bound to the incarnation", || {
        the_sweeper_loses_its_own(Variant::Unbound);
    });
}

/// Two sweep the same dead one; the quicker one lives there then.
fn two_sweep(variant: Variant) {
    Model::new("two sweepers, one of whom stays")
        .bound(2)
        .check(move |world| {
            let place = Place::of(world, variant, true);
            a_dead_holder(world, &place);
            let shared = Rc::clone(&place);
            world.spawn(move |sweeper| {
                shared.reap(sweeper);
            });
            let shared = Rc::clone(&place);
            world.spawn(move |next| {
                if let Attached::Inside(word) = shared.attach(next) {
                    shared.is_whole(next, word);
                    shared.detach(next, word);
                }
            });
            world.finish();
        });
}

#[test]
fn who_has_the_sweep_byte_asks_again() {
    two_sweep(Variant::Shipped);
    must_fail("byte and word not asked again", || {
        two_sweep(Variant::AskedOnce);
    });
}

/// Without life words: a sweeper that is in the middle makes nobody seem alive.
fn the_dead_are_judged_while_they_are_swept(variant: Variant) {
    Model::new("a sweep under way, portable")
        .bound(2)
        .check(move |world| {
            let place = Place::of(world, variant, false);
            a_dead_holder(world, &place);
            let word = place.processes.word(SLOT);
            let shared = Rc::clone(&place);
            world.spawn(move |sweeper| {
                shared.reap(sweeper);
            });
            let shared = Rc::clone(&place);
            world.spawn(move |judge| {
                let found = shared.seen(judge).verdict(SLOT, word);
                assert_eq!(found, Verdict::Gone, "the dead seem to live");
            });
            world.finish();
        });
}

#[test]
fn a_sweeper_hides_no_death() {
    the_dead_are_judged_while_they_are_swept(Variant::Shipped);
    must_fail("one byte", || {
        the_dead_are_judged_while_they_are_swept(Variant::OneByte);
    });
}

/// Without life words: one loses its descriptor, a sweeper finds its byte free, and it takes
/// the byte again. It learns that it was swept, or is not swept after that.
fn the_portable_lose_theirs(variant: Variant) {
    Model::new("a living process loses its descriptor, portable")
        .bound(2)
        .check(move |world| {
            let place = Place::of(world, variant, false);
            let shared = Rc::clone(&place);
            world.spawn(move |actor| {
                let Attached::Inside(word) = shared.attach(actor) else {
                    panic!("the slot is free")
                };
                shared.close(actor);
                let again = shared.retake(actor, word);
                if again.is_none() {
                    // Its handles are spent; the last one ends the attachment.
                    shared.processes.free(SLOT, word);
                }
                if let Some(word) = again {
                    // What was taken before is gone; from here on nothing is.
                    let had = (shared.group.member(0), shared.threads.word(0));
                    assert_eq!(shared.processes.word(SLOT), word);
                    let has = (shared.group.member(0), shared.threads.word(0));
                    assert!(had == has, "it was swept after all");
                    assert!(shared.processes.free(SLOT, word), "it was swept after all");
                    shared.give_life_back(actor);
                }
            });
            let shared = Rc::clone(&place);
            world.spawn(move |reaper| {
                shared.reap(reaper);
            });
            world.finish();
            assert!(place.processes.word(SLOT).is_free());
        });
}

#[test]
fn who_has_its_byte_again_is_in_no_sweepers_hands() {
    the_portable_lose_theirs(Variant::Shipped);
    must_fail("the life byte again, and nothing else", || {
        the_portable_lose_theirs(Variant::LifeByteOnly);
    });
    must_fail("sweepers not asked for", || {
        the_portable_lose_theirs(Variant::NoSweepByte);
    });
}

/// A living process and the sweeper of its predecessor lose theirs.
#[test]
fn both_lose_theirs() {
    Model::new("a sweeper and the next holder lose their descriptors")
        .bound(1)
        .check(|world| {
            let place = Rc::new(Place::new(world));
            a_dead_holder(world, &place);
            let shared = Rc::clone(&place);
            world.spawn(move |sweeper| {
                shared.close_in_the_sweep(sweeper);
            });
            let shared = Rc::clone(&place);
            world.spawn(move |next| {
                if let Attached::Inside(word) = shared.attach(next) {
                    shared.close(next);
                    let word = shared.retake(next, word).expect("it beats");
                    shared.is_whole(next, word);
                    shared.detach(next, word);
                }
            });
            world.finish();
        });
}
