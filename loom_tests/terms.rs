//! Initiators that are stopped while they write the terms of a shutdown, and the next one's
//! terms (`table/request.rs`).

use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::rc::Rc;

use super::memory::{Loom, U64};
use super::model::{Model, kill_sweep, must_fail};
use super::shutdown::LONG;
use super::world::World;
use crate::sync::mem::Word;
use crate::table::control::Control;
use crate::table::reason::Reason;
use crate::table::request::{Proposer, Terms};
use crate::table::scope::{Initiated, Scope};

/// The shipped words: a scope and the text beside it.
#[derive(Default)]
struct Record {
    scope: Scope<Loom>,
    reason: Reason<Loom>,
}

const STOPPED: Terms = Terms {
    shares: [100, 100, 800],
    cap_millis: 7,
    pid: 1,
};
const NEXT: Terms = Terms {
    shares: [200, 300, 500],
    cap_millis: 9,
    pid: 2,
};

impl Record {
    fn propose(&self, epoch: u64, process: usize, terms: Terms, text: &str) {
        self.scope.request.propose(
            epoch,
            Proposer::new(process, 1),
            terms,
            (&self.reason, text),
            |_| true,
            || self.scope.control() == Control::running(epoch),
        );
    }

    /// A shutdown with these terms in the next epoch but one; the one before it is cancelled.
    fn next_shutdown(&self) -> u64 {
        let _ = self.scope.initiate(LONG, || 1).unwrap();
        let _ = self.scope.cancel().unwrap();
        let epoch = self.scope.control().epoch();
        self.propose(epoch, 2, NEXT, "next one");
        let initiated = self.scope.initiate(LONG, || 2).unwrap();
        assert_eq!(initiated, Initiated::Drives(epoch));
        epoch
    }

    fn terms(&self, epoch: u64) -> Terms {
        self.scope.request.terms(epoch)
    }

    fn text(&self, epoch: u64) -> Option<String> {
        self.scope.request.text(epoch, &self.reason)
    }
}

/// One initiator of the first epoch, which is cancelled, and one of the next, which goes on.
fn one_is_stopped(world: &Rc<World>, record: &Rc<Record>) {
    let first = record.scope.control().epoch();
    let shared = Rc::clone(record);
    world.spawn(move |_| shared.propose(first, 1, STOPPED, "stopped "));
    let shared = Rc::clone(record);
    world.spawn(move |_| {
        let epoch = shared.next_shutdown();
        assert_eq!(shared.terms(epoch), NEXT);
    });
    world.finish();
    let epoch = record.scope.control().epoch();
    assert_eq!(record.terms(epoch), NEXT, "they are kept");
}

#[test]
fn a_stopped_initiator_takes_no_terms_away() {
    Model::new("terms, an initiator of the epoch before")
        .bound(2)
        .deaf()
        .check(|world| {
            let record = Rc::new(Record::default());
            one_is_stopped(world, &record);
            let epoch = record.scope.control().epoch();
            assert_eq!(record.text(epoch).as_deref(), Some("next one"));
        });
}

/// A record in which the text of the next shutdown is that of an earlier one, word by word.
fn of_before() -> Rc<Record> {
    let record = Rc::new(Record::default());
    record.propose(0, 2, NEXT, "next one");
    let _ = record.scope.initiate(LONG, || 1).unwrap();
    let _ = record.scope.cancel().unwrap();
    record
}

/// Then a late word may come into the text, and the text is not shown.
#[test]
fn a_text_with_a_late_word_is_not_shown() {
    Model::new("terms, the same text again")
        .bound(2)
        .deaf()
        .check(|world| {
            let record = of_before();
            one_is_stopped(world, &record);
            let epoch = record.scope.control().epoch();
            let text = record.text(epoch);
            assert!(text.is_none_or(|text| text == "next one"));
        });
}

#[test]
fn a_text_that_is_shown_without_its_hash_is_caught() {
    must_fail("reason, no hash", || {
        Model::new("reason, no hash")
            .bound(2)
            .deaf()
            .check(|world| {
                let record = of_before();
                one_is_stopped(world, &record);
                assert_eq!(record.reason.shown(), "next one");
            });
    });
}

