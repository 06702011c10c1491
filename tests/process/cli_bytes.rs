//! Every command on a segment that was written over, before or all the while: an exit code
//! of the contract.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hostile::bytes::{Body, Random};
use crate::hostile::calls::Lived;
use crate::hostile_bytes::seed;
use crate::support::{HANG, Place, both, end_of, killer, once};
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
    &["shutdown", "group", "--wait", "--timeout", "5ms", "--json"],
    &["shutdown", "group", "--runner", "a", "--timeout", "5ms"],
    &["cancel", "group", "--runner", "a"],
    &["shutdown", "group", "--mode", "immediate", "--timeout", "5ms"],
    &["reap", "group"],
    &["begin", "group"],
    &["begin", "group", "--json"],
    &["exec", "group", "--runner", "x", "--term-signal", "KILL", "--", "true"],
    &["exec", "group", "--runner", "y", "--notify", "--grace", "2ms", "--", "false"],
    &["check", "--repair", "group"],
    &["check", "--repair", "group", "--json"],
    &["reap"],
    &["rm", "group"],
    &["rm", "--unused"],
];

/// Run elsewhere: in `cli_bytes_living.rs`, and to clean up.
const BESIDES: &[&[&str]] = &[
    &["metrics", "group", "--listen", "127.0.0.1:0"],
    &["status", "group", "--watch"],
    &["rm", "group", "--force"],
    &["rm", "--unused"],
];

/// What reads no segment that is there: commands, and options of any.
const OF_NO_SEGMENT: &[&str] = &["demo", "completions", "man", "help"];
const OF_NO_ACCOUNT: &[&str] = &["--dir", "--help", "--version", "--expose"];

/// The commands and the options that `ebbtide … --help` tells of.
fn offered(place: &Place, of: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut told = command(place, of);
    let told = told.arg("--help").stdout(Stdio::piped()).output().unwrap();
    let help = String::from_utf8(told.stdout).unwrap();
    // Two spaces and the name; what is further in goes on about it.
    let names = |line: &str| {
        let name = line
            .strip_prefix("  ")
            .filter(|name| !name.starts_with(' '));
        name.and_then(|name| name.split(' ').next()).map(Into::into)
    };
    let after = help
        .split_once("\nCommands:\n")
        .map_or("", |(_, rest)| rest);
    let commands = after.lines().map_while(names).collect();
    let (_, after) = help.split_once("\nOptions:\n").unwrap();
    // Further in is what is said about them.
    let is_option = |line: &&str| {
        ["  -", "      --"]
            .iter()
            .any(|dash| line.starts_with(dash))
    };
    let words = after.lines().filter(is_option);
    let long = words.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")));
    (commands, long.map(Into::into).collect())
}

/// Whoever adds a command or an option adds it above, too.
#[test]
fn no_command_and_no_option_is_left_out() {
    once(here!(), |place| {
        let (mut commands, _) = offered(place, &[]);
        assert!(commands.len() > 20, "{commands:?}");
        commands.retain(|name| !OF_NO_SEGMENT.contains(&name.as_str()));
        let mut paths: Vec<Vec<String>> = commands.into_iter().map(|name| vec![name]).collect();
        let (actions, _) = offered(place, &["event"]);
        paths.retain(|path| path[0] != "event");
        let actions = actions.into_iter().filter(|name| name != "help");
        paths.extend(actions.map(|name| vec!["event".into(), name]));
        let mut missing = Vec::new();
        for path in paths {
            let words: Vec<&str> = path.iter().map(String::as_str).collect();
            let runs = || {
                COMMANDS
                    .iter()
                    .chain(BESIDES)
                    .filter(|args| args.starts_with(&words))
            };
            let (_, options) = offered(place, &words);
            let is_run = |option: &str| runs().any(|args| args.contains(&option));
            let options = options.into_iter().filter(|option| !is_run(option));
            let options = options.filter(|option| !OF_NO_ACCOUNT.contains(&option.as_str()));
            missing.extend(options.map(|option| format!("{} {option}", words.join(" "))));
            if runs().next().is_none() {
                missing.push(words.join(" "));
            }
        }
        assert!(
            missing.is_empty(),
            "never run on hostile bytes: {missing:?}"
        );
    });
}

/// A segment in which something has happened, written over.
pub fn scribbled(place: &Place, random: &mut Random) {
    drop(Lived::new(place.create(), random.below(3)));
    Body::of_nobody(&place.file()).scribble(random);
}

fn remove(place: &Place) {
    assert_eq!(run(place, &["rm", "--unused"]), 0);
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
                assert!((0..=10).contains(&code), "seed {seed}: {args:?}: {code}");
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
                (!(0..=10).contains(&code)).then(|| format!("seed {seed}: {args:?}: {code}"))
            });
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap();
            assert_eq!(wrong, None);
        });
        remove(place);
    });
}
