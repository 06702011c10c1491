//! Every command on a segment that was written over: an exit code of the contract.

use std::process::{Command, Stdio};

use crate::hostile::bytes::{Body, Random};
use crate::hostile::calls::Lived;
use crate::support::{HANG, Place, both, end_of, killer};

/// Runs a command to its end; its exit code. One that hangs or crashes is a failure.
pub fn run(place: &Place, args: &[&str]) -> i32 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebbtide"))
        .arg("--dir")
        .arg(place.directory())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let kill = killer(&child);
    let status = end_of(&mut child, HANG, kill).unwrap_or_else(|| panic!("{args:?} hangs"));
    status
        .code()
        .unwrap_or_else(|| panic!("{args:?}: {status}"))
}

/// Each command, in an order in which the last ones do the most.
pub const COMMANDS: &[&[&str]] = &[
    &["ls"],
    &["ls", "--json"],
    &["status", "group"],
    &["status", "group", "--json"],
    &["locks", "group"],
    &["locks", "group", "--dot"],
    &["locks", "group", "--json"],
    &["check", "group"],
    &["check", "group", "--json"],
    &["keys", "group"],
    &["keys", "group", "--json"],
    &["get", "group", "left"],
    &["get", "group", "left", "--json"],
    &["event", "list", "group"],
    &["event", "list", "group", "--json"],
    &["event", "set", "group", "flag", "--payload", "x"],
    &["event", "wait", "group", "flag", "--timeout", "2ms"],
    &["watch", "group", "left", "--count", "1", "--timeout", "2ms"],
    &["set", "group", "left", "value"],
    &["del", "group", "left"],
    &["wait", "group", "--timeout", "2ms"],
    &["shutdown", "group", "--timeout", "5ms", "--json"],
    &["shutdown", "group", "--runner", "a", "--timeout", "5ms"],
    &["cancel", "group"],
    &["reap", "group"],
    &["exec", "group", "--runner", "x", "--", "true"],
    &["check", "--repair", "group"],
    &["check", "--repair", "group", "--json"],
];

#[test]
fn every_command_answers_for_a_segment_that_was_written_over() {
    both(here!(), |place| {
        let seed = u64::from(std::process::id()) << 8;
        println!("seeds from {seed}");
        for seed in seed..seed + 5 {
            let mut random = Random::new(seed);
            drop(Lived::new(place.create(), random.below(3)));
            Body::of_nobody(&place.file()).scribble(&mut random);
            for args in COMMANDS {
                let code = run(place, args);
                assert!((0..=7).contains(&code), "{args:?}: {code}");
            }
            assert_eq!(run(place, &["rm", "group", "--force"]), 0);
        }
    });
}
