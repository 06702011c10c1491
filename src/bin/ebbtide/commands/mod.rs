//! One file per command.

mod begin;
mod cancel;
mod check;
mod completions;
mod event;
mod exec;
mod locks;
mod ls;
mod man;
mod metrics;
mod reap;
mod rm;
mod shutdown;
mod state;
mod status;
mod timeline;
mod wait;
mod why;

use ebbtide::SegmentOptions;

use crate::args::{Cli, Command};
use crate::demo;
use crate::exit::Failure;

/// Does what was asked; the exit code, or why not.
pub fn run(cli: &Cli) -> Result<u8, Failure> {
    let mut options = SegmentOptions::new();
    if let Some(directory) = &cli.dir {
        options = options.directory(directory);
    }
    let code = match &cli.command {
        Command::Begin(args) => begin::run(&options, args)?,
        Command::Demo(args) => demo::run(&options, args)?,
        Command::DemoRunner(args) => demo::runner::run(&options, args)?,
        Command::Exec(args) => return exec::run(&options, args),
        Command::Locks(args) => locks::run(&options, args)?,
        Command::Ls(args) => ls::run(&options, *args)?,
        Command::Status(args) => status::run(&options, args)?,
        Command::Why(args) => why::run(&options, args)?,
        Command::Timeline(args) => timeline::run(&options, args)?,
        Command::Metrics(args) => metrics::run(&options, args)?,
        Command::Shutdown(args) => shutdown::run(&options, args)?,
        Command::Cancel(args) => cancel::run(&options, args)?,
        Command::Wait(args) => wait::run(&options, args)?,
        Command::Event(args) => event::run(&options, args)?,
        Command::Check(args) => check::run(&options, args)?,
        Command::Reap(args) => reap::run(&options, args)?,
        Command::Rm(args) => rm::run(&options, args)?,
        Command::Get(args) => state::get(&options, args)?,
        Command::Set(args) => state::set(&options, args)?,
        Command::Del(args) => state::del(&options, args)?,
        Command::Keys(args) => state::keys(&options, args)?,
        Command::Watch(args) => state::watch(&options, args)?,
        Command::Completions(args) => completions::run(args)?,
        Command::Man(args) => man::run(args)?,
    };
    Ok(code as u8)
}
