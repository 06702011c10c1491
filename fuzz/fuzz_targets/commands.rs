//! Every command that ends by itself, in this process, on a segment that was written over: it has an exit
//! code. (`demo` and `exec` start processes, `status --watch` wants a terminal and `metrics
//! --listen` serves for ever; `tests/process/cli_bytes.rs` has what can be bounded of them.)
#![no_main]
#![allow(dead_code)]

#[path = "../../src/bin/ebbtide/args.rs"]
mod args;
#[path = "../../src/bin/ebbtide/commands/mod.rs"]
mod commands;
#[path = "../../src/bin/ebbtide/demo/mod.rs"]
mod demo;
#[path = "../../src/bin/ebbtide/doors.rs"]
mod doors;
#[path = "../../src/bin/ebbtide/duration.rs"]
mod duration;
#[path = "../../src/bin/ebbtide/event_args.rs"]
mod event_args;
#[path = "../../src/bin/ebbtide/exit.rs"]
mod exit;
#[path = "../../tests/process/hostile/mod.rs"]
mod hostile;
#[path = "../../src/bin/ebbtide/http.rs"]
mod http;
#[path = "../../src/bin/ebbtide/output.rs"]
mod output;
mod place;
#[path = "../../src/bin/ebbtide/render/mod.rs"]
mod render;
#[path = "../../src/bin/ebbtide/rm_args.rs"]
mod rm_args;
#[path = "../../src/bin/ebbtide/seeing_args.rs"]
mod seeing_args;
#[path = "../../src/bin/ebbtide/signal.rs"]
mod signal;
#[path = "../../src/bin/ebbtide/status_args.rs"]
mod status_args;

use clap::Parser;
use hostile::bytes::Body;
use hostile::calls::Lived;
use libfuzzer_sys::fuzz_target;
use place::{NAME, Writes};

const COMMANDS: &[&[&str]] = &[
    &["ls", "--json"],
    &["ls"],
    &["status", NAME],
    &["status", NAME, "--json"],
    &["status", NAME, "--ready"],
    &["why", NAME],
    &["why", NAME, "a", "--json"],
    &["timeline", NAME],
    &["timeline", NAME, "--format", "json"],
    &["timeline", NAME, "--format", "trace"],
    &["timeline", NAME, "--format", "svg"],
    &["metrics", NAME],
    &["locks", NAME],
    &["locks", NAME, "--dot"],
    &["locks", NAME, "--json"],
    &["check", NAME],
    &["check", NAME, "--json"],
    &["keys", NAME],
    &["get", NAME, "left", "--json"],
    &["event", "list", NAME],
    &["event", "list", NAME, "--json"],
    &["event", "set", NAME, "flag", "--payload", "x"],
    &["event", "wait", NAME, "flag", "--timeout", "2ms"],
    &["watch", NAME, "left", "--count", "1", "--timeout", "2ms"],
    &["set", NAME, "left", "value"],
    &["del", NAME, "left"],
    &["wait", NAME, "--timeout", "2ms", "--json"],
    &["shutdown", NAME, "--timeout", "5ms", "--json"],
    &["shutdown", NAME, "--runner", "a", "--timeout", "5ms"],
    &["cancel", NAME],
    &["timeline", NAME, "--runner", "a"],
    &["begin", NAME],
    &["reap", NAME],
    &["check", "--repair", NAME],
    &["rm", NAME, "--force"],
];

fuzz_target!(|data: &[u8]| {
    let options = place::options();
    let (state, writes) = Writes::of(data);
    let segment = options.create(NAME).unwrap();
    let path = segment.path().to_path_buf();
    drop(Lived::new(segment, state));
    writes.apply(&Body::of_nobody(&path));
    let directory = place::directory();
    for command in COMMANDS {
        hostile::trying(command[0]);
        let before = ["ebbtide", "--dir", directory.to_str().unwrap()];
        let cli = args::Cli::parse_from(before.iter().chain(*command));
        match commands::run(&cli) {
            Ok(code) => assert!(code <= 7, "{command:?}: {code}"),
            Err(failure) => assert!(failure.code as u8 <= 7, "{command:?}: {}", failure.message),
        }
    }
});
