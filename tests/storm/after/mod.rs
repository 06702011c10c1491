//! The full check after a round: everything can be taken, the store is consistent, a
//! shutdown completes, and nothing is left behind.

mod alone;
mod left;
pub mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ebbtide::{
    CrossProcessEvent, CrossProcessLock, CrossProcessSemaphore, DeadlockDetector, Finding,
    Initiation, Invariant, Phase, RunnerReport, Scope, Segment, ShutdownCoordinator,
    ShutdownOutcome, ShutdownRequest,
};

use crate::ledger::stamp::Actor;
use crate::ledger::{Head, Ledger};
use crate::member::acts::{HANGS, LOCK_NAMES, PERMITS};
use crate::member::generations;
use crate::oracle::bank::{Bank, Transfer};
use crate::oracle::store::{Log, Store};
use crate::oracle::{cleanup, deaths};
use crate::plan::{self, FOREVER, SHARES};
use crate::population::{PARENT, Population, release};
use crate::support::HANG;
pub use alone::alone;

pub type Checked = Result<(), String>;

pub fn must<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

pub fn ensure(what: &str, is_so: bool) -> Checked {
    is_so.then_some(()).ok_or_else(|| what.to_owned())
}

/// Ends the storm: all go on, all end in order, and the parent is the last one there.
pub fn calm(segment: &Segment, ledger: &Arc<Ledger>, all: &mut Population<'_>) -> Checked {
    ledger.head(Head::NoStops).store(1, Ordering::Release);
    let (pids, is_over) = (all.pids(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| release(&pids, &is_over));
        let checked = end_in_order(segment, ledger, all);
        is_over.store(true, Ordering::Release);
        checked
    })
}

fn end_in_order(segment: &Segment, ledger: &Arc<Ledger>, all: &mut Population<'_>) -> Checked {
    all.go_on()?;
    ledger.head(Head::StopVisitors).store(1, Ordering::Release);
    for kind in ["initiator", "reaper", "joiner"] {
        all.until_ended(kind)?;
    }
    take_everything(segment, ledger)?;
    // While the others are at work.
    invariants(segment, ledger)?;
    let coordinator = ShutdownCoordinator::new(segment);
    drive_the_last(segment, ledger, &coordinator, all)?;
    ledger.head(Head::Stop).store(1, Ordering::Release);
    let complete = coordinator.wait_for_shutdown_complete(&Scope::All, HANG);
    let report = must("the last shutdown", complete)?;
    // Those who were killed in the end, and not yet marked dead, may have died.
    let fits = matches!(
        report.outcome,
        ShutdownOutcome::Completed
            | ShutdownOutcome::CompletedWithFailures
            | ShutdownOutcome::Abandoned
            | ShutdownOutcome::Died
    );
    ensure(&format!("the last shutdown was {:?}", report.outcome), fits)?;
    all.until_ended("runner")
}

/// A budget that does not end, by the terms of patient rounds.
fn unlimited() -> ShutdownRequest {
    let (code, text) = plan::reason(PARENT);
    let request = ShutdownRequest::new().timeout(FOREVER).cap(2 * FOREVER);
    request.reason(code, text).shares(SHARES).unwrap()
}

/// Begins a shutdown with a budget that does not end, once no other one is under way.
fn drive_the_last(
    segment: &Segment,
    ledger: &Arc<Ledger>,
    coordinator: &ShutdownCoordinator,
    all: &mut Population<'_>,
) -> Checked {
    let end = Instant::now() + HANG;
    while Instant::now() < end {
        all.collect();
        let status = must("status", coordinator.status())?;
        // One that is shut down alone, within a budget that ends, may be late for both.
        let of_itself = |one: &RunnerReport| one.alive && one.own_phase != Phase::Running;
        let alone = status.runners.iter().any(of_itself);
        // In patient rounds all have the same terms.
        let is_free = status.phase == Phase::Running && !alone;
        if is_free || ledger.is_patient() {
            let initiated = coordinator.initiate_shutdown(&Scope::All, &unlimited());
            match must("initiate", initiated)? {
                Initiation::Drives => return Ok(()),
                Initiation::Merged if ledger.is_patient() => return Ok(()),
                _ => {}
            }
        }
        generations::begin(segment, ledger, PARENT);
        std::thread::sleep(Duration::from_millis(1));
    }
    Err("the shutdown of before does not end".into())
}

/// Waits for the next generation.
pub fn renew(segment: &Segment, ledger: &Arc<Ledger>) -> Checked {
    let coordinator = ShutdownCoordinator::new(segment);
    let end = Instant::now() + HANG;
    while must("status", coordinator.status())?.phase != Phase::Running {
        ensure("the next generation does not begin", Instant::now() < end)?;
        generations::begin(segment, ledger, PARENT);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Everything can be taken, and taken again without a dead owner.
fn take_everything(segment: &Segment, ledger: &Ledger) -> Checked {
    let actor = Actor::new(PARENT);
    for (which, name) in LOCK_NAMES.iter().enumerate() {
        let lock = must("open lock", CrossProcessLock::open(segment, name))?;
        let guard = must(name, lock.lock_timeout(HANGS))?;
        let bank = Bank::enter(ledger, which, &actor, guard.previous_owner_died());
        guard.mark_consistent();
        let (from, to, amount) = (0, 1, 1);
        bank.transfer(Transfer { from, to, amount }, || ());
        bank.leave();
    }
    for name in ["box", "generation"] {
        let lock = must("open lock", CrossProcessLock::open(segment, name))?;
        // What they protect is consistent whatever their owners did.
        must(name, lock.lock_timeout(HANGS))?.mark_consistent();
    }
    let permits = must(
        "open",
        CrossProcessSemaphore::open(segment, "permits", PERMITS),
    )?;
    drop(must("permit", permits.acquire_timeout(HANGS))?);
    let event = must("open", CrossProcessEvent::open(segment, "aftermath"))?;
    must("set", event.set())?;
    ensure(
        "a set event is set",
        must("wait", event.wait_timeout(HANGS))?,
    )?;
    must("clear", event.clear())?;
    Store::open(segment).read(&Log::new(ledger));
    Ok(())
}

/// What `check` finds. One that has just closed its descriptors has lost its lock until it
/// notices: within a second while it runs, and it is not stopped for long.
fn until_noticed(segment: &Segment, ledger: &Ledger) -> Result<ebbtide::CheckReport, String> {
    let has_lost =
        |one: &Finding| one.invariant == Invariant::Swept && one.what.contains("lost its lock");
    let end = Instant::now() + HANG;
    loop {
        let report = must("check", segment.check())?;
        let closes = ledger.get(Head::Closes) != 0;
        if !closes || !report.findings.iter().any(has_lost) || Instant::now() >= end {
            return Ok(report);
        }
        std::thread::yield_now();
    }
}

/// What must be so at any time.
fn invariants(segment: &Segment, ledger: &Ledger) -> Checked {
    cleanup::reclaimed(ledger, &must("reclaim", segment.reclaim())?);
    must("cycles", DeadlockDetector::new(segment).cycles())?;
    deaths::in_status(ledger, &ShutdownCoordinator::new(segment));
    let report = until_noticed(segment, ledger)?;
    ensure(
        &format!("every invariant holds: {report:?}"),
        report.is_sound(),
    )?;
    ensure("no violation so far", ledger.get(Head::Violations) == 0)
}
