//! Shared state between processes: whole values, whole transactions, whoever is killed.

use std::time::Duration;

use crate::support::{self, Agent, Child, Place, both_with, die, event, once};
use ebbtide::{SharedStateManager, StateError, limits};

const SHORT: Duration = Duration::from_millis(100);

pub fn state(child: &Child) -> SharedStateManager {
    SharedStateManager::open(&child.open()).unwrap()
}

pub fn open(place: &Place) -> SharedStateManager {
    SharedStateManager::open(&place.create()).unwrap()
}

/// A child in a role.
pub fn child(place: &Place, role: &str) -> Agent {
    let segment = place.options.open(Place::NAME).unwrap();
    Agent::spawn(place, role, Some(&segment))
}

/// Answers what it finds, and leaves something.
fn echo(child: &Child) {
    let state = state(child);
    let key = child.order();
    event(&format!("found {:?}", state.get_as::<[u32; 3]>(&key)));
    state.set("from the child", key.to_uppercase()).unwrap();
    event("done");
    child.order();
}

#[test]
fn values_are_those_that_another_process_put() {
    both_with(here!(), &[("echo", echo)], |place| {
        let state = open(place);
        assert_eq!(state.get("config/rate").unwrap(), None);
        state.set_as("config/rate", &[1_u32, 2, 3]).unwrap();
        let mut other = child(place, "echo");
        other.tell("config/rate");
        assert_eq!(other.event("found"), "Ok(Some([1, 2, 3]))");
        other.event("done");
        let left = state.get("from the child").unwrap();
        assert_eq!(left.as_deref(), Some(&b"CONFIG/RATE"[..]));
        assert_eq!(state.keys().unwrap(), ["config/rate", "from the child"]);

        // Typed by size.
        let error = state.get_as::<u64>("config/rate").unwrap_err();
        assert_is!(error, StateError::WrongSize { ref key, found: 12, expected: 8, wanted: "u64" } if key == "config/rate");
        assert_is!(
            state.update_as("config/rate", |_: Option<u16>| 1),
            Err(StateError::WrongSize { .. })
        );
        assert_eq!(state.get_as::<u64>("missing").unwrap(), None);

        // From outside, too, in the order of keys.
        let seen = place.observe().state_keys();
        assert_eq!(seen, state.list().unwrap());
        assert_eq!(seen, place.status().keys);
        assert_eq!((seen[0].key.as_str(), seen[0].length), ("config/rate", 12));
        assert!(seen[0].version < seen[1].version);
    });
}

#[test]
fn keys_come_change_and_go() {
    once(here!(), |place| {
        let state = open(place);
        let mut room = vec![9; 9];
        for length in [0, 1, 7, 8, 9, 63, limits::VALUE_BYTES] {
            let value: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            state.set("k", &value).unwrap();
            assert!(state.get_into("k", &mut room).unwrap());
            assert_eq!(room, value);
        }
        assert!(state.delete("k").unwrap());
        assert!(!state.delete("k").unwrap());
        assert!(!state.get_into("k", &mut room).unwrap());
        assert!(room.is_empty());

        let before = state.update("k", |old| Some([old.unwrap_or(b"new"), b"!"].concat()));
        assert_eq!(before.unwrap(), None);
        let before = state.update("k", |old| old.map(|old| [old, b"!"].concat()));
        assert_eq!(before.unwrap().as_deref(), Some(&b"new!"[..]));
        assert_eq!(state.get("k").unwrap().as_deref(), Some(&b"new!!"[..]));
        assert!(state.update("k", |_| None).unwrap().is_some());
        assert_eq!(state.get("k").unwrap(), None);

        let exchange = |expected: Option<&[u8]>, new: Option<&[u8]>| {
            state.compare_exchange("k", expected, new).unwrap()
        };
        assert_eq!(exchange(Some(b"x"), Some(b"y")), Err(None));
        assert_eq!(exchange(None, Some(b"y")), Ok(()));
        assert_eq!(exchange(None, Some(b"z")), Err(Some(b"y".to_vec())));
        assert_eq!(exchange(Some(b"y"), None), Ok(()));
        assert_eq!(state.get("k").unwrap(), None);

        // The slots of deleted keys are used again, and never answer for another key.
        for round in 0..3 {
            for key in 0..limits::MAX_KEYS {
                state
                    .set(&format!("{round} {key}"), format!("{round}-{key}"))
                    .unwrap();
            }
            assert_eq!(state.get(&format!("{} 0", round + 1)).unwrap(), None);
            let values = state.snapshot(&[&format!("{round} 7"), "k"]).unwrap();
            assert_eq!(values, [Some(format!("{round}-7").into_bytes()), None]);
            assert_eq!(state.clear().unwrap(), limits::MAX_KEYS);
            assert_eq!(state.get(&format!("{round} 7")).unwrap(), None);
        }
        assert!(state.keys().unwrap().is_empty());
    });
}

