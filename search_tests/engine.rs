//! The search itself: what it must find, and what it must not.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::memory::{Searched, U32, U64};
use super::model::{Model, must_panic};
use super::system::Mortal;
use super::world::{Byte, Ghost, NEVER, World};
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

/// What holds after every step and what holds at the end are both checked.
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
            let seen = world.table("seen", &[""; 0], || [0, 0].map(|_| Ghost::default()));
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
                assert_ne!(Some(outcome), missing);
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

/// A body that states less than it goes on by would hide states: that is noticed.
#[test]
fn a_body_that_goes_on_by_more_than_it_stated_is_refused() {
    let setup = |world: &mut World| {
        let word = world.table("word", &["value"], U64::default);
        for name in ["first", "second"] {
            let word = Rc::clone(&word);
            world.actor(name, move |me| {
                let seen = word.fetch_add(1, Ordering::Relaxed);
                me.state_is("goes on");
                word.load(Ordering::Relaxed);
                if seen == 1 {
                    word.store(7, Ordering::Relaxed);
                }
            });
        }
    };
    let message = must_panic(|| Model::new("states too little").holds(setup));
    assert!(message.contains("more than it stated"), "{message}");
}

/// A sleeper on the life word of a mortal actor is woken by its death.
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
                    me.state_is("retries");
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

/// Time passes as often as the model allows, and while another actor goes on.
#[test]
fn time_passes_in_steps_and_each_reading_may_be_a_later_one() {
    let reads = |most: u64| {
        move |world: &mut World| {
            let latest = world.ghost("latest");
            for name in ["one", "other"] {
                let latest = Rc::clone(&latest);
                world.actor(name, move |me| {
                    let before = me.now();
                    let after = me.now();
                    assert!(after >= before);
                    latest.set(latest.get().max(after - before));
                });
            }
            world.finally(move |_| assert!(latest.get() <= most, "{}", latest.get()));
        }
    };
    Model::new("the clock does not run").holds(reads(0));
    Model::new("two steps of time").ticks(2).holds(reads(2000));
    Model::new("two steps of time, found")
        .ticks(2)
        .must_be_found(reads(1000));
    Model::new("the clock runs").clock_runs().holds(reads(3));
    Model::new("the clock runs, found")
        .clock_runs()
        .must_be_found(reads(2));
}

#[test]
fn every_choice_of_a_body_is_tried_and_a_system_call_is_one_step() {
    let setup = |missing: usize| {
        move |world: &mut World| {
            let words = world.table("word", &["first", "second"], <[U64; 2]>::default);
            let written = Rc::clone(&words);
            world.actor("writer", move |me| {
                let value = me.choose(3) as u64 + 1;
                me.one_step(|| {
                    written
                        .iter()
                        .for_each(|word| word.store(value, Ordering::Relaxed))
                });
            });
            world.actor("reader", move |me| {
                let read =
                    me.one_step(|| words.each_ref().map(|word| word.load(Ordering::Relaxed)));
                assert_eq!(read[0], read[1], "half of a system call");
                assert_ne!(read[0], missing as u64);
            });
        }
    };
    Model::new("choices").holds(setup(4));
    for found in 0..4 {
        Model::new("choices, found").must_be_found(setup(found));
    }
}

/// A process of two threads dies as a whole: its life words are marked one after the other,
/// and its lock bytes are free after that.
#[test]
fn a_process_dies_with_all_its_threads_and_its_bytes_are_free_last() {
    let setup = |asks_bytes: bool| {
        move |world: &mut World| {
            let byte = world.table("byte", &["life"], Byte::default);
            let count = world.table("count", &["value"], U64::default);
            let held = Rc::clone(&byte);
            let keeper = world.actor("keeper", move |me| {
                assert!(held.try_lock(0) && held.holder() == Some(0) && me.index() == 0);
            });
            keeper.mortal(Mortal::Process);
            let counted = Rc::clone(&count);
            world
                .actor("second thread", move |_| {
                    for value in 1..3 {
                        counted.swap(value, Ordering::Relaxed);
                    }
                })
                .process(0)
                .mortal(Mortal::Process);
            world.actor("other process", move |me| {
                let is_dead = |thread| matches!(me.process_pulse(thread), Pulse::Dead);
                if asks_bytes {
                    // Held by nobody: not yet, or not any more.
                    if is_dead(0) && is_dead(1) && byte.try_lock(2) {
                        byte.unlock(2);
                    }
                } else if is_dead(0) {
                    let before = count.load(Ordering::Relaxed);
                    assert_eq!(count.load(Ordering::Relaxed), before, "it goes on");
                    assert!(is_dead(1), "its mark comes later");
                }
            });
        }
    };
    Model::new("death of a process").kills(1).holds(setup(true));
    let schedule = Model::new("death of a process, one mark")
        .kills(1)
        .must_be_found(setup(false));
    assert!(schedule.contains("its mark comes later") || schedule.contains("is killed"));
}
