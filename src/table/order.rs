//! In which order locks were ever taken: the memory of the lock-order check.
//!
//! Two bit matrices of all pairs of locks. `taken`: the second was ever waited for while
//! the first was held. `violated`: that pair would have closed a circle of `taken`. Both
//! only accumulate, by one `fetch_or` each, and are advice: a process killed at any
//! point leaves a bit set or not. A pair that closes a circle is kept out of `taken`, so
//! that stays free of circles, but for two pairs that are new at the same instant: each
//! sets its bit, fences and looks again, so at least one of them is reported.
//!
//! No thread is named here, only pid and runner, as text for people: nothing that could come
//! back is compared.
//!
//! A violation's record (who, when) is written whole and published by its word before
//! the pair's bit is set. Killed in between: a record that nobody needs, and the next one
//! who does the same writes another; readers take the first of a pair. The table may be
//! full: the bit tells all but who it was.

use core::sync::atomic::Ordering;

use crate::graph::cycle;
use crate::limits::{MAX_LOCKS, MAX_VIOLATIONS};
use crate::segment::shared;
use crate::sync::latch::Text;
use crate::sync::{Mem, Word};

/// Words of one lock's row.
pub(super) const ROW: usize = MAX_LOCKS / 64;
const WORDS: usize = MAX_LOCKS * ROW;
pub(super) const VALID: u64 = 1 << 63;

/// A set of ordered pairs of locks.
#[repr(C)]
pub(crate) struct Pairs<M: Mem>(pub(super) [M::U64; WORDS]);

impl<M: Mem> Pairs<M> {
    fn place(pair: (usize, usize)) -> Option<(usize, u64)> {
        let (first, second) = pair;
        let bit = first * MAX_LOCKS + second;
        (first < MAX_LOCKS && second < MAX_LOCKS).then_some((bit / 64, 1 << (bit % 64)))
    }

    pub(crate) fn has(&self, pair: (usize, usize)) -> bool {
        Self::place(pair).is_some_and(|(word, bit)| self.0[word].load(Ordering::Acquire) & bit != 0)
    }

    /// Answers whether the pair is new.
    pub(super) fn add(&self, pair: (usize, usize)) -> bool {
        Self::place(pair)
            .is_some_and(|(word, bit)| self.0[word].fetch_or(bit, Ordering::AcqRel) & bit == 0)
    }

    /// What comes second to `first`.
    fn after(&self, first: usize) -> impl Iterator<Item = usize> {
        let row = self.0.chunks(ROW).nth(first).unwrap_or(&[]);
        row.iter().enumerate().flat_map(|(word, bits)| {
            let bits = bits.load(Ordering::Acquire);
            (0..64)
                .filter(move |bit| bits >> bit & 1 != 0)
                .map(move |bit| word * 64 + bit)
        })
    }

    /// All pairs, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..MAX_LOCKS).flat_map(|first| self.after(first).map(move |second| (first, second)))
    }
}

/// Who was the first to take a pair in the wrong order.
#[repr(C)]
pub(crate) struct Violation<M: Mem> {
    /// `VALID:1 | … | held:16 | wanted:16`
    pub(super) word: M::U64,
    pid: M::U64,
    pub(super) at: M::U64,
    _pad: M::U64,
    pub(super) runner: Text<M, 9>,
}

/// What is known of one who did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Culprit {
    pub(crate) pid: u32,
    /// In microseconds of the segment's clock.
    pub(crate) at: u64,
    /// Id of its runner, or nothing.
    pub(crate) runner: String,
}

/// What a step of taking locks means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Known, or new and in order.
    InOrder,
    /// It closes a circle: the way back from the wanted lock to the held one. `is_new`:
    /// nobody has done it before.
    Closes { way: Vec<usize>, is_new: bool },
}

/// The memory of all orders of one segment.
#[repr(C)]
pub(crate) struct Order<M: Mem> {
    pub(crate) taken: Pairs<M>,
    pub(crate) violated: Pairs<M>,
    /// Records ever begun; may exceed their number.
    pub(super) begun: M::U64,
    pub(super) records: [Violation<M>; MAX_VIOLATIONS],
}

