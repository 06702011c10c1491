//! Models of the event (`sync/event.rs`): SYNC POINT event-set.

use std::rc::Rc;

use loom::cell::Cell;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{NEVER, World};
use crate::sync::event::{Event, Waited};

/// An event and what is published by it.
#[derive(Default)]
struct News {
    event: Event<Loom>,
    text: Cell<u32>,
}

fn readers(world: &Rc<World>, news: &Rc<News>, threads: usize) {
    for _ in 0..threads {
        let news = Rc::clone(news);
        world.spawn(move |actor| {
            assert_eq!(
                news.event
                    .wait(news.event.goal_from_now(), actor.env(), NEVER),
                Waited::Set
            );
            assert_eq!(news.text.get(), 7);
        });
    }
}

#[test]
fn set_wakes_every_waiter_and_publishes() {
    for waiters in 1..=2 {
        let model = Model::new(&format!("event, 1 setter, {waiters} waiter(s)"));
        let model = if waiters == 1 { model } else { model.bound(2) };
        model.check(move |world| {
            let news = Rc::new(News::default());
            readers(world, &news, waiters);
            world.spawn(move |_| {
                news.text.set(7);
                news.event.set();
            });
            world.finish();
        });
    }
}

#[test]
fn waiter_that_slept_through_set_and_clear_returns() {
    Model::new("event, set and clear").bound(3).check(|world| {
        let event = Rc::new(Event::<Loom>::default());
        let asleep = Rc::new(core::cell::Cell::new(false));
        let (waiter, came) = (Rc::clone(&event), Rc::clone(&asleep));
        world.spawn(move |actor| {
            came.set(true);
            // If it came after the clear, only the deadline ends it.
            let _waited = waiter.wait(waiter.goal_from_now(), actor.env(), 9);
        });
        world.spawn(move |_| {
            event.set();
            event.clear();
            assert!(!event.is_set());
        });
        world.finish_in_time();
    });
    Model::new("event, set and clear, known sleeper")
        .bound(2)
        .check(|world| {
            let event = Rc::new(Event::<Loom>::default());
            let came = Rc::new(Event::<Loom>::default());
            let (waiter, told) = (Rc::clone(&event), Rc::clone(&came));
            world.spawn(move |actor| {
                told.set();
                assert_eq!(
                    waiter.wait(waiter.goal_from_now(), actor.env(), NEVER),
                    Waited::Set
                );
            });
            world.spawn(move |actor| {
                assert_eq!(
                    came.wait(came.goal_from_now(), actor.env(), NEVER),
                    Waited::Set
                );
                event.set();
                event.clear();
                // For a waiter that comes only now.
                event.set();
            });
            world.finish();
        });
}

#[test]
fn two_setters_and_a_clearer_lose_nobody() {
    Model::new("event, 2 setters, 1 clearer, 1 waiter")
        .bound(1)
        .check(|world| {
            let event = Rc::new(Event::<Loom>::default());
            let waiter = Rc::clone(&event);
            world.spawn(move |actor| {
                assert_eq!(
                    waiter.wait(waiter.goal_from_now(), actor.env(), NEVER),
                    Waited::Set
                )
            });
            let first = Rc::clone(&event);
            world.spawn(move |_| {
                first.set();
                first.clear();
                first.set();
            });
            world.spawn(move |_| {
                event.set();
            });
            world.finish();
        });
}

#[test]
fn wait_ends_at_its_deadline() {
    Model::new("event, deadline").check(|world| {
        let event = Rc::new(Event::<Loom>::default());
        world.spawn(move |actor| {
            assert_eq!(
                event.wait(event.goal_from_now(), actor.env(), 5),
                Waited::TimedOut
            )
        });
        world.finish_in_time();
    });
}

#[test]
fn killed_setter_or_waiter_holds_nobody() {
    kill_sweep(Model::new("event, setter killed").bound(3), |_, world| {
        let event = Rc::new(Event::<Loom>::default());
        let dying = Rc::clone(&event);
        world.spawn_victim(move |_| {
            dying.set();
        });
        world.spawn(move |actor| {
            // Killed before its store: only the deadline ends the wait.
            let waited = event.wait(event.goal_from_now(), actor.env(), 9);
            assert!(waited == Waited::TimedOut || event.is_set());
        });
        world.finish_in_time();
    });
    kill_sweep(Model::new("event, waiter killed").bound(1), |_, world| {
        let news = Rc::new(News::default());
        let dying = Rc::clone(&news);
        world.spawn_victim(move |actor| {
            let _waited = dying
                .event
                .wait(dying.event.goal_from_now(), actor.env(), NEVER);
        });
        readers(world, &news, 1);
        world.spawn(move |_| {
            news.text.set(7);
            news.event.set();
        });
        // Wake-all loses nobody: no time is needed.
        world.finish();
    });
}

mod twins {
    use core::sync::atomic::Ordering;

    use super::*;
    use crate::loom_tests::memory::U32;
    use crate::sync::mem::{ALL, Mem, Word};

    const SET: u32 = 1;
    const WAITERS: u32 = 2;

    #[test]
    fn setter_that_looks_for_waiters_before_its_store_is_caught() {
        must_fail("event, looks for waiters before the store", || {
            Model::new("twin").bound(3).check(|world| {
                let word = Rc::new(U32::default());
                let waiter = Rc::clone(&word);
                world.spawn(move |_| {
                    while waiter.fetch_or(WAITERS, Ordering::Acquire) & SET == 0 {
                        Loom::wait(Loom::cell(&waiter), WAITERS, NEVER);
                    }
                });
                world.spawn(move |_| {
                    let waiters = word.load(Ordering::Relaxed) & WAITERS != 0;
                    word.fetch_or(SET, Ordering::Release);
                    if waiters {
                        Loom::wake(Loom::cell(&word), ALL);
                    }
                });
                world.finish();
            });
        });
    }

    #[test]
    fn event_without_generation_is_caught() {
        must_fail("event, no generation", || {
            Model::new("twin").bound(3).check(|world| {
                let word = Rc::new(U32::default());
                let told = Rc::new(Event::<Loom>::default());
                let (waiter, tell) = (Rc::clone(&word), Rc::clone(&told));
                world.spawn(move |_| {
                    waiter.fetch_or(WAITERS, Ordering::Acquire);
                    tell.set();
                    while waiter.fetch_or(WAITERS, Ordering::Acquire) & SET == 0 {
                        Loom::wait(Loom::cell(&waiter), WAITERS, NEVER);
                    }
                });
                world.spawn(move |actor| {
                    assert_eq!(
                        told.wait(told.goal_from_now(), actor.env(), NEVER),
                        Waited::Set
                    );
                    word.swap(SET, Ordering::AcqRel);
                    Loom::wake(Loom::cell(&word), ALL);
                    word.fetch_and(!SET, Ordering::AcqRel);
                });
                world.finish();
            });
        });
    }
}
