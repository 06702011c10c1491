//! `ebbtide shutdown`: begins a shutdown (or joins one) and reports how it ended.

use std::time::Duration;

use ebbtide::{
    Initiation, ReasonCode, SegmentOptions, ShutdownCoordinator, ShutdownOutcome, ShutdownReport,
    ShutdownRequest,
};

use crate::args::Shutdown;
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::{self, json};

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
        let part = match initiation {
            Initiation::Drives => "begun",
            Initiation::Merged => "merged",
            _ => "over",
        };
        if args.json.json {
            output::emit_json(&json::Begun {
                segment: &args.scoped.segment,
                runner: args.scoped.runner.as_deref(),
                initiation: part,
            })?;
        } else {
            let text = match initiation {
                Initiation::Drives => "the shutdown has begun",
                Initiation::Merged => "a shutdown was under way; this one is merged into it",
                _ => "the shutdown is over already; its outcome stands",
            };
            output::emit(&format!("{}: {text}\n", args.scoped.segment))?;
        }
        return Ok(Code::Done);
    }
    let patience = args.timeout.saturating_add(PATIENCE);
    let report = coordinator.wait_for_shutdown_complete(&scope, patience)?;
    tell(&report, args.json.json)
}

/// Prints a report; its outcome is the exit code.
pub fn tell(report: &ShutdownReport, json: bool) -> Result<Code, Failure> {
    if json {
        output::emit_json(report)?;
    } else {
        output::emit(&render::report::page(report))?;
    }
    if report.outcome == ShutdownOutcome::Cancelled {
        let mut failure = Failure::other("the shutdown was called off");
        failure.printed = true;
        return Err(failure);
    }
    Ok(Code::from(report.outcome))
}
