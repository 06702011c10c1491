//! The journal: a ring of records that any process writes to without waiting and anybody
//! reads, also when everybody is dead. Advice: no decision reads it.
//!
//! ```text
//! head: u64                       records claimed so far
//! record: stamp | seven words     one cache line
//! stamp: [ lap:32 | check:32 ]    lap = sequence / N + 1; 0 while it is written
//! ```
//! A writer claims a sequence by one `fetch_add`, stores stamp 0, fences, stores the words
//! and publishes them by the stamp. A reader takes a record if it finds the stamp of that
//! sequence before and after its copy, and the check fits; else it tells of a hole.
//!
//! # Why a reader is not fooled
//! Only the writer of a sequence publishes its lap with its check. While writers of one
//! slot follow one another, the fences are those of `sync/latch.rs`: who copied a word of
//! the next record sees its stamp, too. A writer that was stopped in the middle and goes
//! on after the ring has come round stores into the record of a later one, at any time,
//! and no fence can help: then the check, over the sequence and all words, does not fit
//! the mixture (but by a chance of 2⁻³²), and the later record is a hole. Models:
//! `loom_tests/journal.rs`.

use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use crate::limits::JOURNAL_RECORDS;
use crate::segment::shared;
use crate::sync::{Mem, Word};

/// Words of a record beside its stamp.
pub(crate) const WORDS: usize = 7;
/// What one record says, as `journal_record.rs` packs it.
pub(crate) type Words = [u64; WORDS];

const BEING_WRITTEN: u64 = 0;
/// Odd numbers that have nothing to do with each other: the primes' square roots.
const FACTORS: [u64; WORDS] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
];

#[repr(C)]
pub(crate) struct Record<M: Mem, const W: usize = WORDS> {
    stamp: M::U64,
    words: [M::U64; W],
}

/// The ring. Models have fewer words in a record.
#[repr(C)]
pub(crate) struct Journal<M: Mem, const N: usize = JOURNAL_RECORDS, const W: usize = WORDS> {
    /// Every writer moves it; nobody else's words share its line.
    head: CachePadded<M::U64>,
    records: [Record<M, W>; N],
}

const _: () = assert!(size_of::<Record<crate::sync::Real>>() == 64);

/// What was found of the ring: one entry for each sequence, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<const W: usize = WORDS> {
    /// The sequence of the first entry.
    pub(crate) first: u64,
    /// `None` for a hole: being written, its writer died, or spoiled by one that was
    /// stopped.
    pub(crate) records: Vec<Option<[u64; W]>>,
}

impl<M: Mem, const N: usize, const W: usize> Journal<M, N, W> {
    /// Writes a record; answers its sequence, from 1. Never waits.
    pub(crate) fn write(&self, words: &[u64; W]) -> u64 {
        let sequence = self.claim();
        if let Some(record) = self.record(sequence) {
            record.write(stamp(sequence, N, words), words);
        }
        sequence
    }

