//! The search itself: what it must find, and what it must not.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::memory::{Searched, U32, U64};
use super::model::{Model, must_panic};
use super::system::Mortal;
use super::world::{NEVER, World};
use crate::sync::mem::{ALL, Mem, Word};
use crate::sync::{Env, Pulse, life};

/// Two actors add one to a word by a load and a store, or by one access.
fn counters(world: &mut World, is_atomic: bool) {
    let word = world.table("count", &["value"], U64::default);
    for name in ["first", "second"] {
        let word = Rc::clone(&word);
        world.actor(name, move |_| {
            if is_atomic {
                word.fetch_add(1, Ordering::Relaxed);
            } else {
                let seen = word.load(Ordering::Relaxed);
                word.store(seen + 1, Ordering::Relaxed);
            }
        });
    }
    world.finally(move |_| assert_eq!(word.load(Ordering::Relaxed), 2, "a lost update"));
}

#[test]
fn a_lost_update_is_found_and_its_schedule_names_the_words() {
    let schedule = Model::new("lost update").must_be_found(|world| counters(world, false));
    assert!(schedule.contains("loads count.value: 0x0"), "{schedule}");
    assert!(
        schedule.contains("stores count.value: 0x0 -> 0x1"),
        "{schedule}"
    );
    Model::new("no lost update").holds(|world| counters(world, true));
}

/// What holds after every step and what holds at the end are both looked at.
#[test]
fn both_kinds_of_checks_are_made() {
    for fails in ["always", "finally"] {
        let setup = |world: &mut World| {
            let word = world.table("word", &["value"], U64::default);
            let (shown, last) = (Rc::clone(&word), Rc::clone(&word));
            world.actor("writer", move |_| {
                word.store(1, Ordering::Relaxed);
                word.store(2, Ordering::Relaxed);
            });
            world.always(move |_| {
                assert!(fails != "always" || shown.load(Ordering::Relaxed) != 1);
            });
            world.finally(move |_| {
                assert!(fails != "finally" || last.load(Ordering::Relaxed) != 2);
            });
        };
        let schedule = Model::new(fails).must_be_found(setup);
        assert!(schedule.contains("writer"), "{schedule}");
    }
}

#[test]
fn a_failing_model_is_reported_with_its_schedule() {
    let message = must_panic(|| Model::new("reported").holds(|world| counters(world, false)));
    assert!(message.contains("a lost update"), "{message}");
    assert!(message.contains("first"), "{message}");
    let message =
        must_panic(|| drop(Model::new("passes").must_be_found(|world| counters(world, true))));
    assert!(message.contains("nothing was found"), "{message}");
}

/// Two actors each store their own word and then load the other's: all outcomes but "both
/// see nothing" are reached.
#[test]
fn every_outcome_of_two_stores_and_two_loads_is_reached() {
    for missing in [None, Some((0, 1)), Some((1, 0)), Some((1, 1)), Some((0, 0))] {
        let model = Model::new(&format!("store and load, {missing:?}"));
        let setup = |world: &mut World| {
            let words = world.table("word", &["x", "y"], <[U64; 2]>::default);
            let seen = world.table("seen", &[""; 0], || {
                [0, 0].map(|_| super::world::Ghost::default())
            });
            for me in 0..2 {
                let (words, seen) = (Rc::clone(&words), Rc::clone(&seen));
                world.actor(["x", "y"][me], move |_| {
                    words[me].store(1, Ordering::Relaxed);
                    seen[me].set(words[1 - me].load(Ordering::Relaxed));
                });
            }
            world.finally(move |_| {
                let outcome = (seen[0].get(), seen[1].get());
                assert_ne!(outcome, (0, 0), "both saw nothing");
                assert_ne!(Some(outcome), missing.map(|(a, b)| (a, b)));
            });
        };
        match missing {
            None | Some((0, 0)) => model.holds(setup),
            Some(_) => drop(model.must_be_found(setup)),
        }
    }
}

fn sleeper_and_waker(world: &mut World, wakes: bool, until: u64) {
    let word = world.table("bell", &["value"], U32::default);
    let shared = Rc::clone(&word);
    world.actor("sleeper", move |me| {
        while shared.load(Ordering::Acquire) == 0 {
            me.state_is("about to sleep");
            let _ = Searched::wait(Searched::cell(&shared), 0, until);
        }
    });
    world.actor("waker", move |_| {
        word.store(1, Ordering::Release);
        if wakes {
            Searched::wake(Searched::cell(&word), ALL);
        }
    });
}

#[test]
fn a_lost_wake_up_is_found_unless_the_sleep_is_bounded() {
    Model::new("wake-up").holds(|world| sleeper_and_waker(world, true, NEVER));
    Model::new("no wake-up").must_be_found(|world| sleeper_and_waker(world, false, NEVER));
    Model::new("no wake-up, bounded sleep").holds(|world| sleeper_and_waker(world, false, 5000));
}

#[test]
fn a_search_that_is_cut_short_fails_unless_the_model_is_bounded() {
    let loops = |world: &mut World| {
        let word = world.table("count", &[""; 0], U64::default);
        for name in ["one", "two"] {
            let word = Rc::clone(&word);
            world.actor(name, move |me| {
                for round in 0..200 {
                    me.state_is(round);
                    word.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    };
    let model = Model::new("long loops").states(1000);
    let cut = must_panic(|| model.clone().holds(loops));
    assert!(cut.contains("limit of states"), "{cut}");
    model.bounded().holds(loops);
}

/// A sleeper on the life word of one that may be killed learns of the death.
#[test]
fn a_death_marks_the_life_word_and_wakes_one_sleeper() {
    let setup = |arms: bool| {
        move |world: &mut World| {
            let word = world.table("word", &[""; 0], U64::default);
            let shared = Rc::clone(&word);
            world
                .actor("victim", move |_| {
                    for value in 1..=2 {
                        shared.store(value, Ordering::Release);
                        Searched::wake(Searched::low_cell(&shared), ALL);
                    }
                })
                .mortal(Mortal::Process);
            world.actor("watcher", move |me| {
                loop {
                    me.state_is("looks again");
                    let Pulse::Alive(Some(life)) = me.process_pulse(0) else {
                        break;
                    };
                    let seen = word.load(Ordering::Acquire);
                    if seen == 2 {
                        break;
                    }
                    let armed = match arms {
                        true => life::arm::<Searched>(life),
                        false => Some(life.load(Ordering::Acquire)),
                    };
                    if let Some(armed) = armed {
                        let cells = [
                            (Searched::cell(life), armed),
                            (Searched::low_cell(&word), seen as u32),
                        ];
                        let _ = Searched::wait_any(&cells, NEVER);
                    }
                }
            });
        }
    };
    Model::new("death of a watched one")
        .kills(1)
        .holds(setup(true));
    Model::new("death, not armed")
        .kills(1)
        .must_be_found(setup(false));
}
