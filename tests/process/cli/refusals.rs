//! The command line: what is refused, and with which exit code.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::support::{Place, both};
use serde_json::{Value, json};

#[test]
fn wrong_usage_is_2() {
    let place = Place::new("auto");
    let cases: [&[&str]; 14] = [
        &[],
        &["frobnicate"],
        &["status"],
        &["status", "seg", "--frobnicate"],
        &["shutdown", "seg", "--timeout", "5"],
        &["shutdown", "seg", "--timeout", "-5s"],
        &["shutdown", "seg", "--mode", "brutal"],
        &["wait", "seg", "--timeout", "NaNs"],
        &["demo", "--runners", "0"],
        &[
            "demo",
            "--runners",
            "2",
            "--kill",
            "1",
            "--stop",
            "1",
            "--hang",
            "1",
        ],
        &["exec", "seg", "--runner", "a"],
        &[
            "exec",
            "seg",
            "--runner",
            "a",
            "--term-signal",
            "NOPE",
            "--",
            "true",
        ],
        &["completions", "nosuchshell"],
        &["man", "nosuchcommand"],
    ];
    for args in cases {
        let said = place.run(args).code(2);
        assert!(
            said.out.is_empty() && !said.err.is_empty(),
            "{args:?}: {said:#?}"
        );
    }
    for name in ["", ".hidden", "a/b", "../x", "a b", &"x".repeat(65)] {
        place.run(&["status", name]).code(2);
    }
    place
        .run(&["status", "a/b", "--json"])
        .code(2)
        .error("usage");
}

#[test]
fn no_such_segment_or_runner_is_3() {
    let place = Place::new("auto");
    for command in ["status", "shutdown", "cancel", "wait", "reap", "rm"] {
        place.run(&[command, "nowhere"]).code(3);
    }
    for command in ["status", "shutdown", "wait"] {
        place
            .run(&[command, "nowhere", "--json"])
            .code(3)
            .error("missing");
    }
    place.segment("here");
    for command in ["shutdown", "cancel", "wait"] {
        place.run(&[command, "here", "--runner", "nobody"]).code(3);
    }
    place.run(&["rm", "here"]).code(0);
}

