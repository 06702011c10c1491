//! After all others have ended: two generations with one runner each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ebbtide::{
    Outcome, Phase, Runner, Scope, Segment, ShutdownCoordinator, ShutdownOutcome, ShutdownRequest,
};

use super::{Checked, ensure, invariants, left, must, renew, take_everything, unlimited};
use crate::ledger::{Head, Ledger};
use crate::plan::Kind;
use crate::support::HANG;

/// A budget that nobody keeps.
const BRIEF: Duration = Duration::from_millis(10);

pub fn alone(segment: &Segment, ledger: &Arc<Ledger>) -> Checked {
    renew(segment, ledger)?;
    finishes(segment)?;
    renew(segment, ledger)?;
    // Patience is over.
    let mixed = Kind::Mixed as u64;
    ledger.head(Head::Kind).store(mixed, Ordering::Release);
    is_forced(segment)?;
    take_everything(segment, ledger)?;
    invariants(segment, ledger)?;
    left::nothing(segment, ledger)
}

/// A runner goes through a shutdown that waits for it as long as it takes.
fn finishes(segment: &Segment) -> Checked {
    let coordinator = ShutdownCoordinator::new(segment);
    let runner = must("join", Runner::join(segment, "survivor"))?;
    drop(must("begin", runner.begin())?);
    must(
        "initiate",
        coordinator.initiate_shutdown(&Scope::All, &unlimited()),
    )?;
    let report = must("run_shutdown", runner.run_shutdown())?;
    ensure(
        "the survivor completes",
        report.outcome == ShutdownOutcome::Completed,
    )
}

/// A runner does nothing, and its time runs out: whatever was hammered on before, the
/// budget begins, is known, and ends.
fn is_forced(segment: &Segment) -> Checked {
    let coordinator = ShutdownCoordinator::new(segment);
    let runner = must("join", Runner::join(segment, "laggard"))?;
    let request = ShutdownRequest::new().timeout(BRIEF);
    must(
        "initiate",
        coordinator.initiate_shutdown(&Scope::All, &request),
    )?;
    let status = must("status", coordinator.status())?;
    let is_known = status.phase == Phase::Complete
        || status.elapsed.is_some() && status.remaining.is_some_and(|left| left <= BRIEF);
    ensure(&format!("its budget is known: {status:?}"), is_known)?;
    let report = coordinator.wait_for_shutdown_complete(&Scope::All, HANG);
    let report = must("the laggard is forced", report)?;
    let late = report.runners.iter().all(|one| {
        one.outcome == Some(Outcome::TimedOut) && one.blocked_in == Some(Phase::Signaling)
    });
    let is_right = late && report.outcome == ShutdownOutcome::TimedOut && report.total >= BRIEF;
    ensure(&format!("the laggard is late: {report:?}"), is_right)?;
    runner.leave();
    Ok(())
}
