//! `ebbtide get`, `set`, `del`, `keys`, `watch`: the shared state from a shell.

use std::io::Write;
use std::process::Stdio;

use super::support::{Place, both};
use serde_json::json;

#[test]
fn values_are_set_read_listed_and_deleted() {
    both(|place| {
        // The segment is made by the first.
        place.run(&["set", "seg", "rate", "0.25"]).code(0);
        place.run(&["set", "seg", "a/b", "naïve\n"]).code(0);
        let got = place.run(&["get", "seg", "rate"]).code(0);
        assert_eq!((got.out.as_str(), got.err.as_str()), ("0.25", ""));
        assert_eq!(place.run(&["get", "seg", "a/b"]).code(0).out, "naïve\n");
        let got = place.run(&["get", "seg", "a/b", "--json"]).code(0).json();
        assert_eq!(
            (&got["key"], &got["text"]),
            (&json!("a/b"), &json!("naïve\n"))
        );
        assert_eq!(got["hex"], "6e61c3af76650a");

        let listed = place.run(&["keys", "seg", "--json"]).code(0).json();
        assert_eq!(listed["segment"], "seg");
        let keys = listed["keys"].as_array().unwrap();
        assert_eq!(
            (&keys[0]["key"], &keys[0]["bytes"]),
            (&json!("a/b"), &json!(7))
        );
        assert_eq!(
            (&keys[1]["key"], &keys[1]["bytes"]),
            (&json!("rate"), &json!(4))
        );
        let page = place.run(&["keys", "seg"]).code(0).out;
        assert!(page.lines().nth(1).unwrap().starts_with("a/b"), "{page}");
        let status = place.run(&["status", "seg", "--json"]).code(0).json();
        assert_eq!(status["keys"], listed["keys"]);
        let page = place.run(&["status", "seg"]).code(0).out;
        assert!(
            page.contains("2 keys in the shared state, 11 bytes"),
            "{page}"
        );
        assert!(page.contains("a/b") && page.contains("rate"), "{page}");

        // All or none.
        place.run(&["del", "seg", "rate", "missing"]).code(3);
        place.run(&["get", "seg", "rate"]).code(0);
        place.run(&["del", "seg", "rate", "a/b"]).code(0);
        place.run(&["get", "seg", "rate"]).code(3);
        let none = place.run(&["keys", "seg"]).code(0);
        assert_eq!(none.out, "");
        place.run(&["rm", "seg"]).code(0);
    });
}

#[test]
fn bytes_pass_through_pipes_as_they_are() {
    let place = Place::new("auto");
    let value: Vec<u8> = (0..=255).cycle().take(1024).collect();
    for dash in [&["-"][..], &[]] {
        let args = [&["set", "seg", "bytes"][..], dash].concat();
        let mut child = place.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&value).unwrap();
        assert!(child.wait().unwrap().success());
        let got = place.command(&["get", "seg", "bytes"]).output().unwrap();
        assert_eq!(got.stdout, value);
        let got = place.run(&["get", "seg", "bytes", "--json"]).json();
        assert!(got["text"].is_null());
        assert_eq!(got["hex"].as_str().unwrap().len(), 2048);
        place.run(&["del", "seg", "bytes"]).code(0);
    }
    place.run(&["rm", "seg"]).code(0);
}

#[test]
fn what_cannot_be_has_its_exit_code() {
    let place = Place::new("auto");
    place
        .run(&["get", "none", "k", "--json"])
        .code(3)
        .error("missing");
    place.run(&["keys", "none"]).code(3);
    place.run(&["del", "none", "k"]).code(3);
    place.run(&["set", "seg", "k", &"x".repeat(1025)]).code(2);
    place.run(&["set", "seg", "", "x"]).code(2);
    place.run(&["set", "seg", &"k".repeat(65), "x"]).code(2);
    place
        .run(&["get", "seg", "k", "--json"])
        .code(3)
        .error("missing");
    place.run(&["del", "seg"]).code(2);
    place.run(&["watch", "seg", "k", "--count", "0"]).code(2);
    place
        .run(&["watch", "seg", "k", "--timeout", "20ms"])
        .code(4);
    place.run(&["rm", "seg"]).code(0);
}

#[test]
fn watch_prints_each_change_and_ends_when_told() {
    both(|place| {
        place.run(&["set", "seg", "k", "before"]).code(0);
        let mut watch = place.start(&["watch", "seg", "k", "--count", "3", "--timeout", "30s"]);
        assert_eq!(watch.line(), "before\n");
        place.run(&["set", "seg", "k", "one"]).code(0);
        assert_eq!(watch.line(), "one\n");
        place.run(&["set", "seg", "other", "x"]).code(0);
        place.run(&["del", "seg", "k"]).code(0);
        let said = watch.wait().code(0);
        assert!(said.err.contains("k is deleted"), "{said:?}");

        place.run(&["set", "seg", "k", "now"]).code(0);
        let watch = place.run(&["watch", "seg", "k", "--count", "1", "--json"]);
        let change = watch.code(0).json();
        assert_eq!(
            (&change["key"], &change["text"]),
            (&json!("k"), &json!("now"))
        );
        assert!(change["version"].as_u64().unwrap() > 0);
        place.run(&["rm", "seg"]).code(0);
    });
}

/// The reader of its lines went away.
#[test]
fn watch_ends_when_nobody_reads() {
    let place = Place::new("auto");
    place.run(&["set", "seg", "k", "0"]).code(0);
    let mut child = place
        .command(&["watch", "seg", "k"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    for value in 1.. {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        assert!(value < 10_000, "it goes on");
        place.run(&["set", "seg", "k", &value.to_string()]).code(0);
    }
    place.run(&["rm", "seg"]).code(0);
}
