//! Nobody is there but the test: nothing may be taken, no slot, no thread, no file.

use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, DeadlockDetector, Segment, ShutdownCoordinator,
};

use super::{Checked, ensure, must};
use crate::ledger::{Head, Ledger};
use crate::member::acts::{HANGS, PERMITS, ticket};
use crate::oracle::{cleanup, journal, meeting, numbers, tickets};

pub fn nothing(segment: &Segment, ledger: &Ledger) -> Checked {
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
    meet(segment, ledger)?;
    notice(segment)?;
    take_ticket(segment)?;
    books(segment, ledger)
}

/// All parties meet at the barrier, although some died there.
fn meet(segment: &Segment, ledger: &Ledger) -> Checked {
    let parties = ledger.parties() as usize;
    let barrier = CrossProcessBarrier::open(segment, "meeting", parties);
    let barrier = must("open", barrier)?;
    must("reset", barrier.reset())?;
    std::thread::scope(|scope| {
        let wait = || barrier.wait_timeout(HANGS).map(|passed| passed.is_leader());
        let all: Vec<_> = (0..parties).map(|_| scope.spawn(wait)).collect();
        let mut leaders = 0;
        for one in all {
            leaders += usize::from(must("meeting", one.join().unwrap())?);
        }
        ensure("one of them leads", leaders == 1)
    })
}

/// A thread waits at the condition variable and is notified.
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

/// A set is taken once, and not twice.
fn take_ticket(segment: &Segment) -> Checked {
    let ticket = ticket(segment);
    must("set", ticket.set())?;
    let take = |timeout| must("wait", ticket.wait_timeout(timeout));
    ensure("the set is taken", take(HANGS)?)?;
    ensure("it is taken once", !take(std::time::Duration::ZERO)?)
}

/// The oracles that count at the end.
fn books(segment: &Segment, ledger: &Ledger) -> Checked {
    cleanup::reclaimed(ledger, &must("reclaim", segment.reclaim())?);
    cleanup::at_end(ledger);
    let news = must("open", CrossProcessEvent::open(segment, "news"))?;
    numbers::at_end(ledger, news.sequence());
    tickets::at_end(ledger);
    meeting::at_end(ledger);
    journal::check(ledger, &must("journal", segment.journal())?)?;
    ensure("no violation at the end", ledger.get(Head::Violations) == 0)
}
