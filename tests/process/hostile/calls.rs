//! Every public call on a segment full of garbage.

use std::time::Duration;

use ebbtide::{
    CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, DeadlockDetector, Mode, Observer,
    Phase, Runner, Scope, Segment, SegmentOptions, ShutdownCoordinator, ShutdownRequest,
};

use super::{SHORT, rest, trying};

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
        rest::try_resources(&runner);
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
        try_coordinator(&ShutdownCoordinator::new(segment));
        trying("runner");
        let _ = (
            runner.is_shutting_down(),
            runner.phase(),
            runner.mode(),
            runner.in_flight(),
        );
        let _ = runner.begin().map(drop);
        runner.progress();
        runner.set_activity("trying");
        let _ = runner.set_last_words("still none");
        let _ = runner.extend(SHORT);
        trying("wait_for_shutdown");
        let _ = runner.wait_for_shutdown(Some(SHORT));
        trying("acknowledge");
        for phase in Phase::ACKNOWLEDGED {
            let _ = runner.acknowledge(phase);
        }
        trying("lock");
        let _ = lock.holder();
        let _ = lock.try_lock().map(drop);
        let _ = lock
            .lock_timeout(SHORT)
            .map(|guard| guard.mark_consistent());
        trying("condvar");
        if let Ok(guard) = lock.try_lock() {
            let _ = changed.notify_all();
            // It may need the lock again, which somebody may hold by now; so not here.
            drop(guard);
        }
        let _ = changed.notify_one();
        trying("condvar wait");
        if let Ok(guard) = lock.try_lock() {
            let _ = guard.previous_owner_died();
            if !is_disturbed {
                // It takes the lock again, however long somebody holds it.
                drop(changed.wait_timeout(guard, SHORT));
            }
        }
        trying("event");
        let _ = flag.wait(Some(SHORT));
        let _ = (flag.set(), flag.is_set(), flag.clear());
        trying("shared state");
        rest::try_state(segment);
        let _ = flag.latest();
        if let Ok(mut sets) = flag.subscribe() {
            let _ = (sets.next(Some(SHORT)), sets.try_next());
        }
        rest::try_seeing(segment);
        rest::try_rendezvous(segment);
        trying("open names");
        let _ = CrossProcessCondvar::open(segment, "changed-2");
        let _ = CrossProcessEvent::open(segment, "flag-2");
        let _ = CrossProcessLock::open(segment, "device-2")
            .map(|lock| lock.lock_timeout(SHORT).map(drop));
        rest::try_detector(&DeadlockDetector::new(segment));
        rest::try_resources(runner);
        rest::try_futures(runner, lock, flag);
        trying("check");
        let _ = segment.check().map(|report| format!("{report:?}"));
        trying("reap");
        let _ = segment.reap();
        trying("repair");
        let _ = segment.repair().map(|report| format!("{report:?}"));
        trying("leave");
        runner.leave();
    }
}

pub fn try_coordinator(coordinator: &ShutdownCoordinator) {
    trying("status");
    let _ = coordinator.status().map(|status| format!("{status:?}"));
    let request = ShutdownRequest::new().timeout(SHORT).mode(Mode::Fast);
    for scope in [Scope::All, Scope::runner("a")] {
        trying("report");
        let _ = coordinator
            .report(&scope)
            .map(|report| format!("{report:?}"));
        let _ = coordinator
            .laggards(&scope)
            .map(|laggards| format!("{laggards:?}"));
        trying("initiate");
        let _ = coordinator.initiate_shutdown(&scope, &request);
        trying("wait");
        let _ = coordinator
            .wait_for_shutdown_complete(&scope, SHORT)
            .map_err(|error| error.to_string());
        trying("escalate");
        let _ = coordinator.escalate(&scope, Mode::Immediate);
        trying("cancel");
        let _ = coordinator.cancel_shutdown(&scope);
    }
    trying("runner by id");
    if let Ok(handle) = coordinator.runner("a") {
        let _ = coordinator.check_shutdown_signal(handle);
    }
    let _ = coordinator.process("a").map(drop);
    trying("generation");
    let _ = coordinator.begin_generation();
    let _ = coordinator.wait_gone(1, SHORT);
}

/// Opens what may have been overwritten, and tries everything. False: it was refused.
pub fn try_fresh(options: &SegmentOptions, name: &str) -> bool {
    trying("observe");
    let observer = options.observe(name).unwrap();
    try_observer(observer);
    trying("open");
    let Ok(segment) = options.open(name) else {
        return false;
    };
    try_coordinator(&ShutdownCoordinator::new(&segment));
    trying("open names");
    let lock = CrossProcessLock::open(&segment, "device");
    let changed = CrossProcessCondvar::open(&segment, "changed");
    let flag = CrossProcessEvent::open(&segment, "flag");
    trying("join");
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
        rest::try_seeing(&segment);
        rest::try_rendezvous(&segment);
        trying("check");
        let _ = segment.check().map(|report| format!("{report:?}"));
        trying("repair");
        let _ = segment.repair();
    }
    true
}

pub fn try_observer(observer: Observer) {
    trying("observer");
    let _ = observer.status().map(|status| format!("{status:?}"));
    let _ = observer.report().map(|report| format!("{report:?}"));
    let _ = (observer.state_keys(), observer.events(), observer.age());
    trying("observer's check");
    let _ = observer.check().map(|report| format!("{report:?}"));
    rest::try_detector(&DeadlockDetector::observing(observer));
}
