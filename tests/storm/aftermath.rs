//! The full check after a round: everything can be taken, the store is whole, a shutdown
//! completes, and nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, DeadlockDetector, Initiation, Phase, Runner, Scope, Segment,
    ShutdownCoordinator, ShutdownOutcome, ShutdownRequest,
};

use crate::support::HANG;

use super::deeds::{HANGS, LOCK_NAMES, PARTIES, PERMITS};
use super::ledger::{Head, Ledger};
use super::line::{File, Line, State};
use super::population::Population;
use super::store::{Store, TOTAL};
use super::worker::begin_generation;

/// A budget that nobody lives to see the end of.
const FOREVER: Duration = Duration::from_secs(3600);

type Checked = Result<(), String>;

fn must<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

fn ensure(what: &str, is_so: bool) -> Checked {
    is_so.then_some(()).ok_or_else(|| what.to_owned())
}

/// Ends the storm: all go on, all end in order, and the parent is the last one there.
pub fn calm(segment: &Segment, ledger: &Arc<Ledger>, all: &mut Population<'_>) -> Checked {
    all.go_on(true);
    ledger.head(Head::StopVisitors).store(1, Ordering::Release);
    all.until_ended("initiator")?;
    all.until_ended("reaper")?;
    take_everything(segment)?;
    // While the others are at it.
    invariants(segment, ledger)?;
    let coordinator = ShutdownCoordinator::new(segment);
    drive_the_last(segment, ledger, &coordinator, all)?;
    ledger.head(Head::Stop).store(1, Ordering::Release);
    let complete = coordinator.wait_for_shutdown_complete(&Scope::All, HANG);
    let report = must("the last shutdown", complete)?;
    // Those who were killed in the end, and not yet counted out, may have died.
    let fits = matches!(
        report.outcome,
        ShutdownOutcome::Completed | ShutdownOutcome::Died
    );
    ensure(&format!("the last shutdown was {:?}", report.outcome), fits)?;
    all.until_ended("runner")
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
        all.bury();
        let status = must("status", coordinator.status())?;
        if status.phase == Phase::Running {
            let request = ShutdownRequest::new().timeout(FOREVER);
            let initiated = coordinator.initiate_shutdown(&Scope::All, &request);
            if must("initiate", initiated)? == Initiation::Drives {
                return Ok(());
            }
        }
        begin_generation(segment, ledger);
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
        begin_generation(segment, ledger);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// After all others have ended: a whole life, alone.
pub fn alone(segment: &Segment, ledger: &Arc<Ledger>) -> Checked {
    renew(segment, ledger)?;
    let coordinator = ShutdownCoordinator::new(segment);
    let runner = must("join", Runner::join(segment, "survivor"))?;
    drop(must("begin", runner.begin())?);
    let request = ShutdownRequest::new().timeout(FOREVER);
    must(
        "initiate",
        coordinator.initiate_shutdown(&Scope::All, &request),
    )?;
    let report = must("run_shutdown", runner.run_shutdown())?;
    ensure(
        "the survivor completes",
        report.outcome == ShutdownOutcome::Completed,
    )?;
    drop(runner);
    take_everything(segment)?;
    invariants(segment, ledger)?;
    left_behind(segment, ledger)
}

/// Everything can be taken, and taken again without a dead owner.
fn take_everything(segment: &Segment) -> Checked {
    for name in LOCK_NAMES.iter().chain(&["box", "generation"]) {
        let lock = must("open lock", CrossProcessLock::open(segment, name))?;
        let guard = must(name, lock.lock_timeout(HANGS))?;
        // `box` and `generation` are whole whatever their owners did; of the others the
        // next owner puts things right, so it must be told.
        if !LOCK_NAMES.contains(name) {
            guard.mark_consistent();
        }
    }
    let permits = must(
        "open",
        CrossProcessSemaphore::open(segment, "permits", PERMITS),
    )?;
    drop(must("permit", permits.acquire_timeout(HANGS))?);
    let ticket = must("open", CrossProcessEvent::open(segment, "aftermath"))?;
    must("set", ticket.set())?;
    ensure(
        "a set event is set",
        must("wait", ticket.wait_timeout(HANGS))?,
    )?;
    must("clear", ticket.clear())?;
    let store = Store::open(segment);
    ensure(
        "the store is whole",
        must("snapshot", store.sum())? == TOTAL,
    )
}

/// What must be so at any time.
fn invariants(segment: &Segment, ledger: &Ledger) -> Checked {
    must("reclaim", segment.reclaim())?;
    must("cycles", DeadlockDetector::new(segment).cycles())?;
    let report = must("check", segment.check())?;
    ensure(
        &format!("every invariant holds: {report:?}"),
        report.is_sound(),
    )?;
    ensure("no violation so far", ledger.get(Head::Violations) == 0)
}

/// Nobody is there but us: nothing may be taken, no slot, no thread, no file.
fn left_behind(segment: &Segment, ledger: &Ledger) -> Checked {
    must("reap", segment.reap())?;
    ensure(
        "reaping twice finds nobody",
        must("reap", segment.reap())? == 0,
    )?;
    let coordinator = ShutdownCoordinator::new(segment);
    let status = must("status", coordinator.status())?;
    ensure(
        &format!("{} are attached", status.attached),
        status.attached == 1,
    )?;
    let living = status.runners.iter().filter(|runner| runner.alive).count();
    ensure(&format!("{living} runners live"), living == 0)?;
    let detector = DeadlockDetector::new(segment);
    let owners = must("owners", detector.owners())?;
    ensure(&format!("locks are held: {owners:?}"), owners.is_empty())?;
    let waiters = must("waiters", detector.waiters())?;
    ensure(
        &format!("they are waited for: {waiters:?}"),
        waiters.is_empty(),
    )?;
    let permits = must(
        "open",
        CrossProcessSemaphore::open(segment, "permits", PERMITS),
    )?;
    let taken: Vec<_> = (0..PERMITS)
        .map_while(|_| permits.try_acquire().ok())
        .collect();
    ensure(
        &format!("{} permits are free", taken.len()),
        taken.len() == PERMITS,
    )?;
    drop(taken);
    meet(segment)?;
    notice(segment)?;
    files(segment, ledger)
}

/// Two meet at the barrier, whoever died there.
fn meet(segment: &Segment) -> Checked {
    let barrier = must(
        "open",
        CrossProcessBarrier::open(segment, "meeting", PARTIES),
    )?;
    must("reset", barrier.reset())?;
    let passed = std::thread::scope(|scope| {
        let other = scope.spawn(|| barrier.wait_timeout(HANGS).map(drop));
        [barrier.wait_timeout(HANGS).map(drop), other.join().unwrap()]
    });
    for one in passed {
        must("meeting", one)?;
    }
    Ok(())
}

/// Somebody waits at the condition variable and is told.
fn notice(segment: &Segment) -> Checked {
    let lock = must("open", CrossProcessLock::open(segment, "box"))?;
    let changed = must("open", CrossProcessCondvar::open(segment, "changed"))?;
    let full = must("open", CrossProcessEvent::open(segment, "aftermath"))?;
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let guard = lock.lock_timeout(HANGS)?;
            changed.wait_while(guard, || !full.is_set()).map(drop)
        });
        let guard = must("box", lock.lock_timeout(HANGS))?;
        must("set", full.set())?;
        must("notify", changed.notify_all())?;
        drop(guard);
        must("condvar", waiter.join().unwrap())
    })
}

/// Files of the dead that were registered are gone, exactly those.
fn files(segment: &Segment, ledger: &Ledger) -> Checked {
    must("reclaim", segment.reclaim())?;
    for index in 0..ledger.lines() {
        let line = Line::at(ledger, index);
        let path = ledger.directory().join("files").join(line.id());
        let is_theirs = line.file_is(File::Registered) && !line.is(State::Closed);
        ensure(
            &format!("{} is left of the dead", path.display()),
            !(is_theirs && path.exists()),
        )?;
        // Of those who were killed before they could register it.
        let _ = std::fs::remove_file(path);
    }
    let left = must(
        "read_dir",
        std::fs::read_dir(ledger.directory().join("files")),
    )?
    .count();
    ensure(&format!("{left} files of nobody"), left == 0)
}
