//! The terms of a shutdown, and initiators that were stopped while they wrote theirs.

use core::cell::Cell;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::reason::Reason;
use super::request::{Proposer, Request, Terms, epoch_of, proposer_of, state_of};
use crate::sync::{Real, Word};

const TERMS: Terms = Terms {
    shares: [200, 300, 500],
    cap_millis: 5000,
    pid: 77,
};
const OTHER: Terms = Terms {
    shares: [100, 100, 800],
    cap_millis: 7000,
    pid: 5,
};
const FIRST: Proposer = Proposer::new(4, 1);
const SECOND: Proposer = Proposer::new(5, 1);

#[derive(Default)]
struct Record {
    request: Request<Real>,
    reason: Reason<Real>,
}

impl Record {
    fn propose(&self, epoch: u64, me: Proposer, terms: Terms, text: &str) {
        let running = || true;
        self.propose_where(epoch, me, terms, text, alive, running);
    }

    fn propose_where(
        &self,
        epoch: u64,
        me: Proposer,
        terms: Terms,
        text: &str,
        is_alive: impl Fn(Proposer) -> bool,
        is_running: impl Fn() -> bool,
    ) {
        let text = (&self.reason, text);
        self.request
            .propose(epoch, me, terms, text, is_alive, is_running);
    }

    fn claim(&self, epoch: u64, me: Proposer) -> u64 {
        self.request.claim(epoch, me, alive, || true).unwrap()
    }

    fn terms(&self, epoch: u64) -> Terms {
        self.request.terms(epoch)
    }

    fn text(&self, epoch: u64) -> Option<String> {
        self.request.text(epoch, &self.reason)
    }

    /// All words that bear an epoch.
    fn words(&self) -> [&<Real as crate::sync::Mem>::U64; 4] {
        let Request {
            shares,
            cap,
            pid,
            mark,
            ..
        } = &self.request;
        [shares, cap, pid, mark]
    }
}

fn dead(_: Proposer) -> bool {
    false
}
fn alive(_: Proposer) -> bool {
    true
}

#[test]
fn the_first_living_initiator_of_an_epoch_sets_the_terms() {
    let record = Record::default();
    let nothing = (record.terms(0), record.text(0));
    assert_eq!(nothing, (Terms::default(), None));
    record.propose(1, FIRST, TERMS, "a reason");
    assert!(record.request.is_ready(1) && !record.request.is_ready(0));
    assert_eq!(
        (record.terms(1), record.terms(0)),
        (TERMS, Terms::default())
    );
    assert_eq!(record.text(1).as_deref(), Some("a reason"));
    assert_eq!(record.text(0), None);
    record.propose(1, SECOND, OTHER, "late");
    let again = || true;
    record.propose_where(1, FIRST, OTHER, "this process itself", dead, again);
    assert_eq!(record.terms(1), TERMS);
    let first_died = |first| first != FIRST;
    record.propose_where(1, SECOND, OTHER, "", first_died, again);
    assert_eq!(record.terms(1), OTHER, "the first one died");
    assert_eq!(record.text(1).as_deref(), Some(""));
    record.propose(2, FIRST, TERMS, "the next");
    assert_eq!(
        (record.terms(2), record.terms(1)),
        (TERMS, Terms::default())
    );
}

#[test]
fn a_claim_that_was_never_filled_is_taken_over_and_says_nothing() {
    let record = Record::default();
    let claim = record.claim(1, FIRST);
    assert_eq!((epoch_of(claim), proposer_of(claim)), (1, Some(FIRST)));
    assert!(!record.request.is_ready(1) && state_of(claim) == 1);
    record.propose(1, SECOND, TERMS, "it is being filled");
    assert!(!record.request.is_ready(1));
    record.propose_where(1, SECOND, TERMS, "taken over", dead, || true);
    assert_eq!(record.terms(1), TERMS);
    // The first was taken for dead, and goes on.
    let text = (&record.reason, "the first");
    assert!(!record.request.fill(claim, OTHER, text));
    record.request.publish(claim);
    assert_eq!(record.terms(1), TERMS);
    assert_eq!(record.text(1).as_deref(), Some("taken over"));
}

/// The claimant was killed, and its process slot has another holder, who initiates.
#[test]
fn the_next_holder_of_a_process_slot_is_not_the_one_that_died_in_it() {
    let record = Record::default();
    let next = Proposer::new(FIRST.process, 2);
    record.claim(1, FIRST);
    let lives = |other| other == next;
    record.propose_where(1, next, TERMS, "again", lives, || true);
    assert_eq!(record.terms(1), TERMS);
}

