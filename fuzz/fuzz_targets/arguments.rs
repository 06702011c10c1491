//! The command's arguments, with all their parsers.
#![no_main]
#![allow(dead_code)]

#[path = "../../src/bin/ebbtide/args.rs"]
mod args;
#[path = "../../src/bin/ebbtide/duration.rs"]
mod duration;
#[path = "../../src/bin/ebbtide/event_args.rs"]
mod event_args;
#[path = "../../src/bin/ebbtide/rm_args.rs"]
mod rm_args;
#[path = "../../src/bin/ebbtide/seeing_args.rs"]
mod seeing_args;
#[path = "../../src/bin/ebbtide/signal.rs"]
mod signal;
#[path = "../../src/bin/ebbtide/status_args.rs"]
mod status_args;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::Parser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let words = data
        .split(|byte| *byte == 0)
        .take(64)
        .map(OsStr::from_bytes);
    let all = [OsStr::new("ebbtide")].into_iter().chain(words);
    if let Ok(cli) = args::Cli::try_parse_from(all) {
        let _ = cli.command.wants_json();
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(time) = duration::parse(text) {
        assert!(time <= Duration::from_secs(49 * 86_400));
    }
    let _ = signal::parse(text);
});
