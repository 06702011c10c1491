//! The store of `table/store.rs` again, in small, with one flaw each: all must be caught.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::memory::{Loom, U32, U64};
use super::model::{Model, must_fail};
use super::world::NEVER;
use crate::sync::mem::{ALL, Mem, Word};
use crate::table::store::Moved;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The commit is published before the values are written.
    PublishFirst,
    /// The commit is stored relaxed.
    RelaxedPublish,
    /// No release fence between the stamp and the words of a version used again.
    NoFenceBeforeWords,
    /// No release fence between the last commit and the stamps of the next.
    NoFenceBeforeStamps,
    /// No acquire fence before the second look.
    NoReaderFence,
    /// A snapshot that is gone is taken for a key that was never written.
    GoneIsAbsent,
    /// The second key is read at a commit of its own.
    TwoSnapshots,
}

#[derive(Default)]
struct Entry {
    stamps: [U64; 2],
    words: [U64; 2],
}

/// Two entries of one word, without tags.
#[derive(Default)]
struct Twin {
    commit: U64,
    entries: [Entry; 2],
}

impl Twin {
    fn write(&self, flaw: Flaw, value: u64) {
        let next = self.commit.load(Ordering::Relaxed) + 1;
        let idle = (next & 1) as usize;
        if flaw == Flaw::PublishFirst {
            self.commit.store(next, Ordering::Release);
        }
        if flaw != Flaw::NoFenceBeforeStamps {
            Loom::fence(Ordering::Release);
        }
        for entry in &self.entries {
            entry.stamps[idle].store(next, Ordering::Relaxed);
        }
        if flaw != Flaw::NoFenceBeforeWords {
            Loom::fence(Ordering::Release);
        }
        for entry in &self.entries {
            entry.words[idle].store(value, Ordering::Relaxed);
        }
        let order = match flaw {
            Flaw::RelaxedPublish => Ordering::Relaxed,
            _ => Ordering::Release,
        };
        self.commit.store(next, order);
    }

    fn read(&self, flaw: Flaw, index: usize, at: u64) -> Result<u64, Moved> {
        let entry = &self.entries[index];
        let stamps = [0, 1].map(|i| entry.stamps[i].load(Ordering::Relaxed));
        let current = (0..2)
            .filter(|i| stamps[*i] <= at)
            .max_by_key(|i| stamps[*i]);
        let Some(current) = current else {
            return match flaw {
                Flaw::GoneIsAbsent => Ok(0),
                _ => Err(Moved),
            };
        };
        let word = entry.words[current].load(Ordering::Relaxed);
        if flaw != Flaw::NoReaderFence {
            Loom::fence(Ordering::Acquire);
        }
        match entry.stamps[current].load(Ordering::Relaxed) == stamps[current] {
            true if stamps[current] == 0 => Ok(0),
            true => Ok(word),
            false => Err(Moved),
        }
    }
}

fn check(name: &str, flaw: Flaw) {
    Model::new(name).bound(1).check(move |world| {
        let twin = Rc::new(Twin::default());
        let (reader, next) = (Rc::clone(&twin), Rc::clone(&twin));
        world.spawn(move |_| {
            let at = reader.commit.load(Ordering::Acquire);
            let first = reader.read(flaw, 0, at);
            let at = match flaw {
                Flaw::TwoSnapshots => reader.commit.load(Ordering::Acquire),
                _ => at,
            };
            if let (Ok(first), Ok(second)) = (first, reader.read(flaw, 1, at)) {
                assert_eq!((first, second), (at, at), "another snapshot");
            }
        });
        // The third write is another thread's, which got the lock from the first.
        let turn = Rc::new(U64::default());
        let my_turn = Rc::clone(&turn);
        world.spawn(move |_| {
            (1..=2).for_each(|n| twin.write(flaw, n));
            turn.store(1, Ordering::Release);
        });
        world.spawn(move |_| {
            if my_turn.load(Ordering::Acquire) == 1 {
                next.write(flaw, 3);
            }
        });
        world.finish();
    });
}

fn caught(name: &str, flaw: Flaw) {
    must_fail(name, || check("twin", flaw));
}

#[test]
fn sound_twin_passes() {
    check("store twin, sound", Flaw::None);
}

#[test]
fn publishing_before_the_values_is_caught() {
    caught("store, publish before values", Flaw::PublishFirst);
}

#[test]
fn relaxed_publish_is_caught() {
    caught("store, relaxed publish", Flaw::RelaxedPublish);
}

#[test]
fn reuse_without_a_fence_before_the_words_is_caught() {
    caught("store, no fence before words", Flaw::NoFenceBeforeWords);
}

#[test]
fn reuse_without_a_fence_before_the_stamps_is_caught() {
    caught("store, no fence before stamps", Flaw::NoFenceBeforeStamps);
}

#[test]
fn reader_without_its_fence_is_caught() {
    caught("store, no acquire fence in the reader", Flaw::NoReaderFence);
}

#[test]
fn a_snapshot_that_is_gone_taken_for_nothing_is_caught() {
    caught("store, gone is absent", Flaw::GoneIsAbsent);
}

#[test]
fn two_snapshots_for_two_keys_are_caught() {
    caught("store, two snapshots", Flaw::TwoSnapshots);
}

/// A dead writer's stamp is used again without a repair: its half-written entry
/// surfaces with the next commit.
#[test]
fn a_takeover_without_repair_is_caught() {
    must_fail("store, no repair", || {
        Model::new("twin").bound(1).check(|world| {
            let twin = Rc::new(Twin::default());
            world.spawn(move |_| {
                twin.write(Flaw::None, 1);
                // The dead writer got as far as the stamp of the second entry.
                twin.entries[1].stamps[0].store(2, Ordering::Relaxed);
                // The next one writes the first entry only.
                twin.entries[0].stamps[0].store(2, Ordering::Relaxed);
                twin.entries[0].words[0].store(2, Ordering::Relaxed);
                twin.commit.store(2, Ordering::Release);
                assert_eq!(twin.read(Flaw::None, 1, 2), Ok(1));
            });
            world.finish();
        });
    });
}

/// A bell without the fence between publishing and looking at it.
#[test]
fn a_bell_looked_at_before_the_commit_is_seen_is_caught() {
    must_fail("store, no fence before the bell", || {
        Model::new("twin").bound(3).check(|world| {
            let (commit, bell) = (Rc::new(U64::default()), Rc::new(U32::default()));
            let (published, rung) = (Rc::clone(&commit), Rc::clone(&bell));
            world.spawn(move |_| {
                let heard = bell.fetch_or(1 << 31, Ordering::AcqRel) | 1 << 31;
                if commit.load(Ordering::Relaxed) == 0 {
                    let _ = Loom::wait(Loom::cell(&*bell), heard, NEVER);
                }
            });
            world.spawn(move |_| {
                published.store(1, Ordering::Release);
                if rung.load(Ordering::Relaxed) & 1 << 31 != 0 {
                    rung.fetch_add(1, Ordering::AcqRel);
                    Loom::wake(Loom::cell(&*rung), ALL);
                }
            });
            world.finish();
        });
    });
}
