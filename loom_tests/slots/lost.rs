//! Processes that lose the descriptor of their lock bytes: a living one, a sweeper, both.
//! Each must-fail variant must be caught.

use std::rc::Rc;

use super::super::model::{Model, must_fail};
use super::super::world::World;
use super::place::{Attached, Place, SLOT, Variant};
use crate::table::liveness::Verdict;
use crate::table::slots::{Kernel, LOCK_LOST};

/// A process attaches and dies there.
fn a_dead_holder(world: &Rc<World>, place: &Rc<Place>) {
    place.spawn(world, |place, actor| {
        assert!(matches!(place.attach(actor), Attached::Inside(_)));
        actor.die();
    });
    world.finish_in_time();
}

/// Explores what `scene` has processes do in a place.
fn check(
    name: &str,
    variant: Variant,
    has_life_words: bool,
    scene: impl Fn(&Rc<World>, &Rc<Place>) + Send + Sync + 'static,
) {
    Model::new(name).bound(2).check(move |world| {
        let place = Place::of(world, variant, has_life_words);
        scene(world, &place);
    });
}

/// A living process loses its descriptor while another reaps; it takes the byte again.
fn the_living_lose_theirs(variant: Variant) {
    check(
        "a living process loses its descriptor",
        variant,
        true,
        |world, place| {
            place.spawn(world, |place, actor| {
                let Attached::Inside(word) = place.attach(actor) else {
                    panic!("the slot is free")
                };
                place.close(actor);
                let again = place.retake(actor, word).expect("it was swept");
                assert_eq!(again, word);
                place.is_whole(actor, word);
                place.detach(actor, word);
            });
            place.spawn(world, |place, reaper| {
                let word = place.processes.word(SLOT);
                if place.seen(reaper).verdict(SLOT, word) == Verdict::LockLost {
                    place.processes.send(SLOT, LOCK_LOST);
                }
                assert_eq!(place.reap(reaper), 0, "nobody died");
            });
            world.finish();
            assert!(place.processes.word(SLOT).is_free());
        },
    );
}

#[test]
fn a_living_process_without_its_byte_is_not_swept() {
    the_living_lose_theirs(Variant::Shipped);
    must_fail("life word not read", || {
        the_living_lose_theirs(Variant::NoLifeWord);
    });
}

/// A process loses its descriptor while it attaches, and may be swept, as its byte is its
/// only sign of life. It detects that, and does no harm to the next holder.
fn the_starting_lose_theirs(variant: Variant) {
    check(
        "a starting process loses its descriptor",
        variant,
        true,
        |world, place| {
            place.spawn(world, |place, actor| {
                if let Some(word) = place.claim(actor) {
                    place.close(actor);
                    if let Attached::Inside(word) = place.enter(actor, word) {
                        let word = place.retake(actor, word).expect("it beats");
                        place.is_whole(actor, word);
                        place.detach(actor, word);
                    }
                }
            });
            place.spawn(world, |place, actor| {
                place.live(actor);
            });
            world.finish();
            assert!(place.processes.word(SLOT).is_free());
        },
    );
}

#[test]
fn a_process_swept_while_it_attaches_detects_it() {
    the_starting_lose_theirs(Variant::Shipped);
    must_fail("the thread slot live before the process", || {
        the_starting_lose_theirs(Variant::ThreadFirst);
    });
}

/// A sweeper loses its descriptor in the middle. The next one sweeps, and lives there.
fn the_sweeper_loses_its_own(variant: Variant) {
    check(
        "a sweeper loses its descriptor",
        variant,
        true,
        |world, place| {
            a_dead_holder(world, place);
            place.spawn(world, |place, sweeper| {
                place.close_in_the_sweep(sweeper);
            });
            place.spawn(world, |place, next| {
                place.live(next);
            });
            world.finish();
        },
    );
}

#[test]
fn an_overtaken_sweeper_takes_nothing_of_the_next_holder() {
    the_sweeper_loses_its_own(Variant::Shipped);
    must_fail("steps not bound to the incarnation", || {
        the_sweeper_loses_its_own(Variant::Unbound);
    });
}

/// Two processes sweep the same dead one; the faster one then lives there.
fn two_sweep(variant: Variant) {
    check(
        "two sweepers, one of which stays",
        variant,
        true,
        |world, place| {
            a_dead_holder(world, place);
            place.spawn(world, |place, sweeper| {
                place.reap(sweeper);
            });
            place.spawn(world, |place, next| {
                place.live(next);
            });
            world.finish();
        },
    );
}

#[test]
fn a_sweeper_checks_again_under_the_sweep_byte() {
    two_sweep(Variant::Shipped);
    must_fail("byte and word not read again", || {
        two_sweep(Variant::AskedOnce);
    });
}

/// Without life words: a sweeper that is in the middle makes nobody seem alive.
fn the_dead_are_judged_while_they_are_swept(variant: Variant) {
    check(
        "a sweep under way, portable",
        variant,
        false,
        |world, place| {
            a_dead_holder(world, place);
            let word = place.processes.word(SLOT);
            place.spawn(world, |place, sweeper| {
                place.reap(sweeper);
            });
            place.spawn(world, move |place, judge| {
                let found = place.seen(judge).verdict(SLOT, word);
                assert_eq!(found, Verdict::Gone, "the dead seem to live");
            });
            world.finish();
        },
    );
}

#[test]
fn a_sweeper_hides_no_death() {
    the_dead_are_judged_while_they_are_swept(Variant::Shipped);
    must_fail("one byte", || {
        the_dead_are_judged_while_they_are_swept(Variant::OneByte);
    });
}

/// Without life words: a process loses its descriptor, a sweeper finds its byte free, and
/// the process takes the byte again. It detects that it was swept, or is not swept after that.
fn the_portable_lose_theirs(variant: Variant) {
    check(
        "a living process loses its descriptor, portable",
        variant,
        false,
        |world, place| {
            place.spawn(world, |place, actor| {
                let Attached::Inside(word) = place.attach(actor) else {
                    panic!("the slot is free")
                };
                place.close(actor);
                let again = place.retake(actor, word);
                if again.is_none() {
                    // Its handles are spent; the last one ends the attachment.
                    place.processes.free(SLOT, word);
                }
                if let Some(word) = again {
                    // What was taken before is gone; from here on nothing is.
                    let had = (place.group.member(0), place.threads.word(0));
                    assert_eq!(place.processes.word(SLOT), word);
                    let has = (place.group.member(0), place.threads.word(0));
                    assert!(had == has, "it was swept after all");
                    assert!(place.processes.free(SLOT, word), "it was swept after all");
                    place.give_life_back(actor);
                }
            });
            place.spawn(world, |place, reaper| {
                place.reap(reaper);
            });
            world.finish();
            assert!(place.processes.word(SLOT).is_free());
        },
    );
}

#[test]
fn a_process_that_has_its_byte_again_is_not_swept() {
    the_portable_lose_theirs(Variant::Shipped);
    must_fail("the life byte again, and nothing else", || {
        the_portable_lose_theirs(Variant::LifeByteOnly);
    });
    must_fail("no check for sweepers", || {
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
            place.spawn(world, |place, sweeper| {
                place.close_in_the_sweep(sweeper);
            });
            place.spawn(world, |place, next| {
                if let Attached::Inside(word) = place.attach(next) {
                    place.close(next);
                    let word = place.retake(next, word).expect("it beats");
                    place.is_whole(next, word);
                    place.detach(next, word);
                }
            });
            world.finish();
        });
}
