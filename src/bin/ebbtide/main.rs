//! The `ebbtide` command: looks at segments, shuts their runners down, makes foreign
//! programs runners, and shows it all in a demo. It uses the library's public API only.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod demo;
mod doors;
mod duration;
mod event_args;
mod exit;
mod http;
mod output;
mod render;
mod rm_args;
mod seeing_args;
mod signal;
mod status_args;
#[cfg(feature = "tui")]
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.command.wants_json();
    match commands::run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::complain(&failure.message);
            if json && !failure.printed {
                output::emit_error(&failure);
            }
            ExitCode::from(failure.code as u8)
        }
    }
}
