//! Killed at every instruction: a process runs one operation of the public API under
//! ptrace, is killed by SIGKILL after exactly k instructions, for every k, and then a
//! survivor must do everything and find nothing wrong.
//!
//! - [`operation`]: what victims die in, and their peers' part in it.
//! - [`stage`]: a victim's means; [`board`]: what is remembered of it outside the segment.
//! - [`trace`], [`arch`]: one stepped thread; [`fork`]: the processes.
//! - [`survivor`], [`peer`], [`check`]: the process that lives on, and what it must find.
//! - [`sweep`], [`tally`]: the kills, and what came of them.
//!
//! The driver is this process: it has one thread and never attaches to a segment. Victims and
//! survivors are forked from it. Of a victim only the main thread is traced; its keeper and
//! whatever it starts run freely meanwhile, and SIGKILL ends them all.
//!
//! Settings: `EBBTIDE_STEP_OP` (an operation's name), `EBBTIDE_STEP_K` (a point, as printed),
//! `EBBTIDE_STEP_FULL=1` (every point), `EBBTIDE_SEED`, `EBBTIDE_STEP_KILLS` (per operation).

mod arch;
mod area;
mod board;
mod check;
mod crew;
mod fork;
mod operation;
mod path;
mod peer;
mod place;
mod stage;
mod survivor;
mod sweep;
mod tally;
mod trace;

use std::env;
use std::process::ExitCode;
use std::str::FromStr;

use sweep::{Point, Sweep};
use tally::Tally;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    let value = text.parse().ok();
    assert!(value.is_some(), "{name}={text} is not understood");
    value
}

fn main() -> ExitCode {
    if let Some(why) = sweep::is_refused() {
        println!("step: skipped: {why}");
        return ExitCode::SUCCESS;
    }
    sweep::stay_on_one_processor();
    let seed = setting("EBBTIDE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let kills = setting("EBBTIDE_STEP_KILLS").unwrap_or(20);
    let only: Option<String> = setting("EBBTIDE_STEP_OP");
    let point: Option<Point> = setting("EBBTIDE_STEP_K");
    let is_full = env::var("EBBTIDE_STEP_FULL").is_ok();
    println!("step: EBBTIDE_SEED={seed}");
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    };
    let chosen = |operation: &&operation::Operation| {
        only.as_ref().is_none_or(|name| name == operation.name)
    };
    println!("{}", Tally::HEAD);
    let mut bad = 0;
    for operation in operation::all().filter(chosen) {
        let sweep = Sweep::new(*operation);
        let tally = match point {
            Some(point) => sweep.one(point),
            None if is_full => sweep.all(),
            None => sweep.some(kills, &mut random),
        };
        println!("{}", tally.row());
        eprintln!("{}", tally.json());
        bad += tally.violations.len();
    }
    ExitCode::from(u8::from(bad > 0))
}