#[test]
fn what_is_too_long_or_too_much_is_named() {
    once(here!(), |place| {
        let state = open(place);
        for key in ["", "tab\there", &"x".repeat(limits::KEY_BYTES + 1)] {
            assert_is!(state.get(key), Err(StateError::InvalidKey { .. }));
            assert_is!(state.set(key, "v"), Err(StateError::InvalidKey { .. }));
            assert_is!(
                state.watch(key).map(drop),
                Err(StateError::InvalidKey { .. })
            );
        }
        let longest = "x".repeat(limits::KEY_BYTES);
        state.set(&longest, vec![1; limits::VALUE_BYTES]).unwrap();
        let error = state.set(&longest, vec![2; limits::VALUE_BYTES + 1]);
        assert_is!(error, Err(StateError::TooLong { ref key, length: 1025 }) if *key == longest);
        assert_eq!(state.get(&longest).unwrap().unwrap()[0], 1);

        for key in 1..limits::MAX_KEYS {
            state.set(&key.to_string(), "v").unwrap();
        }
        let full = state.transaction(|tx| {
            tx.set("1", "changed")?;
            tx.set("one more", "v")
        });
        assert_is!(full, Err(StateError::Full { ref keys }) if keys.contains(&"one more".into()));
        assert!(full.unwrap_err().to_string().contains("256 keys"));
        // None of it.
        assert_eq!(state.get("1").unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(state.get("one more").unwrap(), None);
        state.set("1", "still writable").unwrap();
        assert!(state.delete("2").unwrap());
        state.set("one more", "v").unwrap();
    });
}

#[test]
fn a_transaction_that_fails_or_panics_leaves_all_as_it_was() {
    once(here!(), |place| {
        let state = open(place);
        state.set("a", "old").unwrap();
        let failed = state.transaction(|tx| {
            tx.set("a", "new")?;
            tx.set("b", "new")?;
            assert!(tx.delete("a")?);
            // Its own writes are seen inside, nowhere else.
            assert_eq!(tx.get("a")?, None);
            assert_eq!(tx.get("b")?.as_deref(), Some(&b"new"[..]));
            assert_eq!(state.get("a")?.as_deref(), Some(&b"old"[..]));
            assert_is!(state.set("c", "x"), Err(StateError::Nested));
            Err::<(), _>(StateError::Nested)
        });
        assert_is!(failed, Err(StateError::Nested));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            state.update("a", |_| std::panic::resume_unwind(Box::new("closure")))
        }));
        assert!(panicked.is_err());
        assert_eq!(state.keys().unwrap(), ["a"]);
        assert_eq!(state.get("a").unwrap().as_deref(), Some(&b"old"[..]));
        state.set("a", "writable").unwrap();
    });
}

/// Counts by compare-exchange and by update, in turn.
fn counter(child: &Child) {
    let state = state(child);
    let times: u64 = child.order().parse().unwrap();
    for turn in 0..times {
        if turn % 2 == 0 {
            state
                .update_as("count", |count: Option<u64>| count.unwrap_or(0) + 1)
                .unwrap();
            continue;
        }
        loop {
            let seen = state.get("count").unwrap();
            let count = seen.as_deref().map_or(0, |bytes| {
                u64::from_ne_bytes(bytes.try_into().expect("a whole number"))
            });
            let new = (count + 1).to_ne_bytes();
            let done = state.compare_exchange("count", seen.as_deref(), Some(&new));
            if done.unwrap().is_ok() {
                break;
            }
        }
    }
    event("counted");
    child.order();
}

#[test]
fn counters_of_four_processes_lose_nothing() {
    both_with(here!(), &[("counter", counter)], |place| {
        let state = open(place);
        let mut counters: [_; 4] = std::array::from_fn(|_| child(place, "counter"));
        for counter in &mut counters {
            counter.tell("2000");
        }
        for counter in &mut counters {
            counter.event("counted");
        }
        assert_eq!(state.get_as::<u64>("count").unwrap(), Some(8000));
    });
}

