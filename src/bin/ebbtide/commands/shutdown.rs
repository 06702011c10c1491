//! `ebbtide shutdown`: begins a shutdown (or joins one) and reports how it ended.

use std::time::Duration;

use ebbtide::text::moment::ago;
use ebbtide::{
    Initiation, ReasonCode, SegmentOptions, ShutdownCoordinator, ShutdownOutcome, ShutdownReport,
    ShutdownRequest,
};

use crate::args::Shutdown;
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::{self, clock, json};

/// The deadline is reached inside the segment first, and names the laggards; this is how
/// much longer the command waits for that before it gives up by itself.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn run(options: &SegmentOptions, args: &Shutdown) -> Result<Code, Failure> {
    let segment = options.open(&args.scoped.segment)?;
    let coordinator = ShutdownCoordinator::new(&segment);
    let scope = args.scoped.scope();
    let request = ShutdownRequest::new()
        .timeout(args.timeout)
        .mode(args.mode.into())
        .reason(ReasonCode::Requested, args.reason.as_str());
    let initiation = coordinator.initiate_shutdown(&scope, &request)?;
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
                _ => "it was complete already",
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
