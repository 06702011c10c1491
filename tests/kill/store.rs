//! Writes to the shared state, and what must be true of it after any death.

use super::Attached;
use super::survivor::SECONDS;
use crate::api::seat::Seat;
use crate::sync::Env;
use crate::table::commit::Write;
use crate::table::key::Key;
use crate::table::store::Found;

use super::memory::Faulty;

/// Written and deleted together.
pub(super) const TRIPLE: [&str; 3] = ["first", "second", "third"];
pub(super) const SINGLE: [&str; 1] = ["single"];
pub(super) const OLD: &str = "the old value, of several words";
const SURVIVORS: &str = "what the survivor wrote";
pub(super) const NEW: &str = "the new value, which is a little longer";

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

/// One transaction: all keys get the value, or are deleted.
pub(super) fn write(core: &Attached, seat: &Seat<'_, Faulty>, keys: &[&str], value: Option<&str>) {
    let store = &core.tables().store;
    let until = core.now() + 30 * SECONDS;
    store
        .lock(seat.owner, core.as_ref(), until)
        .expect("the store is writable");
    let writes: Vec<Write<'_>> = keys
        .iter()
        .map(|name| Write {
            key: key(name),
            value: value.map(str::as_bytes),
        })
        .collect();
    store.commit(&writes).unwrap();
    store.unlock(seat.owner);
}

/// The one value that all keys have in one snapshot.
pub(super) fn read(core: &Attached, keys: &[&str]) -> Option<String> {
    let store = &core.tables().store;
    let seen = store.attempt(|mark| {
        let one = |name: &&str| {
            let mut value = Vec::new();
            let found = store.read_at(mark, &key(name), &mut value)?;
            Ok((found != Found::Absent).then_some(value))
        };
        keys.iter().map(one).collect::<Result<Vec<_>, _>>()
    });
    let seen = seen.expect("a snapshot within its tries");
    assert!(seen.iter().all(|value| *value == seen[0]), "half: {seen:?}");
    let value = seen.into_iter().next().flatten()?;
    Some(String::from_utf8(value).expect("whole"))
}

/// What the victim may have left: old, new, or nothing. The survivor may be at its check.
pub(super) fn is_whole(core: &Attached) {
    for keys in [&TRIPLE[..], &SINGLE] {
        let value = read(core, keys);
        let known = value
            .as_deref()
            .is_none_or(|v| [OLD, NEW, SURVIVORS].contains(&v));
        assert!(known, "torn: {value:?}");
    }
}

/// Whole, and writable and readable as ever.
pub(super) fn check(core: &Attached, seat: &Seat<'_, Faulty>) {
    is_whole(core);
    for keys in [&TRIPLE[..], &SINGLE] {
        write(core, seat, keys, Some(SURVIVORS));
        assert_eq!(read(core, keys).as_deref(), Some(SURVIVORS));
        write(core, seat, keys, None);
        assert_eq!(read(core, keys), None);
    }
    let listed = core
        .tables()
        .store
        .attempt(|mark| core.tables().store.list_at(mark));
    assert_eq!(listed, Some(Vec::new()));
}
