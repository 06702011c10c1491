//! Models of events that say something (`table/event_log.rs`): SYNC POINTS event-set and
//! entry-reuse.

use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER};
use crate::sync::event::{Event, Goal, Waited};
use crate::table::event_log::{After, EventLog, Said};

/// A ring of `N`: the smaller, the sooner it is overwritten.
type Log<const N: usize> = Rc<EventLog<Loom, N>>;

fn log<const N: usize>() -> Log<N> {
    Rc::new(EventLog::default())
}

/// A set whose kind and payload are one number.
fn set<const N: usize>(log: &Log<N>, actor: &Actor, what: u8) -> u64 {
    let set = log.set(u64::from(what), &[what], actor.me(), actor.env(), NEVER);
    set.expect("nobody keeps the writer lock")
}

fn is_whole(said: &Said) -> bool {
    said.payload.len() == 1 && said.kind == u64::from(said.payload[0])
}

#[test]
fn who_was_woken_by_a_set_reads_what_it_says() {
    Model::new("event log, 1 setter, 1 waiter")
        .bound(3)
        .check(|world| {
            let news = log::<2>();
            let waiter = Rc::clone(&news);
            world.spawn(move |actor| {
                let goal = waiter.goal().unwrap();
                assert_eq!(waiter.event.wait(goal, actor.env(), NEVER), Waited::Set);
                let (number, said) = waiter.latest().unwrap().expect("it was set");
                assert_eq!((number, said.kind, &said.payload[..]), (1, 7, &[7][..]));
            });
            world.spawn(move |actor| assert_eq!(set(&news, actor, 7), 1));
            world.finish();
        });
}

#[test]
fn a_reader_of_a_ring_that_is_overwritten_gets_whole_sets_or_is_told() {
    Model::new("event log, ring of 1, 2 sets, 1 reader")
        .bound(3)
        .check(|world| {
            let news = log::<1>();
            let reader = Rc::clone(&news);
            world.spawn(move |_| {
                let mut seen = 0;
                for _ in 0..2 {
                    match reader.after(seen).unwrap() {
                        After::Nothing => {}
                        After::Said(number, said) => {
                            assert_eq!(number, seen + 1);
                            assert!(is_whole(&said) && said.kind == number, "{said:?}");
                            seen = number;
                        }
                        After::Missed { missed, seen: next } => {
                            assert_eq!(next, seen + missed);
                            seen = next;
                        }
                    }
                }
            });
            world.spawn(move |actor| {
                set(&news, actor, 1);
                set(&news, actor, 2);
            });
            world.finish();
        });
}

#[test]
fn a_setter_killed_anywhere_leaves_the_event_usable_and_its_sets_whole() {
    let model = Model::new("event log, setter killed").bound(1);
    kill_sweep(model, |_, world| {
        let news = log::<2>();
        let dying = Rc::clone(&news);
        world.spawn_victim(move |actor| {
            set(&dying, actor, 1);
        });
        world.spawn(move |actor| {
            let number = set(&news, actor, 2);
            let After::Said(found, said) = news.after(number - 1).unwrap() else {
                // Only the other setter can come later, and it fits the ring.
                panic!("the set is lost");
            };
            assert_eq!((found, said.kind), (number, 2));
            let (_, latest) = news.latest().unwrap().expect("there is one");
            assert!(is_whole(&latest));
        });
        world.finish_in_time();
    });
}

#[test]
fn a_set_that_resets_itself_is_taken_once() {
    Model::new("event, 1 set, 2 takers")
        .bound(2)
        .check(|world| {
            let ticket = Rc::new(Event::<Loom>::default());
            let taken = Rc::new(std::cell::Cell::new(0));
            for _ in 0..2 {
                let (ticket, taken) = (Rc::clone(&ticket), Rc::clone(&taken));
                world.spawn(move |actor| {
                    if ticket.wait(Goal::Take, actor.env(), 9) == Waited::Set {
                        taken.set(taken.get() + 1);
                    }
                });
            }
            world.spawn(move |_| {
                ticket.set();
            });
            world.finish_in_time();
            assert_eq!(taken.get(), 1);
        });
}

#[test]
fn a_taker_killed_before_it_took_keeps_it_from_nobody() {
    let model = Model::new("event, taker killed").bound(1);
    kill_sweep(model, |_, world| {
        let ticket = Rc::new(Event::<Loom>::default());
        let dying = Rc::clone(&ticket);
        world.spawn_victim(move |actor| {
            let _ = dying.wait(Goal::Take, actor.env(), 9);
        });
        let taker = Rc::clone(&ticket);
        world.spawn(move |actor| {
            let waited = taker.wait(Goal::Take, actor.env(), 9);
            // If it was not this one, then the other took it along.
            assert!(waited == Waited::Set || !taker.is_set());
        });
        world.spawn(move |_| {
            ticket.set();
        });
        world.finish_in_time();
    });
}

mod twins {
    use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

    use super::*;
    use crate::loom_tests::memory::U64;
    use crate::sync::mem::{Mem, Word};

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        /// The old stamp stays while the entry is written.
        NotInvalidated,
        /// The reader does not look again.
        LooksOnce,
        /// The number is published before the entry.
        PublishedFirst,
    }

    #[derive(Default)]
    struct Ring {
        head: U64,
        stamp: U64,
        kind: U64,
        payload: U64,
    }

    impl Ring {
        fn set(&self, number: u64, flaw: Flaw) {
            if flaw == Flaw::PublishedFirst {
                self.head.store(number, SeqCst);
                self.stamp.store(number, SeqCst);
            } else if flaw != Flaw::NotInvalidated {
                self.stamp.store(0, Relaxed);
            }
            Loom::fence(Release);
            self.kind.store(number, Relaxed);
            self.payload.store(number, Relaxed);
            self.stamp.store(number, Release);
            self.head.store(number, Release);
        }

        fn read(&self, flaw: Flaw) -> Option<(u64, u64, u64)> {
            let number = self.head.load(Acquire);
            if number == 0 || self.stamp.load(Acquire) != number {
                return None;
            }
            let read = (number, self.kind.load(Relaxed), self.payload.load(Relaxed));
            Loom::fence(Acquire);
            let again = flaw == Flaw::LooksOnce || self.stamp.load(Relaxed) == number;
            again.then_some(read)
        }
    }

    fn check(name: &str, flaw: Flaw) {
        Model::new(name).bound(3).check(move |world| {
            let ring = Rc::new(Ring::default());
            let reader = Rc::clone(&ring);
            world.spawn(move |_| {
                if let Some((number, kind, payload)) = reader.read(flaw) {
                    assert_eq!((kind, payload), (number, number), "torn");
                }
            });
            world.spawn(move |_| {
                ring.set(1, flaw);
                ring.set(2, flaw);
            });
            world.finish();
        });
    }

    #[test]
    fn sound_ring_passes() {
        check("event ring twin, sound", Flaw::None);
    }

    #[test]
    fn ring_that_keeps_the_old_stamp_is_caught() {
        must_fail("event ring, old stamp kept", || {
            check("twin", Flaw::NotInvalidated);
        });
    }

    #[test]
    fn reader_that_looks_once_is_caught() {
        must_fail("event ring, stamp looked at once", || {
            check("twin", Flaw::LooksOnce);
        });
    }

    #[test]
    fn number_before_the_entry_is_caught() {
        must_fail("event ring, published first", || {
            check("twin", Flaw::PublishedFirst);
        });
    }
}
