//! Events: every set has a number of its own, numbers are dense, and every reader gets
//! every set once or the number that it missed.
//!
//! The payload of a set is the stamp of the setter's act. For each number the ledger has a
//! cell into which the first thread that reads it (the setter, when the call returns, or a
//! reader) puts the stamp; all others must have read the same.
//!
//! - *Unique*: two sets of one number have two stamps, and the second to reach the cell
//!   finds the first.
//! - *Not invented, not mixed*: the payload is the stamp 25 times over. A reader that got
//!   parts of two sets, or of none, has no stamp or another one than the cell.
//! - *Each once, or counted*: the number that a reader gets is one more than the last,
//!   after what was reported as missed.
//! - *None lost*: a set that has returned is in the event. The highest number returned is
//!   read *before* a reader asks; if the reader then gets nothing, it must have had that
//!   one. It may be stopped in between for any time: the bound only gets older.
//! - *Dense*: at the end every number up to the last has a stamp, except for as many as
//!   setters were killed between announcement and confirmation, or whose set nobody read.

use std::sync::atomic::Ordering;

use crate::ledger::act::Act;
use crate::ledger::stamp::Stamp;
use crate::ledger::{Head, Ledger, NUMBERS};

/// Longer than one word, so that a torn payload shows.
const REPEATS: usize = 25;

pub fn payload(stamp: Stamp) -> Vec<u8> {
    stamp.0.to_le_bytes().repeat(REPEATS)
}

/// The stamp of a payload of one piece.
fn read(payload: &[u8]) -> Option<Stamp> {
    let (first, _) = payload.split_first_chunk::<8>()?;
    let is_consistent = payload.len() == 8 * REPEATS && payload.chunks(8).all(|word| word == first);
    is_consistent.then(|| Stamp(u64::from_le_bytes(*first)))
}

/// Before the event is set.
pub fn announce(ledger: &Ledger) {
    ledger.add(Head::Announced);
}

/// The set has returned this number.
pub fn confirm(ledger: &Ledger, number: u64, stamp: Stamp) {
    agree(ledger, number, stamp);
    ledger.raise(Head::Newest, number);
    ledger.add(Head::Confirmed);
    ledger.count(Act::Event);
}

fn agree(ledger: &Ledger, number: u64, stamp: Stamp) {
    // Beyond what is remembered nothing is compared.
    let Some(cell) = ledger.number(number) else {
        return;
    };
    let first = cell.compare_exchange(0, stamp.0, Ordering::AcqRel, Ordering::Acquire);
    let other = Stamp(first.err().unwrap_or(stamp.0));
    ledger.ensure(other == stamp, || {
        let (one, other) = (ledger.who(stamp), ledger.who(other));
        format!("set {number} of the event is of two: {one}, and {other}")
    });
}

/// One reader of the event.
pub struct Reader {
    heard: Option<u64>,
    /// Returned before it subscribed.
    since: u64,
    /// Missed before the first one that it got.
    has_lagged: bool,
}

impl Reader {
    /// Before it subscribes.
    pub fn new(ledger: &Ledger) -> Self {
        Self {
            heard: None,
            since: ledger.get(Head::Newest),
            has_lagged: false,
        }
    }

    /// Before it asks: the highest number that has been returned.
    pub fn bound(ledger: &Ledger) -> u64 {
        ledger.get(Head::Newest)
    }

    /// It asked, and got nothing.
    pub fn got_nothing(&self, ledger: &Ledger, bound: u64) {
        let heard = self.heard.unwrap_or(0);
        let is_right = heard >= bound || self.heard.is_none() && self.has_lagged;
        ledger.ensure(is_right, || {
            format!("event: after set {heard} nothing, though set {bound} has returned")
        });
    }

    pub fn got(&mut self, ledger: &Ledger, number: u64, payload: &[u8]) {
        let is_next = match self.heard {
            Some(heard) => number == heard + 1,
            // Begins with the latest.
            None => number >= self.since,
        };
        ledger.ensure(is_next, || {
            let (heard, since) = (self.heard, self.since);
            format!("event: set {number} after {heard:?}, subscribed when {since} had returned")
        });
        match read(payload) {
            Some(stamp) => agree(ledger, number, stamp),
            None => ledger.violate(&format!("event: set {number} has the payload {payload:?}")),
        }
        self.heard = Some(number);
        ledger.count(Act::Heard);
    }

