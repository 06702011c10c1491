//! The shared state.

use core::sync::atomic::Ordering::Relaxed;

use super::super::{Gravity, Invariant};
use super::{Lived, breaks, broken, set, told};
use crate::api::core::Tables;
use crate::layout::ENTRY_WORDS;
use crate::limits::MAX_KEYS;
use crate::sync::{Real, Word};
use crate::table::entry::ABORTED;
use crate::table::key::Key;
use crate::table::store::Store;

type Table = Store<Real, MAX_KEYS, ENTRY_WORDS>;

/// The slot of the one key that there is.
fn slot(tables: &Tables) -> usize {
    let is_used = |tag: &_| Word::load(tag, Relaxed) != 0;
    tables.store.tags.iter().position(is_used).unwrap()
}

#[test]
fn commit() {
    broken(Invariant::Commit, |_, tables| {
        tables.store.entries[slot(tables)].stamp(1, 99);
    });
    broken(Invariant::Commit, |_, tables| {
        tables.store.entries[slot(tables)].stamp(1, 3);
    });
    broken(Invariant::Commit, |_, tables| {
        let entry = &tables.store.entries[slot(tables)];
        entry.stamp(0, ABORTED);
        entry.stamp(1, ABORTED);
    });
    broken(Invariant::Commit, |_, tables| {
        let entry = &tables.store.entries[slot(tables)];
        entry.stamp(0, 2);
        entry.stamp(1, 2);
    });
    // As a writer leaves it that dies in the middle.
    let begun = |tables: &Tables| {
        tables.store.writing().write_raw(0b10);
        tables.store.entries[slot(tables)].stamp(1, 3);
    };
    breaks(&[(Invariant::Commit, Gravity::Left)], |_, tables| {
        begun(tables)
    });
    let lived = Lived::new();
    begun(lived.tables());
    assert!(lived.segment.repair().unwrap().is_sound());
    let state = crate::SharedStateManager::open(&lived.segment).unwrap();
    assert_eq!(
        state.get("key").unwrap().as_deref(),
        Some(&b"other value"[..])
    );
}

#[test]
fn version_and_path() {
    for meta in [
        1,
        65 << 1 | 1,
        3 << 1 | 2000 << 9 | 1,
        3 << 1,
        3 << 1 | 1 | 1 << 60,
    ] {
        // The one that is not current: the path of a key that is none is another matter.
        broken(Invariant::Version, |_, tables| {
            set(&tables.store.entries[slot(tables)].versions[0].meta, |_| {
                meta
            });
        });
    }
    broken(Invariant::Path, |_, tables| {
        set(&tables.store.tags[slot(tables)], |tag| tag ^ 2);
    });
    broken(Invariant::Path, |_, tables| {
        set(&tables.store.tags[slot(tables)], |_| 0);
    });
    broken(Invariant::Path, |_, tables| {
        // The same key once more, in the next slot.
        let key = Key::new(b"key").unwrap();
        let (at, next) = (slot(tables), (slot(tables) + 1) % crate::limits::MAX_KEYS);
        let tag = tables.store.tags[at].load(Relaxed);
        tables.store.tags[next].store(tag, Relaxed);
        tables.store.entries[next].stamp(1, 1);
        tables.store.entries[next].fill(1, &key, Some(b"value"));
    });
}

#[test]
fn a_key_comes_after_others_on_its_path_and_after_no_gap() {
    let path = |key: &str| {
        let key = Key::new(key.as_bytes()).unwrap();
        Table::path(&key).take(2).collect::<Vec<_>>()
    };
    breaks(&[], |lived, tables| {
        let home = slot(tables);
        let mut keys = (0..).map(|number| format!("key-{number}"));
        let second = keys.find(|key| path(key)[0] == home).unwrap();
        let state = crate::SharedStateManager::open(&lived.segment).unwrap();
        state.set(&second, "value").unwrap();
        let next = path(&second)[1];
        assert_ne!(Word::load(&tables.store.tags[next], Relaxed), 0);
    });
    let gap = told(|_, tables| {
        let [home, next] = path("key")[..] else {
            unreachable!("two slots")
        };
        let [from, to] = [home, next].map(|slot| &tables.store.entries[slot]);
        to.stamp(1, 1);
        to.fill(1, &Key::new(b"key").unwrap(), Some(b"value"));
        from.stamp(0, 0);
        from.stamp(1, 0);
        let tag = Word::load(&tables.store.tags[home], Relaxed);
        set(&tables.store.tags[next], |_| tag);
        set(&tables.store.tags[home], |_| 0);
    });
    assert_eq!(gap, ["comes after a gap on its path"]);
    let foreign = told(|_, tables| set(&tables.store.tags[slot(tables)], |tag| tag ^ 2));
    assert_eq!(foreign, ["has the tag of another key"]);
}

#[test]
fn a_slot_that_was_used_has_a_tag() {
    let unused = |tables: &Tables| (slot(tables) + 1) % MAX_KEYS;
    for index in [0, 1] {
        let what = told(|_, tables| tables.store.entries[unused(tables)].stamp(index, ABORTED));
        assert_eq!(what, ["has no tag, and was used"]);
    }
    let what = told(|_, tables| set(&tables.store.tags[unused(tables)], |_| 2));
    assert_eq!(what, ["has no tag, and was used"]);
    breaks(&[], |_, tables| {
        set(&tables.store.tags[unused(tables)], |_| 3);
        tables.store.entries[unused(tables)].stamp(1, ABORTED);
    });
}

#[test]
fn one_version_is_committed() {
    for stamps in [[ABORTED, 3], [3, ABORTED], [3, 4], [ABORTED, ABORTED]] {
        let what = told(|_, tables| {
            let entry = &tables.store.entries[slot(tables)];
            entry.stamp(0, stamps[0]);
            entry.stamp(1, stamps[1]);
        });
        assert_eq!(what, ["has no version that is committed"], "{stamps:?}");
    }
    for stamps in [[2, 3], [3, 2], [1, 3], [3, 1]] {
        let what = told(|_, tables| {
            tables.store.writing().write_raw(0b10);
            let entry = &tables.store.entries[slot(tables)];
            entry.stamp(0, stamps[0]);
            entry.stamp(1, stamps[1]);
        });
        assert_eq!(what, ["was begun by a dead writer"], "{stamps:?}");
    }
}
