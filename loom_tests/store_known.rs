//! Models of reading a key where it was found before (`table/place.rs`): SYNC POINTs
//! store-publish, store-reuse.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::memory::{Loom, U64};
use super::model::{Model, kill_sweep, must_fail};
use super::store::{Small, fill, pair, rival, write};
use crate::sync::mem::{Mem, Word};
use crate::table::key::Key;
use crate::table::place::Place;

/// Where the key is, by a search.
fn found(store: &Small, key: &Key) -> Place {
    let located = store.locate_at(store.mark(), key, &mut Vec::new());
    located.unwrap().unwrap()
}

fn number(value: Vec<u8>) -> u64 {
    u64::from_ne_bytes(value.try_into().unwrap())
}

/// The value of the version that was seen, if it is the current one still.
fn seen(store: &Small, place: Place, key: &Key) -> Option<u64> {
    let mut value = Vec::new();
    let is_it = store.read_seen(place, key.word_count(), &mut value);
    is_it.then(|| number(value))
}

/// The value in that slot, and where it is now.
fn there(store: &Small, place: Place, key: &Key) -> Option<(u64, Place)> {
    let mut value = Vec::new();
    let place = store.read_in(place, key, &mut value)?;
    Some((number(value), place))
}

/// The version that was seen is read only while it is the newest, and is whole; whoever
/// reads again in the slot never goes back.
#[test]
fn what_was_seen_is_read_only_while_it_is_the_newest() {
    Model::new("store, known place, 2 commits, 3 reads")
        .bound(1)
        .check(|world| {
            let store = Rc::new(Small::default());
            let [key, _] = pair();
            fill(&store, &[key], Some(1));
            let place = found(&store, &key);
            let (reader, told) = (Rc::clone(&store), Rc::new(U64::default()));
            let published = Rc::clone(&told);
            world.spawn(move |_| {
                let first = seen(&reader, place, &key);
                let least = told.load(Ordering::Acquire);
                let last = first.unwrap_or(0).max(least);
                if let Some(value) = seen(&reader, place, &key) {
                    assert!(value >= last, "{value} after {last}");
                }
                if let Some((value, place)) = there(&reader, place, &key) {
                    assert!(value >= last, "{value} after {last}");
                    assert!(seen(&reader, place, &key).is_none_or(|again| again == value));
                }
            });
            world.spawn(move |_| {
                for value in 2..=3 {
                    fill(&store, &[key], Some(value));
                    published.store(value, Ordering::Release);
                }
            });
            world.finish();
        });
}

/// The slot goes to another key, which begins where this one does.
#[test]
fn a_known_slot_that_is_used_again_answers_for_its_key_only() {
    Model::new("store, known place, delete and reuse")
        .bound(1)
        .check(|world| {
            let store = Rc::new(Small::default());
            let ([first, second], rival) = (pair(), rival());
            fill(&store, &[first, second], Some(1));
            let reader = Rc::clone(&store);
            world.spawn(move |_| {
                let place = found_or_nowhere(&reader, &first);
                let known = [None, Some(1)];
                assert!(known.contains(&seen(&reader, place, &first)));
                let value = there(&reader, place, &first).map(|(value, _)| value);
                assert!(known.contains(&value), "{value:?} is the other key's");
            });
            world.spawn(move |_| {
                fill(&store, &[first], None);
                fill(&store, &[rival], Some(3));
            });
            world.finish();
        });
}

/// What a dead writer left is never read, and the stamp that its successor uses again is
/// not taken for another.
#[test]
fn a_known_place_beside_a_killed_writer_and_its_successor() {
    kill_sweep(
        Model::new("store, known place, writer killed, next writer").bound(1),
        |_, world| {
            let store = Rc::new(Small::default());
            let [key, _] = pair();
            fill(&store, &[key], Some(1));
            let place = found(&store, &key);
            let (dying, reader) = (Rc::clone(&store), Rc::clone(&store));
            world.spawn_victim(move |actor| write(&dying, actor, &[key], Some(2)));
            world.spawn(move |actor| write(&store, actor, &[key], Some(7)));
            world.spawn(move |_| {
                let first = seen(&reader, place, &key);
                assert!(
                    [None, Some(1)].contains(&first),
                    "{first:?} is not what was seen"
                );
                if let Some((value, place)) = there(&reader, place, &key) {
                    assert!([1, 2, 7].contains(&value), "{value} was never published");
                    let again = seen(&reader, place, &key);
                    assert!(
                        again.is_none_or(|again| again == value),
                        "{again:?} is another"
                    );
                }
            });
            world.finish_in_time();
        },
    );
}

