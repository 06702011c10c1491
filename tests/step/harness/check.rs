//! What a survivor must still be able to do after any death, and find as it should be.

use std::thread;
use std::time::Instant;

use ebbtide::{
    DeadlockDetector, Gravity, ResourceState, Runner, Scope, Segment, ShutdownOutcome, StateError,
};

use crate::harness::operation::Operation;
use crate::harness::peer::{BOUND, Peer};
use crate::harness::stage::{KEYS, NEW, OLD};

/// The invariants of `docs/design.md`, and what must be so when nobody but the survivor is
/// attached.
pub fn invariants(segment: &Segment) {
    let report = segment.check().expect("a whole segment");
    assert!(report.is_sound(), "{report:?}");
    let detector = DeadlockDetector::new(segment);
    let held = detector.owners().expect("a whole table");
    assert!(held.is_empty(), "held by nobody that lives: {held:?}");
    let wanted = detector.waiters().expect("a whole table");
    assert!(wanted.is_empty(), "waited for by nobody: {wanted:?}");
    assert_eq!(segment.reap().expect("not forked"), 0, "a slot is left");

    let status = ebbtide::ShutdownCoordinator::new(segment)
        .status()
        .expect("a whole segment");
    assert_eq!(status.attached, 1);
    let alive: Vec<_> = status
        .runners
        .iter()
        .filter(|runner| runner.alive)
        .collect();
    assert!(alive.is_empty(), "alive without a process: {alive:?}");
    assert!(status.laggards.is_empty(), "{:?}", status.laggards);
    for semaphore in &status.semaphores {
        assert!(semaphore.holders.is_empty(), "{semaphore:?}");
    }
    for barrier in &status.barriers {
        assert!(
            barrier.waiting == 0 && barrier.broken.is_none(),
            "{barrier:?}"
        );
    }
    for resource in &status.resources {
        let is_ended = !matches!(
            resource.state,
            ResourceState::Active | ResourceState::Draining | ResourceState::Closing
        );
        assert!(is_ended, "open without an owner: {resource:?}");
    }
}

impl Peer {
    /// Before the victim is started: what its traces will be compared with.
    pub fn prepare(&mut self) {
        self.write_store();
        self.board.clear();
    }

    /// What must be possible at once, while the dead one's memory is still torn down.
    pub fn goes_on(&mut self) {
        self.let_go();
        self.take_lock();
        self.read_store();
        self.complete();
    }

    /// What must be there when it is gone.
    pub fn finds_nothing(&mut self, operation: &Operation) {
        self.finds_no_harm();
        (operation.after)(self);
        self.helper_ends();
        self.reap();
        self.renew();
        invariants(&self.segment);
        let clashes = self.board.take_clashes();
        assert_eq!(clashes, 0, "two held one lock, or a death was not told");
    }

    /// What the dead one left is nothing that no step leads to. That takes 22 ms where it left
    /// anything, so of the kills of the full form only some are looked at so.
    fn finds_no_harm(&mut self) {
        let is_full = std::env::var("EBBTIDE_STEP").is_ok_and(|form| form == "full");
        self.kills += 1;
        if is_full && self.kills % 16 != 1 {
            return;
        }
        let report = self.segment.check().expect("a whole segment");
        assert!(report.worst() != Some(Gravity::Broken), "{report:?}");
    }

    fn take_lock(&mut self) {
        let lock = self.lock.clone();
        let guard = self.timed(|_| lock.lock_timeout(BOUND).expect("the lock comes"));
        let died = guard.previous_owner_died();
        self.board.enter(died);
        if died {
            self.told += 1;
            guard.mark_consistent();
        }
        self.board.leave();
        drop(guard);
        // Once marked, nobody is told again.
        let guard = lock.lock_timeout(BOUND).expect("the lock comes");
        assert!(!guard.previous_owner_died(), "told twice");
    }

    fn read_store(&mut self) {
        let values = self.timed(|peer| peer.store.snapshot(&KEYS).expect("readable"));
        let is = |whole: &[u8]| values.iter().all(|value| value.as_deref() == Some(whole));
        assert!(is(OLD) || is(NEW), "torn: {values:?}");
        let single = self.store.get("single").expect("readable").expect("there");
        assert!(single == OLD || single == NEW, "torn: {single:?}");
        self.write_store();
    }

    fn write_store(&mut self) {
        let written = self.timed(|peer| {
            peer.store.transaction(|transaction| {
                for key in KEYS {
                    transaction.set(key, OLD)?;
                }
                transaction.set("single", OLD)?;
                Ok::<_, StateError>(())
            })
        });
        written.expect("the writers' lock comes");
    }

    /// Whatever the dead one had begun of a shutdown, it comes to its end.
    fn complete(&mut self) {
        self.initiate();
        let runner = self.runner.take();
        let report = self.timed(|peer| match &runner {
            Some(runner) => runner.run_shutdown(),
            None => peer
                .coordinator
                .wait_for_shutdown_complete(&Scope::All, BOUND),
        });
        let report = report.expect("the shutdown completes");
        assert!(
            matches!(
                report.outcome,
                ShutdownOutcome::Completed
                    | ShutdownOutcome::CompletedWithFailures
                    | ShutdownOutcome::Abandoned
                    | ShutdownOutcome::Died
            ),
            "{report:?}"
        );
    }

    /// Until nothing of the dead is left.
    fn reap(&mut self) {
        self.timed(|peer| {
            let begin = Instant::now();
            loop {
                let _ = peer.segment.reap().expect("not forked");
                let status = peer.coordinator.status().expect("a whole segment");
                let resources = &status.resources;
                let is_due = resources.iter().any(|one| {
                    one.state == ResourceState::Orphaned
                        && one.system.is_some()
                        && one.reclaimed.is_none()
                });
                if status.attached == 1 && !is_due {
                    return;
                }
                assert!(begin.elapsed() < BOUND, "never reaped: {status:?}");
                thread::yield_now();
            }
        });
    }

    /// The next generation begins; one joins it, works, and leaves.
    fn renew(&mut self) {
        self.timed(|peer| {
            let ended = peer
                .coordinator
                .status()
                .expect("a whole segment")
                .generation;
            let gone = peer.coordinator.wait_gone(ended, BOUND);
            gone.expect("the dead are gone");
            let begun = peer.coordinator.begin_generation();
            assert_eq!(begun.expect("nobody lives in the old one"), ended + 1);
            let runner = Runner::join(&peer.segment, "survivor").expect("the group runs");
            drop(runner.begin().expect("it runs"));
            runner.leave();
        });
    }
}