const TRIPLE: [&str; 3] = ["alpha", "beta", "gamma"];

/// Moves three keys together, for ever; now and then they are gone together. The values
/// have a few words each, all alike.
fn mover(child: &Child) {
    let state = state(child);
    event("moving");
    for round in 0_u64.. {
        let number = round.wrapping_mul(0x9e37_79b9) | 1;
        state
            .transaction(|tx| {
                for key in TRIPLE {
                    match round % 7 {
                        0 => drop(tx.delete(key)?),
                        _ => tx.set_as(key, &[number; 8])?,
                    }
                }
                Ok::<_, StateError>(())
            })
            .unwrap();
    }
}

#[track_caller]
fn triple(state: &SharedStateManager) -> Option<u64> {
    let values = state.snapshot(&TRIPLE).unwrap();
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    let value = values.into_iter().next().flatten()?;
    let (first, rest) = value.split_at(8);
    assert!(
        value.len() == 64 && rest.chunks(8).all(|word| word == first),
        "{value:?}"
    );
    Some(u64::from_ne_bytes(first.try_into().unwrap()))
}

#[test]
fn three_keys_are_never_seen_half_while_their_writers_are_killed() {
    both_with(here!(), &[("mover", mover)], |place| {
        let state = open(place);
        let mut changes = 0;
        for _ in 0..12 {
            let mut movers: [_; 2] = std::array::from_fn(|_| child(place, "mover"));
            for mover in &mut movers {
                mover.event("moving");
            }
            // What each sees is whole; that it sees different things shows that they move.
            let (mut last, mut moved) = (None, 0);
            support::until_true("they move", || {
                for _ in 0..200 {
                    let now = triple(&state);
                    moved += u32::from(now != last);
                    last = now;
                    if let Some(one) = state.get_as::<[u64; 8]>("beta").unwrap() {
                        assert_eq!(one, [one[0]; 8]);
                    }
                }
                moved > 50
            });
            changes += moved;
            movers[0].shoot();
            movers[1].shoot();
            for _ in 0..50 {
                let _ = triple(&state);
            }
            drop(movers);
            // Whole, and writable.
            let _ = triple(&state);
            assert_eq!(
                state.keys().unwrap().len() % 3,
                0,
                "some of a transaction are there"
            );
            state.set("bystander", "written").unwrap();
            assert!(state.delete("bystander").unwrap());
        }
        assert!(changes > 600);
    });
}

/// Dies in the middle of a transaction, or stays in it.
fn lingerer(child: &Child) {
    let state = state(child);
    let how = child.order();
    let _ = state.transaction(|tx| {
        tx.set("kept", "overwritten")?;
        event("inside");
        if how == "die" {
            die()
        }
        child.order();
        Ok::<_, StateError>(())
    });
    event("written");
    child.order();
}

#[test]
fn a_writer_killed_inside_leaves_the_old_value_and_the_store_writable() {
    both_with(here!(), &[("lingerer", lingerer)], |place| {
        let state = open(place);
        state.set("kept", "whole").unwrap();
        let mut doomed = child(place, "lingerer");
        doomed.tell("die");
        doomed.event("inside");
        assert!(!doomed.ended().success());
        assert_eq!(state.get("kept").unwrap().as_deref(), Some(&b"whole"[..]));
        state.set("kept", "new").unwrap();
        assert_eq!(state.get("kept").unwrap().as_deref(), Some(&b"new"[..]));
    });
}

#[test]
fn a_slow_writer_keeps_no_reader_and_is_named_to_writers() {
    both_with(here!(), &[("lingerer", lingerer)], |place| {
        let state = open(place);
        state.set("kept", "whole").unwrap();
        let mut slow = child(place, "lingerer");
        slow.tell("linger");
        slow.event("inside");
        assert_eq!(state.get("kept").unwrap().as_deref(), Some(&b"whole"[..]));
        assert_eq!(state.snapshot(&["kept"]).unwrap().len(), 1);
        let impatient = state.clone().lock_timeout(SHORT);
        let error = impatient.set("other", "v").unwrap_err();
        assert_is!(error, StateError::TimedOut { waited, ref holder }
            if waited >= SHORT && holder.contains(&slow.pid().to_string()));
        slow.tell("go on");
        slow.event("written");
        impatient.set("other", "v").unwrap();
        let kept = state.get("kept").unwrap();
        assert_eq!(kept.as_deref(), Some(&b"overwritten"[..]));
    });
}