    pub fn missed(&mut self, missed: u64) {
        self.has_lagged = true;
        self.heard = self.heard.map(|heard| heard + missed);
    }
}

/// After the storm: all numbers up to the last had a setter.
pub fn at_end(ledger: &Ledger, last: u64) {
    let of_nobody = (1..=last.min(NUMBERS - 1)).filter(|number| {
        let cell = ledger.number(*number);
        cell.is_some_and(|cell| cell.load(Ordering::Acquire) == 0)
    });
    let (of_nobody, open) = (
        of_nobody.count() as u64,
        ledger.get(Head::Announced) - ledger.get(Head::Confirmed),
    );
    ledger.ensure(of_nobody <= open, || {
        format!("event: {of_nobody} of {last} sets are of nobody, {open} were not confirmed")
    });
    let (newest, announced) = (ledger.get(Head::Newest), ledger.get(Head::Announced));
    ledger.ensure((newest..=announced).contains(&last), || {
        format!("event: {last} sets, {newest} have returned, {announced} were begun")
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::scratch;
    use crate::ledger::stamp::Actor;

    fn set(ledger: &Ledger, actor: &Actor, number: u64) -> Vec<u8> {
        announce(ledger);
        let stamp = actor.next();
        confirm(ledger, number, stamp);
        payload(stamp)
    }

    fn count(ledger: &Ledger) -> u64 {
        ledger.get(Head::Violations)
    }

    #[test]
    fn each_once_in_order_or_counted_is_right() {
        let (_directory, ledger) = scratch();
        let actor = Actor::new(1);
        let sets: Vec<_> = (1..=5).map(|number| set(&ledger, &actor, number)).collect();
        let mut reader = Reader::new(&ledger);
        reader.got(&ledger, 5, &sets[4]);
        let _ = set(&ledger, &actor, 6);
        reader.missed(1);
        let seventh = set(&ledger, &actor, 7);
        let bound = Reader::bound(&ledger);
        reader.got(&ledger, 7, &seventh);
        reader.got_nothing(&ledger, bound);
        // One was killed after its set: nobody read it.
        announce(&ledger);
        at_end(&ledger, 8);
        assert_eq!(count(&ledger), 0, "{:?}", ledger.violations());
    }

    #[test]
    fn one_that_is_lost_repeated_or_mixed_is_caught() {
        let (_directory, ledger) = scratch();
        let actor = Actor::new(1);
        let sets: Vec<_> = (1..=3).map(|number| set(&ledger, &actor, number)).collect();
        let mut reader = Reader::new(&ledger);
        reader.got(&ledger, 3, &sets[2]);
        // Lost.
        let fourth = set(&ledger, &actor, 4);
        reader.got_nothing(&ledger, Reader::bound(&ledger));
        assert_eq!(count(&ledger), 1);
        // Again.
        reader.got(&ledger, 4, &fourth);
        reader.got(&ledger, 4, &fourth);
        assert_eq!(count(&ledger), 2);
        // Not in order.
        reader.got(&ledger, 6, &payload(actor.next()));
        assert_eq!(count(&ledger), 3);
        // The payload of another, and one of two.
        reader.got(&ledger, 7, &fourth);
        Reader::new(&ledger).got(&ledger, 7, &payload(actor.next()));
        assert_eq!(count(&ledger), 4);
        let mixed = [&fourth[..96], &sets[0][96..]].concat();
        reader.got(&ledger, 8, &mixed);
        assert_eq!(count(&ledger), 5, "{:?}", ledger.violations());
    }

    #[test]
    fn two_sets_of_one_number_and_numbers_of_nobody_are_caught() {
        let (_directory, ledger) = scratch();
        let actors = [Actor::new(1), Actor::new(2)];
        let _ = actors.each_ref().map(|actor| set(&ledger, actor, 1));
        assert_eq!(count(&ledger), 1);
        at_end(&ledger, 4);
        assert_eq!(count(&ledger), 3, "{:?}", ledger.violations());
    }

    #[test]
    fn the_first_that_a_reader_gets_is_not_older_than_its_subscription() {
        let (_directory, ledger) = scratch();
        let actor = Actor::new(1);
        let sets: Vec<_> = (1..=3).map(|number| set(&ledger, &actor, number)).collect();
        let mut reader = Reader::new(&ledger);
        reader.got(&ledger, 2, &sets[1]);
        assert_eq!(count(&ledger), 1);
    }
}