impl<M: Mem> Order<M> {
    /// Whether this order was taken before and closes no circle: the step that changes
    /// nothing.
    #[inline]
    pub(crate) fn is_known(&self, held: usize, wanted: usize) -> bool {
        let pair = (held, wanted);
        held == wanted || self.taken.has(pair) && !self.violated.has(pair)
    }

    /// A lock is going to be waited for while another is held. Blocks never; a pair that
    /// is known costs two loads.
    pub(crate) fn step(&self, held: usize, wanted: usize) -> Step {
        let pair = (held, wanted);
        if held == wanted {
            return Step::InOrder;
        }
        if self.violated.has(pair) {
            // Asked first: of two halves set at the same instant `taken` has both.
            let way = self.way(wanted, held).unwrap_or_else(|| vec![wanted, held]);
            return Step::Closes { way, is_new: false };
        }
        if self.taken.has(pair) {
            return Step::InOrder;
        }
        let mut way = self.way(wanted, held);
        if way.is_none() {
            self.taken.add(pair);
            // Somebody may be adding the other half at this instant.
            M::fence(Ordering::SeqCst);
            way = self.way(wanted, held);
        }
        match way {
            None => Step::InOrder,
            Some(way) => Step::Closes { way, is_new: true },
        }
    }

    /// Writes down who closed a circle. True for the first: of several at once, one.
    pub(crate) fn record(&self, held: usize, wanted: usize, culprit: &Culprit) -> bool {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        if let Some(record) = usize::try_from(begun)
            .ok()
            .and_then(|index| self.records.get(index))
        {
            record.pid.store(u64::from(culprit.pid), Ordering::Relaxed);
            record.at.store(culprit.at, Ordering::Relaxed);
            record.runner.write(&culprit.runner);
            let word = VALID | (held as u64) << 16 | wanted as u64;
            record.word.store(word, Ordering::Release);
        }
        self.violated.add((held, wanted))
    }

    /// Who closed a circle with this pair first, if that is on record.
    pub(crate) fn culprit(&self, held: usize, wanted: usize) -> Option<Culprit> {
        let word = VALID | (held as u64) << 16 | wanted as u64;
        let record = self
            .records
            .iter()
            .find(|record| record.word.load(Ordering::Acquire) == word)?;
        Some(Culprit {
            pid: record.pid.load(Ordering::Relaxed) as u32,
            at: record.at.load(Ordering::Relaxed),
            runner: record.runner.read().0,
        })
    }

    /// A way from one lock to another along orders that were taken.
    pub(crate) fn way(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        cycle::way(MAX_LOCKS, from, to, |lock| self.taken.after(lock))
    }
}

impl<M: Mem> Default for Pairs<M> {
    fn default() -> Self {
        Self(core::array::from_fn(|_| M::U64::default()))
    }
}

impl<M: Mem> Default for Order<M> {
    fn default() -> Self {
        Self {
            taken: Pairs::default(),
            violated: Pairs::default(),
            begun: M::U64::default(),
            records: core::array::from_fn(|_| Violation {
                word: M::U64::default(),
                pid: M::U64::default(),
                at: M::U64::default(),
                _pad: M::U64::default(),
                runner: Text::default(),
            }),
        }
    }
}

