//! Every public call on a segment full of garbage.

use std::time::Duration;

use ebbtide::{
    CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, DeadlockDetector, Runner, Scope,
    Segment, SegmentOptions, ShutdownCoordinator, ShutdownRequest,
};

use super::coordinating::{self, tell_manager, try_coordinator, try_runner};
pub use super::looking::try_observer;
use super::{SHORT, futures, looking, rest, trying};

/// A group with something in every table.
pub struct Lived {
    pub segment: Segment,
    pub runner: Runner,
    lock: CrossProcessLock,
    changed: CrossProcessCondvar,
    flag: CrossProcessEvent,
}

impl Lived {
    /// `state`: in a shutdown of either kind, or in none.
    pub fn new(segment: Segment, state: usize) -> Self {
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
        let flag = CrossProcessEvent::open(&segment, "flag").unwrap();
        runner.set_activity("living");
        rest::leave_resources(&runner);
        runner.set_last_words("none yet").unwrap();
        drop(lock.lock().unwrap());
        rest::leave_some(&segment);
        let request = ShutdownRequest::new().timeout(Duration::from_secs(60));
        match state % 3 {
            0 => drop(
                coordinator
                    .initiate_shutdown(&Scope::All, &request)
                    .unwrap(),
            ),
            1 => drop(
                coordinator
                    .initiate_shutdown(&Scope::runner("a"), &request)
                    .unwrap(),
            ),
            _ => {}
        }
        Self {
            segment,
            runner,
            lock,
            changed,
            flag,
        }
    }

    /// Every call that has a bound of its own. `is_disturbed`: somebody writes meanwhile,
    /// so a lock that was free a moment ago may name any living thread as its owner.
    pub fn try_all(&self, is_disturbed: bool) {
        let Self {
            segment,
            runner,
            lock,
            changed,
            flag,
        } = self;
        // In a later round it has left.
        let again = Runner::join(segment, "a");
        let runner = again.as_ref().unwrap_or(runner);
        let manager = tell_manager(runner);
        try_coordinator(&ShutdownCoordinator::new(segment));
        try_runner(runner);
        trying("lock");
        let _ = lock.holder();
        let _ = lock.try_lock().map(drop);
        let _ = lock
            .lock_timeout(SHORT)
            .map(|guard| guard.mark_consistent());
        let strict = lock.clone().deny_disorder();
        let _ = (strict.name(), strict.lock_timeout(SHORT).map(drop));
        trying("condvar");
        if let Ok(guard) = lock.try_lock() {
            let _ = changed.notify_all();
            // It may need the lock again, which somebody may hold by now; so not here.
            drop(guard);
        }
        let _ = changed.notify_one();
        if !is_disturbed {
            // It takes the lock again, however long somebody holds it.
            self.wait_for_change();
        }
        rest::try_event(segment, flag);
        rest::try_state(segment);
        looking::try_seeing(segment);
        rest::try_rendezvous(segment);
        trying("open names");
        let _ = CrossProcessCondvar::open(segment, "changed-2");
        let _ = CrossProcessEvent::open(segment, "flag-2");
        let _ = CrossProcessLock::open(segment, "device-2")
            .map(|lock| lock.lock_timeout(SHORT).map(drop));
        looking::try_detector(&DeadlockDetector::new(segment));
        rest::try_resources(runner);
        rest::leave_file(segment, runner);
        futures::try_futures(segment, runner, lock, changed, flag);
        trying("check");
        let _ = segment.check().map(|report| format!("{report:?}"));
        trying("reap");
        let _ = segment.reap();
        trying("reclaim");
        let _ = segment.reclaim().map(|reaped| format!("{reaped:?}"));
        trying("repair");
        let _ = segment.repair().map(|report| format!("{report:?}"));
        coordinating::try_endings(segment, runner);
        trying("drop a notifier");
        drop(manager);
    }

    /// Waits for the condition. That ends once the lock is free or its owner dead: with
    /// bytes that name a living thread, when somebody writes others.
    pub fn wait_for_change(&self) {
        trying("condvar wait");
        if let Ok(guard) = self.lock.try_lock() {
            let _ = guard.previous_owner_died();
            let _ = guard.previous_owner_panicked();
            drop(self.changed.wait_timeout(guard, SHORT));
        }
    }
}

/// Opens what may have been overwritten, and tries everything. False: it was refused.
pub fn try_fresh(options: &SegmentOptions, name: &str) -> bool {
    trying("observe");
    let observer = options.observe(name).unwrap();
    let token = observer.token();
    try_observer(observer);
    trying("open");
    let _ = options.list();
    let _ = options.size(name);
    let _ = options.open_token(&token).map(drop);
    let _ = options.open_or_create(name).map(drop);
    let Ok(segment) = options.open(name) else {
        return false;
    };
    try_coordinator(&ShutdownCoordinator::new(&segment));
    trying("open names");
    let lock = CrossProcessLock::open(&segment, "device");
    let changed = CrossProcessCondvar::open(&segment, "changed");
    let flag = CrossProcessEvent::open(&segment, "flag");
    trying("join");
    let _ = Runner::join_or_begin(&segment, "c", SHORT).map(drop);
    let runner = Runner::join(&segment, "b");
    if let (Ok(lock), Ok(changed), Ok(flag), Ok(runner)) = (lock, changed, flag, runner) {
        let lived = Lived {
            segment,
            runner,
            lock,
            changed,
            flag,
        };
        lived.try_all(false);
    } else {
        rest::try_state(&segment);
        looking::try_seeing(&segment);
        rest::try_rendezvous(&segment);
        trying("check");
        let _ = segment.check().map(|report| format!("{report:?}"));
        trying("repair");
        let _ = segment.repair();
    }
    true
}
