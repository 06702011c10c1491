//! Whoever watches a key is told of its changes, whoever else is killed.

use std::time::Duration;

use crate::state::{child, open, state};
use crate::support::{Child, HANG, both, both_with, event};

/// Tells every change of a key.
fn watcher(child: &Child) {
    let mut watch = state(child).watch("watched").unwrap();
    event("watching");
    while let Some(change) = watch.wait_change(Some(HANG)).unwrap() {
        let text = change.value.map(|value| String::from_utf8(value).unwrap());
        event(&format!("change {text:?}"));
    }
}

#[test]
fn watchers_are_woken_by_changes_of_their_key_only() {
    both_with(here!(), &[("watcher", watcher)], |place| {
        let state = open(place);
        let mut watchers: [_; 3] = std::array::from_fn(|_| child(place, "watcher"));
        for watcher in &mut watchers {
            watcher.event("watching");
            watcher.until_asleep();
        }
        // Other keys, of which one or the other shares the bell.
        for key in 0..64 {
            state.set(&format!("other {key}"), "v").unwrap();
        }
        state.set("watched", "one").unwrap();
        for watcher in &mut watchers {
            assert_eq!(watcher.event("change"), "Some(\"one\")");
        }
        // A killed one keeps nothing from the others.
        watchers[0].kill();
        state.delete("watched").unwrap();
        for watcher in &mut watchers[1..] {
            assert_eq!(watcher.event("change"), "None");
            watcher.until_asleep();
        }
        state.set("watched", "one").unwrap();
        for watcher in &mut watchers[1..] {
            assert_eq!(watcher.event("change"), "Some(\"one\")");
            assert!(!watcher.has("change"));
        }
    });
}

#[test]
fn a_watch_tells_of_what_came_before_the_wait_and_of_time() {
    both(here!(), |place| {
        let state = open(place);
        let mut watch = state.watch("k").unwrap();
        assert!(!watch.wait(Some(Duration::from_millis(20))).unwrap());
        state.set("k", "1").unwrap();
        state.set("k", "2").unwrap();
        let change = watch.wait_change(None).unwrap().unwrap();
        assert_eq!(change.value.as_deref(), Some(&b"2"[..]));
        // Told once.
        assert!(!watch.wait(Some(Duration::ZERO)).unwrap());
        // The same value again is a write all the same.
        state.set("k", "2").unwrap();
        assert!(watch.wait(Some(Duration::ZERO)).unwrap());
        state.set("other", "x").unwrap();
        assert!(!watch.wait(Some(Duration::ZERO)).unwrap());
        state.clear().unwrap();
        assert_eq!(watch.wait_change(None).unwrap().unwrap().value, None);
        assert_eq!(watch.key(), "k");
    });
}
