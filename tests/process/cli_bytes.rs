//! Every command on a segment that was written over, before or all the while: an exit code
//! of the contract.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hostile::bytes::{Body, Random};
use crate::hostile::calls::Lived;
use crate::hostile_bytes::seed;
use crate::support::{HANG, Place, both, end_of, killer};
use ebbtide::Liveness;

/// The command itself, on the segments and the back end of a place.
pub fn command(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    if place.liveness == Liveness::Portable {
        command.env("EBBTIDE_LIVENESS", "portable");
    }
    command
        .arg("--dir")
        .arg(place.directory())
        .args(args)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Runs a command to its end; its exit code. One that hangs or crashes is a failure.
pub fn run(place: &Place, args: &[&str]) -> i32 {
    ended(&mut command(place, args).spawn().unwrap(), args)
}

/// The exit code of a command that is about to end.
#[track_caller]
pub fn ended(child: &mut Child, args: &[&str]) -> i32 {
    let kill = killer(child);
    let status = end_of(child, HANG, kill).unwrap_or_else(|| panic!("{args:?} hangs"));
    status
        .code()
        .unwrap_or_else(|| panic!("{args:?}: {status}"))
}

/// Each command that ends by itself, in an order in which the last ones do the most. What
/// lives on is in `cli_bytes_living.rs`; `demo` makes its segments, and `completions` and
/// `man` read none.
#[rustfmt::skip]
pub const COMMANDS: &[&[&str]] = &[
    &["ls"],
    &["ls", "--json"],
    &["status", "group"],
    &["status", "group", "--json"],
    &["status", "group", "--ready"],
    &["status", "group", "--ready", "--runner", "a", "--min", "1"],
    &["status", "group", "--ready", "--json"],
    &["why", "group"],
    &["why", "group", "a"],
    &["why", "group", "--json"],
    &["timeline", "group"],
    &["timeline", "group", "--runner", "a"],
    &["timeline", "group", "--format", "json"],
    &["timeline", "group", "--format", "trace"],
    &["timeline", "group", "--format", "svg"],
    &["timeline", "group", "--format", "svg", "--out", "/dev/null"],
    &["metrics", "group"],
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
    &["event", "set", "group", "new", "--kind", "error"],
    &["event", "wait", "group", "flag", "--timeout", "2ms"],
    &["event", "wait", "group", "x", "y", "--timeout", "2ms", "--json"],
    &["watch", "group", "left", "--count", "1", "--timeout", "2ms"],
    &["watch", "group", "left", "--count", "1", "--timeout", "2ms", "--json"],
    &["set", "group", "left", "value"],
    &["set", "group", "left", "-"],
    &["del", "group", "left", "number"],
    &["wait", "group", "--timeout", "2ms"],
    &["wait", "group", "--runner", "a", "--timeout", "2ms", "--json"],
    &["shutdown", "group", "--no-wait", "--reason", "why not"],
    &["cancel", "group"],
    &["shutdown", "group", "--timeout", "5ms", "--json"],
    &["shutdown", "group", "--runner", "a", "--timeout", "5ms"],
    &["cancel", "group", "--runner", "a"],
    &["shutdown", "group", "--mode", "immediate", "--timeout", "5ms"],
    &["reap", "group"],
    &["begin", "group"],
    &["begin", "group", "--json"],
    &["exec", "group", "--runner", "x", "--", "true"],
    &["exec", "group", "--runner", "y", "--notify", "--grace", "2ms", "--", "false"],
    &["check", "--repair", "group"],
    &["check", "--repair", "group", "--json"],
    &["reap"],
    &["rm", "group"],
];

/// A segment in which something has happened, written over.
pub fn scribbled(place: &Place, random: &mut Random) {
    drop(Lived::new(place.create(), random.below(3)));
    Body::of_nobody(&place.file()).scribble(random);
}

fn remove(place: &Place) {
    // What a command makes anew is as good.
    let code = run(place, &["rm", "group", "--force"]);
    assert!(code == 0 || code == 3, "{code}");
}

#[test]
fn every_command_answers_for_a_segment_that_was_written_over() {
    both(here!(), |place| {
        let seed = seed();
        println!("seeds from {seed}");
        for seed in seed..seed + 3 {
            let mut random = Random::new(seed);
            scribbled(place, &mut random);
            for args in COMMANDS {
                let code = run(place, args);
                assert!((0..=7).contains(&code), "seed {seed}: {args:?}: {code}");
            }
            remove(place);
        }
    });
}

#[test]
fn every_command_answers_for_a_segment_that_is_written_to_meanwhile() {
    both(here!(), |place| {
        let seed = seed();
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let segment = place.create();
        let body = Body::of_users(&place.file(), place.liveness);
        drop(Lived::new(segment, random.below(3)));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                body.disturb(&mut random, || !is_over.load(Ordering::Relaxed));
            });
            // The last one removes it.
            let (_, commands) = COMMANDS.split_last().unwrap();
            let wrong = commands.iter().find_map(|args| {
                let code = run(place, args);
                (!(0..=7).contains(&code)).then(|| format!("seed {seed}: {args:?}: {code}"))
            });
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap();
            assert_eq!(wrong, None);
        });
        remove(place);
    });
}
