//! Models of the journal (`table/journal.rs`): SYNC POINTS journal-publish and
//! journal-reuse.

use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use crate::table::journal::Journal;

/// As many as it takes to be torn: each more word multiplies the executions.
const WORDS: usize = 2;

type Ring<const N: usize> = Rc<Journal<Loom, N, WORDS>>;

fn ring<const N: usize>() -> Ring<N> {
    Rc::new(Journal::default())
}

/// Writes a record whose words are all one number; answers its sequence.
fn write<const N: usize>(ring: &Ring<N>, what: u64) -> u64 {
    ring.write(&[what; WORDS])
}

/// All that is there: each record must be one number's.
fn read<const N: usize>(ring: &Ring<N>) -> Vec<(u64, Option<u64>)> {
    let found = ring.read_after(0);
    let whole = |words: &[u64; WORDS]| {
        assert_eq!(words, &[words[0]; WORDS], "torn");
        words[0]
    };
    let records = found.records.iter().zip(found.first..);
    records
        .map(|(words, sequence)| (sequence, words.as_ref().map(whole)))
        .collect()
}

#[test]
fn a_reader_of_a_ring_that_is_overwritten_gets_whole_records_or_holes() {
    Model::new("journal, ring of 1, 2 records, 1 reader")
        .bound(3)
        .check(|world| {
            let journal = ring::<1>();
            let reader = Rc::clone(&journal);
            world.spawn(move |_| {
                for (sequence, what) in read(&reader) {
                    assert!(what.is_none_or(|what| what == sequence));
                }
            });
            world.spawn(move |_| {
                assert_eq!(write(&journal, 1), 1);
                assert_eq!(write(&journal, 2), 2);
                assert_eq!(read(&journal), [(2, Some(2))]);
            });
            world.finish();
        });
}

#[test]
fn a_record_is_its_writers_or_a_hole_even_when_the_writer_was_lapped() {
    Model::new("journal, ring of 1, 2 writers, 1 reader")
        .bound(2)
        .check(|world| {
            let journal = ring::<1>();
            let written = Rc::new(std::cell::Cell::new([0; 3]));
            for what in [10, 20] {
                let (journal, written) = (Rc::clone(&journal), Rc::clone(&written));
                world.spawn(move |_| {
                    let sequence = write(&journal, what);
                    let mut all = written.get();
                    all[sequence as usize] = what;
                    written.set(all);
                });
            }
            let seen = Rc::new(std::cell::Cell::new(None));
            let reader = (Rc::clone(&journal), Rc::clone(&seen));
            world.spawn(move |_| {
                let (journal, seen) = reader;
                let latest = read(&journal).last().copied();
                seen.set(latest.and_then(|(sequence, what)| Some((sequence, what?))));
            });
            world.finish();
            if let Some((sequence, what)) = seen.get() {
                assert_eq!(written.get()[sequence as usize], what, "another's record");
            }
        });
}

#[test]
fn two_writers_find_room_beside_one_another() {
    Model::new("journal, ring of 2, 2 writers")
        .bound(3)
        .check(|world| {
            let journal = ring::<2>();
            for what in [10, 20] {
                let journal = Rc::clone(&journal);
                world.spawn(move |_| {
                    write(&journal, what);
                });
            }
            world.finish();
            let mut found: Vec<_> = read(&journal).iter().filter_map(|found| found.1).collect();
            found.sort_unstable();
            assert_eq!(found, [10, 20]);
        });
}

#[test]
fn a_writer_killed_anywhere_costs_its_own_record_at_most() {
    let model = Model::new("journal, writer killed").bound(2);
    kill_sweep(model, |_, world| {
        let journal = ring::<4>();
        assert_eq!(write(&journal, 1), 1);
        let dying = Rc::clone(&journal);
        world.spawn_victim(move |_| {
            write(&dying, 7);
        });
        let survivor = Rc::clone(&journal);
        world.spawn(move |_| {
            let mine = write(&survivor, 8);
            let found = read(&survivor);
            assert_eq!(found[0], (1, Some(1)));
            assert!(found.contains(&(mine, Some(8))), "{found:?}");
            assert!(found.len() <= 3);
        });
        world.finish_in_time();
        // What was there before, the survivor's, and the victim's or a hole.
        assert!(
            read(&journal)
                .iter()
                .filter(|found| found.1.is_none())
                .count()
                <= 1
        );
    });
}

mod twins {
    use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

    use super::*;
    use crate::loom_tests::memory::U64;
    use crate::sync::mem::{Mem, Word};

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        /// The reader does not look again.
        LooksOnce,
        /// The stamp comes before the words.
        PublishedFirst,
        /// The old stamp stays while the record is written.
        NotInvalidated,
    }

    /// A ring of one record of two words, without a check.
    #[derive(Default)]
    struct Unchecked {
        head: U64,
        stamp: U64,
        words: [U64; 2],
    }

    impl Unchecked {
        fn write(&self, flaw: Flaw) {
            let sequence = self.head.fetch_add(1, Relaxed) + 1;
            match flaw {
                Flaw::PublishedFirst => self.stamp.store(sequence, Relaxed),
                Flaw::NotInvalidated => {}
                _ => self.stamp.store(0, Relaxed),
            }
            Loom::fence(Release);
            for word in &self.words {
                word.store(sequence, Relaxed);
            }
            self.stamp.store(sequence, Release);
        }

        fn read(&self, flaw: Flaw) -> Option<(u64, [u64; 2])> {
            let sequence = self.head.load(Acquire);
            if sequence == 0 || self.stamp.load(Acquire) != sequence {
                return None;
            }
            let words = [self.words[0].load(Relaxed), self.words[1].load(Relaxed)];
            Loom::fence(Acquire);
            let again = flaw == Flaw::LooksOnce || self.stamp.load(Relaxed) == sequence;
            again.then_some((sequence, words))
        }
    }

    fn check(name: &str, flaw: Flaw, writers: usize) {
        Model::new(name).bound(3).check(move |world| {
            let ring = Rc::new(Unchecked::default());
            let reader = Rc::clone(&ring);
            world.spawn(move |_| {
                if let Some((sequence, words)) = reader.read(flaw) {
                    assert_eq!(words, [sequence; 2], "torn");
                }
            });
            for _ in 0..writers {
                let ring = Rc::clone(&ring);
                world.spawn(move |_| {
                    for _ in 0..3 - writers {
                        ring.write(flaw);
                    }
                });
            }
            world.finish();
        });
    }

    /// While no writer is lapped the fences are enough.
    #[test]
    fn sound_ring_of_one_writer_passes_without_a_check() {
        check("journal twin, 1 writer, no check", Flaw::None, 1);
    }

    #[test]
    fn lapped_writer_without_a_check_is_caught() {
        must_fail("journal, no check, writer lapped", || {
            check("twin", Flaw::None, 2);
        });
    }

    #[test]
    fn reader_that_looks_once_is_caught() {
        must_fail("journal, stamp looked at once", || {
            check("twin", Flaw::LooksOnce, 1);
        });
    }

    #[test]
    fn stamp_before_the_words_is_caught() {
        must_fail("journal, published first", || {
            check("twin", Flaw::PublishedFirst, 1);
        });
    }

    #[test]
    fn old_stamp_kept_is_caught() {
        must_fail("journal, old stamp kept", || {
            check("twin", Flaw::NotInvalidated, 1);
        });
    }
}
