//! The rules of the store one by one, by writers and readers that take turns.

use core::sync::atomic::Ordering;

use super::bells::Bells;
use super::commit::{NotCommitted, Write};
use super::entry::{ABORTED, Exact, Front, Meta, Nothing};
use super::key::{BYTES_PER_WORD, Key};
use super::known::{Known, owner};
use super::store::{Found, Mark, Moved, Store, Watched};
use crate::sync::Real;
use crate::sync::mem::{Mem, Woken};

const WORDS: usize = 32;
const NEVER: u64 = u64::MAX;

/// Four slots.
type Small = Store<Real, 4, WORDS>;

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

/// Keys whose search begins in the same slot, and one that begins elsewhere.
fn rivals() -> ([Key; 3], Key) {
    let begins = |key: &Key| Small::path(key).next();
    let all: Vec<Key> = (0..64).map(|number| key(&format!("k{number}"))).collect();
    let alike = |other: &&Key| begins(other) == begins(&all[0]);
    let mut same = all.iter().filter(alike).copied();
    let three = [(); 3].map(|()| same.next().unwrap());
    (three, *all.iter().find(|other| !alike(other)).unwrap())
}

fn write(store: &Small, writes: &[(&Key, Option<&[u8]>)]) -> Result<bool, NotCommitted> {
    let all: Vec<Write<'_>> = writes
        .iter()
        .map(|&(key, value)| Write { key: *key, value })
        .collect();
    store.commit(&all)
}

fn set(store: &Small, key: &Key, value: &[u8]) {
    assert_eq!(write(store, &[(key, Some(value))]), Ok(true));
}

fn delete(store: &Small, key: &Key) -> bool {
    write(store, &[(key, None)]).unwrap()
}

fn at(store: &Small, mark: Mark, key: &Key) -> Result<Option<Vec<u8>>, Moved> {
    let mut value = Vec::new();
    Ok(match store.read_at(mark, key, &mut value)? {
        Found::Present(_) => Some(value),
        Found::Absent => None,
    })
}

fn get(store: &Small, key: &Key) -> Option<Vec<u8>> {
    at(store, store.mark(), key).unwrap()
}

#[test]
fn a_free_lock_is_taken_by_one_and_not_after_a_death() {
    let (store, env) = (Small::default(), Known::default());
    assert!(store.lock_free(owner(1)));
    assert!(!store.lock_free(owner(2)));
    store.unlock(owner(1));
    assert!(store.lock_free(owner(1)));
    env.dead.set(Some(owner(1)));
    store.lock(owner(2), &env, NEVER).unwrap();
    store.unlock(owner(2));
    assert!(store.lock_free(owner(3)), "it was made whole");
}

#[test]
fn what_a_dead_writer_began_is_in_no_snapshot_and_its_watchers_are_woken() {
    let (store, env) = (Small::default(), Known::default());
    let key = key("key");
    set(&store, &key, b"old");
    assert!(store.lock_free(owner(1)));
    let slot = Small::path(&key).next().unwrap();
    let begun = store.entries[slot].idle(store.entries[slot].current(1));
    store.entries[slot].stamp(begun, 2);
    store.entries[slot].fill(begun, &key, Some(b"new"));
    let (bell, heard) = store.arm(&key, 1).unwrap();
    env.dead.set(Some(owner(1)));
    store.lock(owner(2), &env, NEVER).unwrap();
    assert_eq!(
        store.entries[slot].stamps[begun].load(Ordering::Relaxed),
        ABORTED
    );
    // The word has moved, so it does not wait for the deadline, which is over.
    assert!(matches!(Real::wait(bell, heard, 0), Woken::Look));
    let other = self::key("other");
    set(&store, &other, b"x");
    assert_eq!(get(&store, &key).unwrap(), b"old");
    assert_eq!(store.version(&key), Some(1));
}

#[test]
fn values_of_every_length_come_back_whole_and_into_any_place() {
    let store = Small::default();
    for name in ["k", "12345678", "123456789"] {
        let key = key(name);
        for length in 0..=WORDS * BYTES_PER_WORD - 16 {
            let value: Vec<u8> = (0..length).map(|at| at as u8 ^ 0x5a).collect();
            set(&store, &key, &value);
            assert_eq!(get(&store, &key).unwrap(), value);
            let mark = store.mark();
            let mut room = [0; WORDS * BYTES_PER_WORD];
            let mut front = Front::new(&mut room);
            let found = store.read_at(mark, &key, &mut front).unwrap();
            assert_eq!(found, Found::Present(mark.commit));
            assert_eq!(front.into_filled(), Ok(&value[..]));
            let mut exact = Exact::new(&mut room[..length]);
            assert!(store.read_at(mark, &key, &mut exact).is_ok());
            assert_eq!(exact.length, length);
            assert_eq!(room[..length], value);
        }
    }
}