    /// Relaxed: a sequence is a number, and says nothing about any record.
    pub(crate) fn claim(&self) -> u64 {
        self.head.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The last sequence that was claimed.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// The record of a sequence, if it is there and whole.
    pub(crate) fn read(&self, sequence: u64) -> Option<[u64; W]> {
        self.record(sequence)?.read(sequence, N)
    }

    /// All that is there and follows the sequence `after`.
    pub(crate) fn read_after(&self, after: u64) -> Found<W> {
        let head = self.head();
        let oldest = |head: u64| head.saturating_sub(N as u64 - 1).max(1);
        let first = oldest(head).max(after.saturating_add(1));
        let records = (first..=head).map(|s| self.read(s)).collect();
        Found { first, records }.since(oldest(self.head()))
    }

    fn record(&self, sequence: u64) -> Option<&Record<M, W>> {
        self.records.get((sequence % N as u64) as usize)
    }
}

impl<const W: usize> Found<W> {
    /// Without the holes before `oldest`: what was replaced while it was read is no hole,
    /// it is old.
    fn since(mut self, oldest: u64) -> Self {
        let gone = oldest.saturating_sub(self.first);
        let gone = usize::try_from(gone).unwrap_or(usize::MAX);
        let holes = self.records.iter().take(gone);
        let gone = holes.take_while(|record| record.is_none()).count();
        self.records.drain(..gone);
        self.first += gone as u64;
        self
    }
}

/// Lap and check of a record. The lap is of `sequence` in a ring of so many.
fn stamp(sequence: u64, records: usize, words: &[u64]) -> u64 {
    let lap = (sequence / records as u64).wrapping_add(1);
    lap << 32 | u64::from(check(sequence, words))
}

fn check(sequence: u64, words: &[u64]) -> u32 {
    // The products do not wait for each other. As each factor is odd, a change of any
    // one word changes the sum.
    let products = words.iter().zip(FACTORS).map(|(w, f)| w.wrapping_mul(f));
    let sum = products.fold(sequence, u64::wrapping_add);
    let mixed = (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

impl<M: Mem, const W: usize> Record<M, W> {
    fn write(&self, stamp: u64, words: &[u64; W]) {
        self.stamp.store(BEING_WRITTEN, Ordering::Relaxed);
        // SYNC POINT journal-reuse (models: loom_tests/journal.rs): pairs with `read`.
        M::fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(words) {
            word.store(*value, Ordering::Relaxed);
        }
        // SYNC POINT journal-publish (models: loom_tests/journal.rs): pairs with `read`.
        self.stamp.store(stamp, Ordering::Release);
    }

    fn read(&self, sequence: u64, records: usize) -> Option<[u64; W]> {
        // SYNC POINT journal-publish (models: loom_tests/journal.rs): pairs with `write`.
        let found = self.stamp.load(Ordering::Acquire);
        if found == BEING_WRITTEN {
            return None;
        }
        let words: [u64; W] = core::array::from_fn(|at| self.words[at].load(Ordering::Relaxed));
        // SYNC POINT journal-reuse (models: loom_tests/journal.rs): pairs with `write`.
        M::fence(Ordering::Acquire);
        let again = self.stamp.load(Ordering::Relaxed);
        (again == found && found == stamp(sequence, records, &words)).then_some(words)
    }
}

#[cfg(test)]
impl<M: Mem, const N: usize, const W: usize> Default for Journal<M, N, W> {
    fn default() -> Self {
        Self {
            head: CachePadded::new(M::U64::default()),
            records: core::array::from_fn(|_| Record {
                stamp: M::U64::default(),
                words: core::array::from_fn(|_| M::U64::default()),
            }),
        }
    }
}

shared!(Record<M, const W> { stamp, words });
shared!(Journal<M, const N, const W> { head, records });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    fn ring() -> Journal<Real, 4> {
        Journal::default()
    }

    #[test]
    fn the_latest_are_there_in_order() {
        let journal = ring();
        assert_eq!(journal.read_after(0).records, []);
        for number in 1..=10 {
            assert_eq!(journal.write(&[number; WORDS]), number);
        }
        let found = journal.read_after(0);
        assert_eq!(found.first, 7);
        let expected: Vec<_> = (7..=10).map(|number| Some([number; WORDS])).collect();
        assert_eq!(found.records, expected);
        assert_eq!(journal.read_after(9).records, [Some([10; WORDS])]);
        assert_eq!(journal.read_after(10).records, []);
        assert_eq!(journal.read_after(u64::MAX).records, []);
    }

    #[test]
    fn what_is_replaced_while_it_is_read_is_no_hole() {
        let (none, some) = (None, Some([1; WORDS]));
        for (records, oldest, first, left) in [
            (&[none, none, some][..], 7, 7, &[some][..]),
            (&[none, none, some], 6, 6, &[none, some]),
            (&[some, none, some], 8, 5, &[some, none, some]),
            (&[none, some], 1, 5, &[none, some]),
            (&[none], u64::MAX, 6, &[]),
        ] {
            let records = records.to_vec();
            let found = Found { first: 5, records }.since(oldest);
            assert_eq!((found.first, &found.records[..]), (first, left));
        }
    }

    #[test]
    fn a_claim_that_is_never_written_is_one_hole() {
        let journal = ring();
        journal.write(&[1; WORDS]);
        assert_eq!(journal.claim(), 2);
        journal.write(&[3; WORDS]);
        let found = journal.read_after(0).records;
        assert_eq!(found, [Some([1; WORDS]), None, Some([3; WORDS])]);
        // Nobody waits for it: its slot is used again.
        for number in 4..=6 {
            journal.write(&[number; WORDS]);
        }
        assert!(journal.read_after(0).records.iter().all(Option::is_some));
    }

    #[test]
    fn a_writer_that_was_lapped_spoils_one_record_and_never_mixes() {
        for stored in 0..=WORDS {
            let journal = ring();
            let late = journal.claim();
            for number in 2..=6 {
                journal.write(&[number; WORDS]);
            }
            // What a late writer has stored so far, in the place of record 5.
            let record = journal.record(late).unwrap();
            for word in &record.words[..stored] {
                word.store(99, Ordering::Relaxed);
            }
            let found = journal.read_after(0);
            assert_eq!(found.first, 3);
            assert_eq!(found.records[2].is_none(), stored > 0, "{stored} words");
            assert_eq!(
                found.records.iter().flatten().count(),
                4 - usize::from(stored > 0)
            );
            record.write(stamp(late, 4, &[99; WORDS]), &[99; WORDS]);
            assert_eq!(journal.read_after(0).records[2], None);
        }
    }

    #[test]
    fn each_word_and_the_sequence_count_for_the_check() {
        let words = [7; WORDS];
        for at in 0..WORDS {
            let mut other = words;
            other[at] ^= 1 << (at * 9);
            assert_ne!(check(1, &words), check(1, &other));
        }
        assert_ne!(check(1, &words), check(2, &words));
    }

    #[test]
    fn any_head_is_read_in_bounded_time() {
        let journal = ring();
        for head in [u64::MAX, u64::MAX - 2, 1 << 32] {
            journal.head.store(head, Ordering::Relaxed);
            let found = journal.read_after(0);
            assert_eq!(found.records.len(), 4);
            assert!(found.records.iter().all(Option::is_none));
        }
        journal.head.store(u64::MAX, Ordering::Relaxed);
        journal.write(&[1; WORDS]);
        assert_eq!(journal.read_after(0).records, []);
    }

    /// It stands in the segment: another release must take the record for whole.
    #[test]
    fn the_stamp_of_a_record_is_what_it_was() {
        let words = [3; WORDS];
        let sum = FACTORS.iter().fold(9, |sum: u64, factor| {
            sum.wrapping_add(factor.wrapping_mul(3))
        });
        let mixed = (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(stamp(9, 4, &words), 3 << 32 | mixed >> 32);
    }
}