shared!(Pairs<M> { 0 });
shared!(Violation<M> { word, pid, at, _pad, runner });
shared!(Order<M> { taken, violated, begun, records });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    fn closes(step: &Step) -> bool {
        matches!(step, Step::Closes { .. })
    }

    #[test]
    fn a_pair_that_closes_a_circle_is_told_each_time_and_kept_out() {
        let order = Order::<Real>::default();
        assert_eq!(order.step(0, 1), Step::InOrder);
        assert_eq!(order.step(1, 2), Step::InOrder);
        assert_eq!(order.step(0, 2), Step::InOrder);
        let step = order.step(2, 0);
        assert_eq!(
            step,
            Step::Closes {
                way: vec![0, 2],
                is_new: true
            }
        );
        let culprit = Culprit {
            pid: 7,
            at: 9,
            runner: "r".into(),
        };
        order.record(2, 0, &culprit);
        let again = order.step(2, 0);
        assert_eq!(
            again,
            Step::Closes {
                way: vec![0, 2],
                is_new: false
            }
        );
        assert_eq!(order.culprit(2, 0), Some(culprit));
        assert_eq!(order.culprit(0, 2), None);
        assert!(!order.taken.has((2, 0)));
        assert_eq!(
            order.taken.all().collect::<Vec<_>>(),
            [(0, 1), (0, 2), (1, 2)]
        );
        assert_eq!(order.violated.all().collect::<Vec<_>>(), [(2, 0)]);
        assert_eq!(order.step(5, 5), Step::InOrder);
        // From bytes that another process wrote.
        assert_eq!(order.step(0, MAX_LOCKS), Step::InOrder);
    }

    #[test]
    fn more_violations_than_records_are_all_known_by_their_bits() {
        let order = Order::<Real>::default();
        for lock in 1..=MAX_VIOLATIONS + 2 {
            assert_eq!(order.step(0, lock), Step::InOrder);
            assert!(closes(&order.step(lock, 0)));
            order.record(lock, 0, &Culprit::default());
        }
        assert_eq!(order.violated.all().count(), MAX_VIOLATIONS + 2);
        assert!(order.culprit(MAX_VIOLATIONS, 0).is_some());
        assert!(order.culprit(MAX_VIOLATIONS + 1, 0).is_none());
    }

    #[test]
    fn pairs_at_the_ends_of_words_are_told_apart() {
        const LAST: usize = MAX_LOCKS - 1;
        let pairs = Pairs::<Real>::default();
        let all = [
            (0, 0),
            (0, 63),
            (0, 64),
            (0, LAST),
            (1, 0),
            (63, 64),
            (LAST, 0),
            (LAST, LAST),
        ];
        for (count, pair) in all.into_iter().enumerate() {
            assert!(!pairs.has(pair));
            assert!(pairs.add(pair) && !pairs.add(pair), "{pair:?}");
            assert!(pairs.has(pair));
            assert_eq!(pairs.all().count(), count + 1);
        }
        assert!(pairs.all().eq(all));
        for beyond in [
            (0, MAX_LOCKS),
            (MAX_LOCKS, 0),
            (usize::MAX / MAX_LOCKS, LAST),
        ] {
            assert!(!pairs.add(beyond) && !pairs.has(beyond), "{beyond:?}");
        }
        assert!(!pairs.has((1, 1)) && !pairs.has((64, 63)));
    }

    #[test]
    fn an_order_is_known_when_it_was_taken_and_violates_nothing() {
        let order = Order::<Real>::default();
        assert!(!order.is_known(0, 1) && order.is_known(1, 1));
        assert_eq!(order.culprit(0, 0), None, "an empty record is of no pair");
        assert_eq!(order.step(0, 1), Step::InOrder);
        assert!(order.is_known(0, 1) && !order.is_known(1, 0));
        // Both halves at the same instant: the one that is on record is told.
        order.taken.add((1, 0));
        assert!(order.is_known(1, 0));
        assert!(
            order.record(1, 0, &Culprit::default()) && !order.record(1, 0, &Culprit::default())
        );
        assert!(!order.is_known(1, 0));
        let (way, is_new) = (vec![0, 1], false);
        assert_eq!(order.step(1, 0), Step::Closes { way, is_new });
        assert_eq!(order.step(0, 1), Step::InOrder);
        // The way back is gone, or was never seen: the two alone are told.
        order.violated.add((3, 4));
        let (way, is_new) = (vec![4, 3], false);
        assert_eq!(order.step(3, 4), Step::Closes { way, is_new });
        assert_eq!((order.way(0, 1), order.way(5, 6)), (Some(vec![0, 1]), None));
    }
}