#[test]
fn a_place_of_another_size_is_told_the_length() {
    let (store, key) = (Small::default(), key("key"));
    set(&store, &key, b"12345");
    let mut room = [0; 4];
    let mut front = Front::new(&mut room);
    assert!(store.read_at(store.mark(), &key, &mut front).is_ok());
    assert_eq!(front.into_filled(), Err((5, 4)));
    let mut exact = Exact::new(&mut room);
    assert!(store.read_at(store.mark(), &key, &mut exact).is_ok());
    assert_eq!((exact.length, room), (5, [0; 4]));
}

#[test]
fn a_deletion_is_told_apart_from_one_of_nothing() {
    let (store, key) = (Small::default(), key("key"));
    assert!(!delete(&store, &key));
    assert_eq!(store.mark().commit, 0);
    set(&store, &key, b"");
    assert_eq!(
        (get(&store, &key), store.version(&key)),
        (Some(vec![]), Some(1))
    );
    assert!(delete(&store, &key));
    assert_eq!((get(&store, &key), store.version(&key)), (None, Some(0)));
    assert!(!delete(&store, &key));
    let two = [(&key, None), (&self::key("no key"), None)];
    assert_eq!(write(&store, &two), Ok(false));
    assert_eq!(store.mark().commit, 2);
}

#[test]
fn a_full_store_is_told_and_a_transaction_that_does_not_fit_changes_nothing() {
    let store = Small::default();
    let keys: Vec<Key> = (0..5).map(|number| key(&format!("key {number}"))).collect();
    for key in &keys[..3] {
        set(&store, key, b"old");
    }
    let new: Option<&[u8]> = Some(b"new");
    let three = [(&keys[0], new), (&keys[3], new), (&keys[4], new)];
    assert_eq!(write(&store, &three), Err(NotCommitted::Full));
    assert_eq!(get(&store, &keys[0]).unwrap(), b"old");
    assert_eq!(write(&store, &three[..2]), Ok(true));
    assert_eq!(get(&store, &keys[0]).unwrap(), b"new");
    assert_eq!(write(&store, &three[2..]), Err(NotCommitted::Full));
    assert!(!delete(&store, &keys[4]));
    // Room that a transaction itself makes is none yet; after it there is.
    let instead = [(&keys[1], None), (&keys[4], new)];
    assert_eq!(write(&store, &instead), Err(NotCommitted::Full));
    assert!(delete(&store, &keys[1]));
    set(&store, &keys[4], b"new");
    assert_eq!(get(&store, &keys[1]), None);
}

#[test]
fn keys_that_begin_alike_are_told_apart_and_take_each_others_slots() {
    let store = Small::default();
    let ([a, b, c], _) = rivals();
    let both = [(&a, Some(&b"a"[..])), (&b, Some(&b"b"[..]))];
    assert_eq!(write(&store, &both), Ok(true));
    assert_eq!(get(&store, &a).unwrap(), b"a");
    assert_eq!(get(&store, &b).unwrap(), b"b");
    let shape = store.head.shape.load(Ordering::Relaxed);
    assert!(delete(&store, &a));
    // Its own slot again, beside an older empty one: no tag moves.
    set(&store, &a, b"again");
    assert!(delete(&store, &a));
    assert_eq!(store.head.shape.load(Ordering::Relaxed), shape);
    // Another key takes it: the tag moves, and who looked for `a` since looks again.
    let before = store.mark();
    set(&store, &c, b"c");
    assert_eq!(store.head.shape.load(Ordering::Relaxed), shape + 1);
    assert_eq!(at(&store, before, &a), Err(Moved));
    assert_eq!(
        (get(&store, &a), get(&store, &b).unwrap()),
        (None, b"b".to_vec())
    );
    assert_eq!(get(&store, &c).unwrap(), b"c");
    let mut listed = store.list_at(store.mark()).unwrap();
    listed.sort_by_key(|one| one.version);
    let listed: Vec<_> = listed.iter().map(|one| (one.length, one.version)).collect();
    assert_eq!(listed, [(1, 1), (1, 5)]);
}

#[test]
fn a_deleted_key_finds_its_own_slot_behind_an_empty_one() {
    let store = Small::default();
    let ([a, b, _], _) = rivals();
    set(&store, &a, b"a");
    set(&store, &b, b"b");
    assert!(delete(&store, &a) && delete(&store, &b));
    let shape = store.head.shape.load(Ordering::Relaxed);
    set(&store, &b, b"b");
    assert_eq!(store.head.shape.load(Ordering::Relaxed), shape);
    set(&store, &a, b"a");
    assert_eq!(store.head.shape.load(Ordering::Relaxed), shape);
}

#[test]
fn a_snapshot_is_read_until_its_version_is_used_again() {
    let (store, key) = (Small::default(), key("key"));
    set(&store, &key, b"one");
    let one = store.mark();
    set(&store, &key, b"two");
    assert_eq!(at(&store, one, &key), Ok(Some(b"one".to_vec())));
    assert_eq!(store.list_at(one).unwrap()[0].version, 1);
    set(&store, &key, b"three");
    assert_eq!(at(&store, one, &key), Err(Moved));
    assert_eq!(store.list_at(one), Err(Moved));
    let mut tries = 0;
    let never = store.attempt(|_| -> Result<(), Moved> {
        tries += 1;
        Err(Moved)
    });
    assert_eq!((never, tries), (None, crate::limits::READ_TRIES));
}

