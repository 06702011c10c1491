//! `ebbtide shutdown`: begins a shutdown (or joins one) and reports how it ended.

use std::time::{Duration, Instant};

use ebbtide::text::moment::ago;
use ebbtide::{
    Initiation, ReasonCode, RunnerHandle, SegmentOptions, ShutdownCoordinator, ShutdownOutcome,
    ShutdownReport, ShutdownRequest,
};

use crate::args::{HowHard, Shutdown};
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::{self, clock, json};

/// The deadline is reached inside the segment first, and names the laggards; this is how
/// much longer the command waits for that before it gives up by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a runner that is asked to end at once, after its deadline, may take for that: the
/// bounds of the phases of Immediate.
const AT_ONCE: Duration = Duration::from_secs(3);

pub fn run(options: &SegmentOptions, args: &Shutdown) -> Result<Code, Failure> {
    let segment = options.open(&args.scoped.segment)?;
    let coordinator = ShutdownCoordinator::new(&segment);
    let scope = args.scoped.scope();
    let request = ShutdownRequest::new()
        .timeout(args.timeout)
        .mode(args.mode.into())
        .reason(ReasonCode::Requested, args.reason.as_str());
    let initiation = coordinator.initiate_shutdown(&scope, &request)?;
    // Nothing is begun then, but what lives on after the deadline can still be ended.
    let is_hard = !matches!(args.mode, HowHard::Graceful);
    let remaining = match initiation {
        Initiation::Over if is_hard => coordinator.end_remaining(&scope, &request)?,
        _ => Vec::new(),
    };
    if args.no_wait {
        if args.json.json {
            output::emit_json(&json::Begun {
                segment: &args.scoped.segment,
                runner: args.scoped.runner.as_deref(),
                initiation: part(initiation),
            })?;
        } else {
            let text = match initiation {
                Initiation::Drives => "the shutdown has begun",
                Initiation::Merged => "a shutdown was under way; this one is merged into it",
                _ if remaining.is_empty() => "it was complete already",
                _ => "it was complete already; the runners that live on are asked again",
            };
            let over = over(&coordinator, args, initiation)?.unwrap_or_default();
            output::emit(&format!("{}: {text}{over}\n", args.scoped.segment))?;
        }
        return Ok(Code::Done);
    }
    let patience = args.timeout.saturating_add(PATIENCE);
    // Before the report, which is of a shutdown that this command has not begun.
    if let (false, Some(over)) = (args.json.json, over(&coordinator, args, initiation)?) {
        let name = &args.scoped.segment;
        output::emit(&format!("{name}: it was complete already{over}\n\n"))?;
    }
    if !remaining.is_empty() {
        end_remaining(&coordinator, &remaining, args)?;
    }
    let report = coordinator.wait_for_shutdown_complete(&scope, patience)?;
    if args.json.json {
        let mut document = serde_json::to_value(&report)
            .map_err(|error| Failure::because("cannot write JSON", &error))?;
        document["initiation"] = part(initiation).into();
        output::emit_json(&document)?;
        return outcome(&report, Code::from(report.outcome));
    }
    tell(&report, false)
}

/// The word for it in JSON.
const fn part(initiation: Initiation) -> &'static str {
    match initiation {
        Initiation::Drives => "begun",
        Initiation::Merged => "merged",
        _ => "over",
    }
}

/// With which outcome the shutdown had ended and when, if it was over before it was asked for.
fn over(
    coordinator: &ShutdownCoordinator,
    args: &Shutdown,
    initiation: Initiation,
) -> Result<Option<String>, Failure> {
    if initiation != Initiation::Over {
        return Ok(None);
    }
    let report = coordinator.report(&args.scoped.scope())?;
    let outcome = report.outcome.name();
    let ended = report.ended.map_or(String::new(), |ended| {
        format!(", ended {} ({})", clock::local(ended), ago(ended))
    });
    Ok(Some(format!(": {outcome}{ended}")))
}

/// Waits until the runners that lived on after the deadline have ended.
fn end_remaining(
    coordinator: &ShutdownCoordinator,
    remaining: &[RunnerHandle],
    args: &Shutdown,
) -> Result<(), Failure> {
    let until = Instant::now() + args.timeout + PATIENCE;
    for runner in remaining {
        let patience = match args.mode {
            // It ends its work at once, or not at all.
            HowHard::Immediate => args.timeout.min(AT_ONCE) + PATIENCE,
            HowHard::Graceful | HowHard::Fast => until.saturating_duration_since(Instant::now()),
        };
        if coordinator.wait_left(*runner, patience)? {
            continue;
        }
        let report = coordinator.report(&args.scoped.scope())?;
        let living = report.runners.iter();
        let living = living.filter(|r| r.alive && r.ended.is_none());
        let living: Vec<_> = living
            .map(|r| format!("{:?} (pid {})", r.id, r.pid))
            .collect();
        let remedy = match args.mode {
            HowHard::Immediate => "it does not look at the mode: end the process by SIGKILL",
            HowHard::Graceful | HowHard::Fast => {
                "use --mode immediate, or end the process by SIGKILL"
            }
        };
        return Err(Failure::new(
            Code::TooLate,
            format!(
                "too late: the shutdown is over, and runner {} lives on; {remedy}",
                living.join(", ")
            ),
        ));
    }
    Ok(())
}

/// Prints a report; its outcome is the exit code.
pub fn tell(report: &ShutdownReport, json: bool) -> Result<Code, Failure> {
    if json {
        output::emit_json(report)?;
    } else {
        output::emit(&render::report::page(report))?;
    }
    outcome(report, Code::from(report.outcome))
}

/// The exit code of a report that is printed.
fn outcome(report: &ShutdownReport, code: Code) -> Result<Code, Failure> {
    if report.outcome == ShutdownOutcome::Cancelled {
        let mut failure = Failure::other("the shutdown was called off");
        failure.printed = true;
        return Err(failure);
    }
    Ok(code)
}