#[test]
fn an_initiator_killed_anywhere_takes_no_terms_away() {
    kill_sweep(
        Model::new("terms, initiator killed").bound(1).deaf(),
        |_, world| {
            let record = Rc::new(Record::default());
            let shared = Rc::clone(&record);
            world.spawn_victim(move |_| shared.propose(0, 1, STOPPED, "stopped "));
            let shared = Rc::clone(&record);
            world.spawn(move |_| {
                let epoch = shared.next_shutdown();
                assert_eq!(shared.terms(epoch), NEXT);
            });
            world.finish();
        },
    );
}

/// The protocol in small: one word of terms, two initiators, and ways to get it wrong.
mod small {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        /// The word is stored whatever it was.
        Stores,
        /// The tag is not read before each swap.
        NoTag,
        /// A swap that failed is not tried again.
        NoSecondTry,
        /// The control word is not read after the tag was loaded.
        NotAsked,
        /// A claim that failed is not tried again.
        OneClaim,
    }

    const WRITING: u64 = 1;
    const READY: u64 = 2;
    const ON: u64 = 1;

    #[derive(Default)]
    struct Small {
        control: U64,
        tag: U64,
        word: U64,
    }

    fn swap(word: &U64, from: u64, to: u64) -> bool {
        word.compare_exchange(from, to, AcqRel, Acquire).is_ok()
    }

    impl Small {
        /// `epoch` counts from 1, so that zero is nothing.
        fn propose(&self, flaw: Flaw, epoch: u64) {
            let claim = epoch << 2 | WRITING;
            let is_running = || self.control.load(Acquire) == epoch << 1;
            if flaw == Flaw::NotAsked && !is_running() {
                return;
            }
            loop {
                let tag = self.tag.load(Acquire);
                if tag >> 2 == epoch || flaw != Flaw::NotAsked && !is_running() {
                    return;
                }
                if swap(&self.tag, tag, claim) {
                    break;
                }
                if flaw == Flaw::OneClaim {
                    return;
                }
            }
            if self.put(flaw, claim, epoch) {
                swap(&self.tag, claim, epoch << 2 | READY);
            }
        }

        fn put(&self, flaw: Flaw, claim: u64, value: u64) -> bool {
            if flaw == Flaw::Stores {
                self.word.store(value, Release);
                return true;
            }
            loop {
                let seen = self.word.load(Acquire);
                if flaw != Flaw::NoTag && self.tag.load(Acquire) != claim {
                    return false;
                }
                if swap(&self.word, seen, value) || flaw == Flaw::NoSecondTry {
                    return true;
                }
            }
        }

        fn initiate(&self, epoch: u64) {
            assert!(swap(&self.control, epoch << 1, epoch << 1 | ON));
        }

        fn cancel(&self, epoch: u64) {
            assert!(swap(&self.control, epoch << 1 | ON, (epoch + 1) << 1));
        }

        fn has_terms(&self, epoch: u64) -> bool {
            self.tag.load(Acquire) == epoch << 2 | READY && self.word.load(Acquire) == epoch
        }
    }

    fn check(flaw: Flaw) {
        Model::new("terms in small").bound(2).check(move |world| {
            let small = Rc::new(Small::default());
            small.control.store(1 << 1, Release);
            for _ in 0..2 {
                let small = Rc::clone(&small);
                world.spawn(move |_| small.propose(flaw, 1));
            }
            let shared = Rc::clone(&small);
            world.spawn(move |_| {
                shared.initiate(1);
                shared.cancel(1);
                shared.propose(flaw, 2);
                shared.initiate(2);
                assert!(shared.has_terms(2));
            });
            world.finish();
            assert!(small.has_terms(2), "they are kept");
        });
    }

    #[test]
    fn the_sound_steps_hold() {
        check(Flaw::None);
    }

    #[test]
    fn each_step_of_a_proposal_is_needed() {
        for (name, flaw) in [
            ("terms, stores", Flaw::Stores),
            ("terms, the tag not read again", Flaw::NoTag),
            ("terms, one try to claim", Flaw::OneClaim),
            ("terms, no second try", Flaw::NoSecondTry),
            ("terms, control read too early", Flaw::NotAsked),
        ] {
            must_fail(name, move || check(flaw));
        }
    }
}