#[test]
fn nothing_to_cancel_and_too_late_are_7() {
    both(|place| {
        place.segment("job");
        place.run(&["cancel", "job"]).code(7);
        place.run(&["shutdown", "job"]).code(0);
        place.run(&["cancel", "job"]).code(7);
        // Nobody was shut down: the next runner begins the next generation.
        let next = place
            .run(&["exec", "job", "--runner", "next", "--", "echo", "works"])
            .code(0);
        assert_eq!(next.out, "works\n", "{next:#?}");
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn refused_segments_are_6_listed_with_the_reason_and_removable() {
    let place = Place::new("auto");
    place.segment("good");
    let bytes = fs::read(place.file("good")).unwrap();
    let write = |name: &str, bytes: &[u8], mode: u32| {
        fs::write(place.file(name), bytes).unwrap();
        fs::set_permissions(place.file(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("empty", &[], 0o600);
    write("torn", &bytes[..bytes.len() / 2], 0o600);
    write("garbage", &vec![0xa5; bytes.len()], 0o600);
    write("open-to-all", &bytes, 0o666);
    let mut other = bytes.clone();
    other[8] ^= 0xff; // the layout version follows the magic number
    write("other-layout", &other, 0o600);
    let bad = ["empty", "torn", "garbage", "open-to-all", "other-layout"];
    for name in bad {
        for command in ["status", "shutdown", "wait", "reap", "cancel"] {
            place.run(&[command, name]).code(6);
        }
        place
            .run(&["status", name, "--json"])
            .code(6)
            .error("refused");
    }
    let listed = place.run(&["ls", "--json"]).code(0).json();
    for segment in listed["segments"].as_array().unwrap() {
        let is_good = segment["name"] == "good";
        assert_eq!(segment["refused"].is_null(), is_good, "{segment:#}");
        assert_eq!(
            segment["phase"],
            if is_good {
                json!("running")
            } else {
                Value::Null
            }
        );
    }
    assert_eq!(listed["segments"].as_array().unwrap().len(), bad.len() + 1);
    let text = place.run(&["ls"]).code(0).out;
    assert!(
        text.lines().count() == bad.len() + 2 && text.contains("wrong magic number"),
        "{text}"
    );
    let reaped = place.run(&["reap"]).code(6);
    assert!(reaped.out.starts_with("good: "), "{reaped:#?}");
    for name in bad {
        place.run(&["rm", name]).code(0);
    }
    place.run(&["rm", "good"]).code(0);
    // A link is refused, whatever it leads to, and not followed by rm.
    symlink("/etc/passwd", place.file("link")).unwrap();
    place.run(&["status", "link"]).code(6);
    fs::remove_file(place.file("link")).unwrap();
}

#[test]
fn rm_unused_removes_whatever_no_process_uses() {
    for liveness in ["auto", "portable"] {
        let place = Place::new(liveness);
        let used = place.exec("used", "a", &[], &["sh", "-c", "echo up; exec cat"]);
        for name in ["left", "other-boot", "other-layout"] {
            place.segment(name);
        }
        let bytes = fs::read(place.file("left")).unwrap();
        let write = |name: &str, at: std::ops::Range<usize>| {
            let mut bytes = bytes.clone();
            bytes[at].iter_mut().for_each(|byte| *byte ^= 0xff);
            fs::write(place.file(name), bytes).unwrap();
        };
        // The layout version follows the magic number.
        write("other-layout", 8..9);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let boot = u128::from_str_radix(&boot.trim().replace('-', ""), 16).unwrap();
        let at = |window: &[u8]| window == boot.to_be_bytes();
        let boot_at = bytes[..4096].windows(16).position(at).unwrap();
        write("other-boot", boot_at..boot_at + 16);
        place.run(&["status", "other-boot"]).code(6);
        fs::write(place.file("torn"), &bytes[..100]).unwrap();
        fs::write(place.file(".tmp-1-killed"), &bytes).unwrap();
        symlink("/etc/passwd", place.file("link")).unwrap();

        let said = place.run(&["rm", "--unused"]).code(0);
        for name in [
            "left",
            "other-boot",
            "other-layout",
            "torn",
            ".tmp-1-killed",
        ] {
            let line = format!("{name}: removed, ");
            assert!(
                said.out.lines().any(|it| it.starts_with(&line)),
                "{said:#?}"
            );
        }
        let last = said.out.lines().last().unwrap();
        assert!(
            last.starts_with("5 removed, ") && last.ends_with(" MiB freed"),
            "{said:#?}"
        );
        fs::remove_file(place.file("link")).unwrap();
        let mut left = fs::read_dir(place.directory()).unwrap();
        assert_eq!(left.next().unwrap().unwrap().file_name(), "used");
        assert!(left.next().is_none());
        let said = place.run(&["rm", "--unused"]).code(0);
        assert_eq!(said.out, "nothing to remove\n");

        // Of several names, those that can be removed are removed.
        place.segment("one");
        place.segment("two");
        let said = place.run(&["rm", "one", "used", "missing", "two"]).code(3);
        assert_eq!(said.out, "one: removed\ntwo: removed\n");
        assert!(said.err.contains("used: ") && said.err.contains("missing: "));
        used.end().code(0);
        place.run(&["rm", "--unused"]).code(0);
    }
}

#[test]
fn a_directory_open_to_others_is_refused() {
    let place = Place::new("auto");
    fs::create_dir(place.directory()).unwrap();
    fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o777)).unwrap();
    place.run(&["ls", "--json"]).code(6).error("refused");
    place
        .run(&["exec", "job", "--runner", "a", "--", "true"])
        .code(6);
}

#[test]
fn waiting_in_vain_is_4() {
    let place = Place::new("auto");
    let program = ["sh", "-c", "echo up; cat"];
    let exec = ["exec", "job", "--runner", "a", "--"];
    let mut runner = place.start(&[&exec[..], &program].concat());
    assert_eq!(runner.line(), "up\n");
    place.run(&["wait", "job", "--timeout", "10ms"]).code(4);
    place
        .run(&["wait", "job", "--timeout", "10ms", "--json"])
        .code(4)
        .error("laggards");
    runner.end().code(0);
    // All have ended by themselves.
    place.run(&["wait", "job", "--timeout", "10ms"]).code(0);
    place.run(&["rm", "job"]).code(0);
}