#[test]
fn a_place_is_good_for_the_version_seen_and_then_for_the_key() {
    let (store, key, mut value) = (Small::default(), key("key"), Vec::new());
    let ([_, rival, _], _) = rivals();
    assert_eq!(store.locate_at(store.mark(), &key, &mut Nothing), Ok(None));
    set(&store, &key, b"one");
    let place = store.locate_at(store.mark(), &key, &mut value);
    let place = place.unwrap().unwrap();
    let words = key.word_count();
    assert!(store.read_seen(place, words, &mut value));
    assert_eq!(value, b"one");
    set(&store, &rival, b"beside");
    assert!(store.read_seen(place, words, &mut value));
    set(&store, &key, b"two");
    assert!(!store.read_seen(place, words, &mut value));
    let next = store.read_in(place, &key, &mut value).unwrap();
    assert_eq!(value, b"two");
    assert!(store.read_seen(next, words, &mut value));
    assert_eq!(store.read_in(place, &rival, &mut value), None);
    assert!(delete(&store, &key));
    assert!(!store.read_seen(next, words, &mut value));
    assert_eq!(store.read_in(next, &key, &mut value), None);
    let nowhere = super::place::Place::NOWHERE;
    assert!(!store.read_seen(nowhere, words, &mut value));
    assert_eq!(store.read_in(nowhere, &key, &mut value), None);
}

#[test]
fn who_watches_a_key_is_told_of_a_change_and_of_the_deadline() {
    let (store, env, key) = (Small::default(), Known::default(), key("key"));
    env.now.set(100);
    assert_eq!(store.wait_past(&key, 1, &env, NEVER), Watched::Changed);
    assert_eq!(store.wait_past(&key, 0, &env, 100), Watched::TimedOut);
    set(&store, &key, b"x");
    assert_eq!(store.wait_past(&key, 0, &env, 0), Watched::Changed);
    assert!(store.arm(&key, 0).is_none());
    assert!(store.arm(&key, 1).is_some());
}

#[test]
fn a_bell_rings_for_its_own_keys_and_only_when_somebody_listens() {
    let bells = Bells::<Real>::default();
    // The two differ in what does not choose the slot.
    let [one, other] = [1, 1 | 1 << 48];
    bells.ring([one, other].into_iter());
    let quiet = bells.listen(one);
    assert_eq!(quiet & !(1 << 31), 0, "nobody listened");
    assert_eq!(bells.listen(one), quiet);
    bells.ring([other].into_iter());
    assert_eq!(bells.listen(one), quiet, "it is another's bell");
    bells.ring([one].into_iter());
    let rung = bells.listen(one);
    assert_eq!(rung, quiet + 1);
    bells.ring_all();
    assert_eq!(bells.listen(one), rung + 1);
}

#[test]
fn what_no_writer_writes_is_read_as_nothing() {
    let (store, key) = (Small::default(), key("key"));
    set(&store, &key, b"value");
    let entry = &store.entries[Small::path(&key).next().unwrap()];
    let current = entry.current(1).unwrap();
    let meta = &entry.versions[current.index].meta;
    let raw = meta.load(Ordering::Relaxed);
    assert!(Meta::is_sane(raw, WORDS) && Meta::is_sane(raw, 2) && !Meta::is_sane(raw, 1));
    assert!(Meta::is_sane(0, 0) && entry.is_present(current));
    let longest = ((WORDS - 1) * BYTES_PER_WORD) as u64;
    let with_length = |value: u64| 1 | 3 << 1 | value << 9;
    for (bad, is_there) in [
        // No key; a key that is too long; a bit of none.
        (1 | 5 << 9, false),
        (1 | 255 << 1 | 5 << 9, false),
        (with_length(5) & !1, false),
        (with_length(longest + 1), false),
        (with_length(u64::from(u32::MAX)), false),
        (with_length(longest), true),
    ] {
        meta.store(bad, Ordering::Relaxed);
        assert_eq!(Meta::is_sane(bad, WORDS), is_there, "{bad:#x}");
        assert_eq!(entry.is_present(current), is_there, "{bad:#x}");
        assert_eq!(entry.describe(current).is_some(), is_there, "{bad:#x}");
        assert_eq!(get(&store, &key).is_some(), is_there, "{bad:#x}");
    }
    assert!(
        !Meta::is_sane(raw | 1 << 41, WORDS),
        "bits that mean nothing"
    );
}

/// Another release must begin there, too.
#[test]
fn a_search_begins_where_the_hash_says_and_meets_each_slot_once() {
    for number in 0..64 {
        let key = key(&format!("k{number}"));
        let first = (key.hash() >> 1) as usize % 4;
        assert!(Small::path(&key).eq([0, 1, 2, 3].map(|step| (first + step) % 4)));
    }
}
