//! Keys that are prepared see what is there, wherever it is and whoever put it.

use crate::state::{child, open, state};
use crate::support::{Child, both_with, event, once};
use ebbtide::{SharedStateManager, StateError, limits};

/// Puts and deletes keys as it is told.
fn obey(child: &Child) {
    let state = state(child);
    loop {
        match child.order().split_once(' ') {
            Some(("set", key)) => state.set(key, key.to_uppercase()).unwrap(),
            Some(("delete", key)) => assert!(state.delete(key).unwrap()),
            _ => return,
        }
        event("done");
    }
}

/// What a prepared key and its name say, which is the same.
fn both(state: &SharedStateManager, key: &ebbtide::PreparedKey) -> Option<Vec<u8>> {
    let mut room = [0xee; limits::VALUE_BYTES];
    let read = key.read(&mut room).unwrap().map(<[u8]>::to_vec);
    let mut again = vec![9; 9];
    let found = key.get_into(&mut again).unwrap();
    assert_eq!(found.then_some(again.clone()), read);
    assert!(found || again.is_empty());
    assert_eq!(state.get(key.key()).unwrap(), read);
    read
}

#[test]
fn a_prepared_key_sees_what_others_put_and_delete() {
    both_with(here!(), &[("obey", obey)], |place| {
        let state = open(place);
        let key = state.prepare("rate").unwrap();
        assert_eq!(both(&state, &key), None);
        let mut other = child(place, "obey");
        for _ in 0..3 {
            other.tell("set rate");
            other.event("done");
            assert_eq!(both(&state, &key).as_deref(), Some(&b"RATE"[..]));
            state.set("rate", "mine").unwrap();
            assert_eq!(both(&state, &key).as_deref(), Some(&b"mine"[..]));
            // Its old version is still in the slot, and committed.
            other.tell("delete rate");
            other.event("done");
            assert_eq!(both(&state, &key), None);
        }
        other.tell("end");
    });
}

#[test]
fn a_prepared_key_whose_slot_went_to_others_is_found_again_elsewhere() {
    once(here!(), |place| {
        let state = open(place);
        let prepare = |n: usize| state.prepare(&format!("key-{n}")).unwrap();
        let keys: Vec<_> = (0..limits::MAX_KEYS).map(prepare).collect();
        let fill = |of: &str| {
            for n in 0..limits::MAX_KEYS {
                state.set(&format!("{of}-{n}"), [n as u8; 20]).unwrap();
            }
        };
        for _ in 0..2 {
            fill("key");
            for (n, key) in keys.iter().enumerate() {
                assert_eq!(both(&state, key), Some(vec![n as u8; 20]));
            }
            // Every slot has another key, with a value of the same length.
            assert_eq!(state.clear().unwrap(), limits::MAX_KEYS);
            fill("other");
            for key in &keys {
                assert_eq!(both(&state, key), None, "{key:?}");
            }
            state.clear().unwrap();
            // They come back in another order, so mostly to other slots.
            for n in (0..limits::MAX_KEYS).rev() {
                state.set(&format!("key-{n}"), [n as u8; 7]).unwrap();
            }
            for (n, key) in keys.iter().enumerate() {
                assert_eq!(both(&state, key), Some(vec![n as u8; 7]));
            }
            state.clear().unwrap();
        }
    });
}

#[test]
fn a_prepared_key_copies_values_of_all_lengths_into_what_fits() {
    once(here!(), |place| {
        let state = open(place);
        let long = "k".repeat(limits::KEY_BYTES);
        for name in ["k", "exactly8", "ninebytes", long.as_str()] {
            let key = state.prepare(name).unwrap();
            for length in (0..200).chain([1000, 1016, 1023, limits::VALUE_BYTES]) {
                let value: Vec<u8> = (0..length).map(|byte| byte as u8 | 1).collect();
                state.set(name, &value).unwrap();
                // As it was seen, and once more.
                for _ in 0..2 {
                    let mut room = vec![0; length + 3];
                    assert_eq!(key.read(&mut room).unwrap(), Some(&value[..]));
                    assert_eq!(room[length..], [0; 3], "beyond the value");
                    let mut exact = vec![0; length];
                    assert_eq!(key.read(&mut exact).unwrap(), Some(&value[..]));
                    if let Some(less) = length.checked_sub(1) {
                        assert_is!(
                            key.read(&mut vec![0; less]),
                            Err(StateError::NoRoom { key, length: had, room }) if key == name && had == length && room == less
                        );
                    }
                }
            }
        }
        assert_is!(state.prepare(""), Err(StateError::InvalidKey { .. }));
        assert_is!(state.prepare("a\nb"), Err(StateError::InvalidKey { .. }));
        assert_is!(
            state.prepare(&"k".repeat(limits::KEY_BYTES + 1)),
            Err(StateError::InvalidKey { .. })
        );
    });
}

#[test]
fn a_prepared_key_of_a_segment_that_was_made_again_is_the_old_ones() {
    once(here!(), |place| {
        let old = open(place);
        old.set("k", "old").unwrap();
        let key = old.prepare("k").unwrap();
        assert_eq!(both(&old, &key).as_deref(), Some(&b"old"[..]));
        place
            .options
            .remove(crate::support::Place::NAME, true)
            .unwrap();
        let new = open(place);
        assert_eq!(both(&new, &new.prepare("k").unwrap()), None);
        new.set("k", "new").unwrap();
        // It is attached to the old one still, and to nothing else.
        assert_eq!(both(&old, &key).as_deref(), Some(&b"old"[..]));
        let again = key.clone();
        drop(key);
        assert_eq!(both(&old, &again).as_deref(), Some(&b"old"[..]));
    });
}
