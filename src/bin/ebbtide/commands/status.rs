//! `ebbtide status`: a look from outside that disturbs nobody.

use ebbtide::{Phase, RunnerReport, SegmentOptions, Status};

use crate::exit::{Code, Failure};
use crate::output;
use crate::render::{count, json, status};
use crate::status_args::StatusArgs;

pub fn run(options: &SegmentOptions, args: &StatusArgs) -> Result<Code, Failure> {
    #[cfg(feature = "tui")]
    if args.watch {
        return crate::watch::run(options, &args.segment);
    }
    let seen = options.observe(&args.segment)?.status()?;
    if args.ready {
        ready(&seen, args)?;
    } else if args.json.json {
        output::emit_json(&json::Status::of(&seen))?;
    } else {
        output::emit(&status::page(&seen))?;
    }
    Ok(Code::Done)
}

/// The answer of `--ready`.
fn ready(seen: &Status, args: &StatusArgs) -> Result<(), Failure> {
    let name = &seen.segment;
    if seen.phase != Phase::Running {
        let message = format!("{name} is not ready: it is {}", seen.phase);
        return Err(Failure::new(Code::TooLate, message));
    }
    let is_there = |runner: &&RunnerReport| runner.alive && runner.outcome.is_none();
    let there: Vec<_> = seen.runners.iter().filter(is_there).collect();
    for id in &args.runner {
        let Some(runner) = there.iter().find(|runner| runner.id == *id) else {
            let is_dead = |one: &RunnerReport| one.id == *id && !one.alive;
            let how = match seen.runners.iter().any(is_dead) {
                true => "is dead or has left",
                false => "has not joined",
            };
            let message = format!("{name} is not ready: runner {id:?} {how}");
            return Err(Failure::new(Code::Missing, message));
        };
        if runner.own_phase != Phase::Running {
            let phase = runner.own_phase;
            let message = format!("{name} is not ready: runner {id:?} is {phase}");
            return Err(Failure::new(Code::TooLate, message));
        }
    }
    // One that is being shut down alone takes no work.
    let working = there.iter().filter(|one| one.own_phase == Phase::Running);
    let joined = working.count();
    if joined < args.min {
        let (here, wanted) = (count(joined, "runner"), args.min);
        let message = format!("{name} is not ready: {here}, {wanted} wanted");
        return Err(Failure::new(Code::Missing, message));
    }
    if args.json.json {
        output::emit_json(&json::Ready {
            segment: name,
            ready: true,
            runners: joined,
        })
    } else {
        output::emit(&format!("{name} is ready: {}\n", count(joined, "runner")))
    }
}