/// Stopped before it claims: before the tag is loaded, and between the question for the
/// epoch and the swap.
#[test]
fn an_initiator_of_an_epoch_that_is_over_claims_nothing() {
    let record = Record::default();
    record.propose(2, SECOND, TERMS, "the next");
    record.propose_where(1, FIRST, OTHER, "late", alive, || false);
    assert_eq!(record.terms(2), TERMS);

    let record = Record::default();
    let is_first = Cell::new(true);
    let meanwhile = || {
        let answer = is_first.replace(false);
        if answer {
            record.propose(2, SECOND, TERMS, "the next");
        }
        answer
    };
    record.propose_where(1, FIRST, OTHER, "late", alive, meanwhile);
    assert_eq!(record.terms(2), TERMS);
    assert_eq!(record.text(2).as_deref(), Some("the next"));
}

/// One that was stopped claims for an epoch that is over, just before the next initiator
/// does: that one tries again.
#[test]
fn a_late_claim_takes_no_terms_from_the_next_initiator() {
    let record = Record::default();
    let is_first = Cell::new(true);
    let meanwhile = || {
        if is_first.replace(false) {
            record.claim(1, FIRST);
        }
        true
    };
    record.propose_where(2, SECOND, TERMS, "the next", alive, meanwhile);
    assert_eq!(record.terms(2), TERMS);
    assert_eq!(record.text(2).as_deref(), Some("the next"));
}

/// Stopped while it fills: its claim is gone, and what it does then does nothing.
#[test]
fn an_initiator_that_was_stopped_does_not_write_into_the_next_ones_terms() {
    let record = Record::default();
    let stopped = record.claim(1, FIRST);
    record.propose(2, SECOND, TERMS, "the next");
    let text = (&record.reason, "the one that was stopped");
    assert!(!record.request.fill(stopped, OTHER, text));
    record.request.publish(stopped);
    assert_eq!(record.terms(2), TERMS);
    assert_eq!(record.text(2).as_deref(), Some("the next"));
    assert_eq!(record.terms(1), Terms::default());
}

/// Stopped between its look at the tag and the swap of a word: after the next one has
/// filled it, the swap fails; before, the next one's value is put over it.
#[test]
fn a_late_swap_of_a_word_fails_or_is_replaced() {
    for index in 0..4 {
        let record = Record::default();
        let word = record.words()[index];
        record.claim(1, FIRST);
        let (seen, late) = (word.load(Acquire), 1 | 77 << 40);
        record.propose(2, SECOND, TERMS, "the next");
        assert!(word.compare_exchange(seen, late, AcqRel, Acquire).is_err());
        assert_eq!(record.terms(2), TERMS);

        let record = Record::default();
        let word = record.words()[index];
        record.claim(1, FIRST);
        let seen = word.load(Acquire);
        let next = record.claim(2, SECOND);
        assert!(word.compare_exchange(seen, late, AcqRel, Acquire).is_ok());
        assert!(
            record
                .request
                .fill(next, TERMS, (&record.reason, "the next"))
        );
        record.request.publish(next);
        assert_eq!(record.terms(2), TERMS);
        assert_eq!(record.text(2).as_deref(), Some("the next"));
    }
}

/// The words of the text bear no epoch: one late swap may succeed where the next text has
/// the same word. Then no text is shown, and the terms are what they are.
#[test]
fn a_text_with_a_word_of_another_one_is_not_shown() {
    let record = Record::default();
    record.propose(1, FIRST, OTHER, "upgrade to 12");
    let word = &record.reason.words[0];
    let seen = word.load(Acquire);
    record.propose(2, SECOND, TERMS, "upgrade of the host");
    let late = u64::from_ne_bytes(*b"maintena");
    assert!(word.compare_exchange(seen, late, AcqRel, Acquire).is_ok());
    assert_eq!(record.text(2), None);
    assert_eq!(record.terms(2), TERMS);
}

#[test]
fn terms_that_change_during_the_read_or_are_of_another_epoch_are_the_defaults() {
    for index in 0..3 {
        let record = Record::default();
        record.propose(1, FIRST, TERMS, "");
        let word = record.words()[index];
        word.store(word.load(Relaxed) ^ 1, Relaxed);
        assert_eq!(record.terms(1), Terms::default());
    }
    let record = Record::default();
    record.propose(1, FIRST, TERMS, "");
    let shares = &record.request.shares;
    Word::store(shares, 1 | (1000 | 1 << 10) << 40, Relaxed);
    assert_eq!(record.terms(1), Terms::default(), "they do not add up");
    let record = Record::default();
    let cap_millis = u64::MAX;
    record.propose(
        1,
        FIRST,
        Terms {
            cap_millis,
            ..TERMS
        },
        "",
    );
    assert_eq!(record.terms(1).cap_millis, 4_294_960_000);
    let asked = Cell::new(0);
    record.propose_where(2, FIRST, TERMS, "", alive, || {
        asked.set(asked.get() + 1);
        false
    });
    assert_eq!((asked.get(), record.request.is_ready(1)), (1, true));
}