fn found_or_nowhere(store: &Small, key: &Key) -> Place {
    let located = store.locate_at(store.mark(), key, &mut Vec::new());
    located.ok().flatten().unwrap_or(Place::NOWHERE)
}

/// A hint that another thread has set may be of a later commit than the one loaded.
#[test]
fn a_hint_of_another_thread_is_no_reason_to_read_what_is_not_there() {
    Model::new("store, known place, hint of another thread")
        .bound(2)
        .check(|world| {
            let store = Rc::new(Small::default());
            let [key, _] = pair();
            fill(&store, &[key], Some(1));
            let hint = Rc::new(U64::default());
            let (reader, hinted) = (Rc::clone(&store), Rc::clone(&hint));
            world.spawn(move |_| {
                let place = Place::from_raw(hinted.load(Ordering::Relaxed));
                let value = seen(&reader, place, &key);
                assert!([None, Some(1), Some(2)].contains(&value), "{value:?}");
            });
            world.spawn(move |_| {
                fill(&store, &[key], Some(2));
                hint.store(found(&store, &key).raw(), Ordering::Relaxed);
            });
            world.finish();
        });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The other version is not looked at.
    OtherIgnored,
    /// No second look at the stamp.
    NoSecondLook,
    /// The second look comes without the acquire fence.
    NoFence,
    /// A stamp beyond the commit that was loaded is believed.
    BeyondCommit,
}

/// One entry of two versions, and a reader that has seen version 1, whose stamp is 1.
fn twin(flaw: Flaw) {
    Model::new("twin").bound(2).check(move |world| {
        #[derive(Default)]
        struct Twin {
            commit: U64,
            stamps: [U64; 2],
            words: [U64; 2],
            hint: U64,
        }
        let twin = Rc::new(Twin::default());
        let write = |twin: &Twin, stamp: u64| {
            let idle = (stamp & 1) as usize;
            Loom::fence(Ordering::Release);
            twin.stamps[idle].store(stamp, Ordering::Relaxed);
            Loom::fence(Ordering::Release);
            twin.words[idle].store(stamp, Ordering::Relaxed);
            twin.commit.store(stamp, Ordering::Release);
        };
        write(&twin, 1);
        twin.hint.store(1, Ordering::Relaxed);
        let reader = Rc::clone(&twin);
        world.spawn(move |_| {
            let seen = reader.hint.load(Ordering::Relaxed);
            let index = (seen & 1) as usize;
            let at = reader.commit.load(Ordering::Acquire);
            let now = reader.stamps[index].load(Ordering::Relaxed);
            let other = reader.stamps[index ^ 1].load(Ordering::Relaxed);
            let is_newer = other > seen && other <= at && flaw != Flaw::OtherIgnored;
            let is_beyond = seen > at && flaw != Flaw::BeyondCommit;
            if now != seen || is_newer || is_beyond {
                return;
            }
            let word = reader.words[index].load(Ordering::Relaxed);
            if flaw != Flaw::NoFence {
                Loom::fence(Ordering::Acquire);
            }
            let again = reader.stamps[index].load(Ordering::Relaxed);
            if again == seen || flaw == Flaw::NoSecondLook {
                assert_eq!(word, seen, "not the version that was seen");
                assert_eq!(seen, at, "not the newest");
            }
        });
        world.spawn(move |_| {
            for stamp in 2..=3 {
                write(&twin, stamp);
                twin.hint.store(stamp, Ordering::Relaxed);
            }
        });
        world.finish();
    });
}

#[test]
fn sound_twin_of_a_known_place_passes() {
    twin(Flaw::None);
}

#[test]
fn a_known_version_believed_beside_a_newer_one_is_caught() {
    must_fail("store, known place, other version ignored", || {
        twin(Flaw::OtherIgnored);
    });
}

#[test]
fn a_known_version_without_a_second_look_is_caught() {
    must_fail("store, known place, no second look", || {
        twin(Flaw::NoSecondLook);
    });
}

#[test]
fn a_known_version_looked_at_without_a_fence_is_caught() {
    must_fail("store, known place, no acquire fence", || {
        twin(Flaw::NoFence)
    });
}

#[test]
fn a_hint_beyond_the_commit_is_caught() {
    must_fail("store, known place, beyond the commit", || {
        twin(Flaw::BeyondCommit);
    });
}
