//! The calls of the smaller parts.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use ebbtide::{
    CrossProcessBarrier, CrossProcessEvent, CrossProcessLock, CrossProcessSemaphore,
    DeadlockDetector, ResourceManager, ResourceOptions, ResourceType, Runner, Segment,
    SharedStateManager, ShutdownCoordinator, StateError,
};

use super::{SHORT, trying};

/// Puts something, for a test that then writes over it.
pub fn leave_some(segment: &Segment) {
    let state = SharedStateManager::open(segment).unwrap();
    state.set("left", "a value").unwrap();
    state.set_as("number", &7_u64).unwrap();
}

pub fn try_state(segment: &Segment) {
    trying("shared state");
    let state = SharedStateManager::open(segment).unwrap();
    let state = state.lock_timeout(SHORT);
    let mut value = Vec::new();
    let _ = (state.get("left"), state.get_as::<u64>("number"));
    let _ = (state.get_into("left", &mut value), state.list());
    let left = state.prepare("left").unwrap();
    let _ = (
        left.read(&mut [0; 1024]).is_ok(),
        left.read(&mut [0; 3]).is_ok(),
    );
    let _ = (left.get_into(&mut value), left.read(&mut [0; 1024]).is_ok());
    let _ = (state.keys(), state.snapshot(&["left", "number", "nothing"]));
    let _ = (state.set("left", [1; 300]), state.set("new", "value"));
    let _ = state.compare_exchange("left", Some(&[1; 300][..]), Some(&b"x"[..]));
    let _ = state.update_as("number", |number: Option<u64>| number.unwrap_or(0) ^ 1);
    let _ = state.transaction(|tx| {
        tx.set("one", "1")?;
        tx.delete("left")?;
        Ok::<_, StateError>(())
    });
    let _ = state.delete("left");
    let watch = state.watch("number");
    let _ = watch.and_then(|mut watch| watch.wait(Some(SHORT)));
    let _ = state.clear();
}

/// Asks each future once, and drops it in the middle.
pub fn try_futures(runner: &Runner, lock: &CrossProcessLock, flag: &CrossProcessEvent) {
    trying("futures");
    fn ask<T>(future: impl Future<Output = T>) {
        let mut context = Context::from_waker(Waker::noop());
        drop(pin!(future).poll(&mut context));
    }
    ask(runner.shutdown_begun());
    ask(lock.acquire());
    let _ = lock
        .acquire()
        .pollable()
        .map(|mut held| held.try_take().map(drop));
    ask(flag.awaited());
    let _ = runner.shutdown_notifier().map(drop);
    let _ = flag.notifier().map(drop);
}

pub fn try_rendezvous(segment: &Segment) {
    trying("semaphore");
    if let Ok(permits) = CrossProcessSemaphore::open(segment, "permits", 2) {
        let _ = permits.acquire_timeout(SHORT).map(drop);
        let _ = permits.try_acquire().map(drop);
        let _ = (permits.available(), permits.holders());
    }
    trying("barrier");
    if let Ok(gate) = CrossProcessBarrier::open(segment, "gate", 2) {
        let _ = (gate.wait_timeout(SHORT), gate.waiting(), gate.broken());
        drop(gate.awaited().pollable());
        let _ = (gate.abort(), gate.reset());
    }
}

/// The journal and what is told from it.
pub fn try_seeing(segment: &Segment) {
    trying("journal");
    if let Ok(journal) = segment.journal() {
        assert!(journal.records.len() + journal.holes.len() <= ebbtide::limits::JOURNAL_RECORDS);
        for record in &journal {
            let _ = format!("{record:?} {}", record.event);
        }
    }
    trying("timeline");
    let _ = segment.timeline().map(|timeline| format!("{timeline:?}"));
    trying("metrics");
    let _ = segment.metrics().map(|metrics| metrics.to_string());
    trying("why");
    let coordinator = ShutdownCoordinator::new(segment);
    for id in [None, Some("a")] {
        let _ = coordinator.why(id).map(|why| why.to_string());
    }
}

pub fn try_detector(detector: &DeadlockDetector) {
    trying("detector");
    let _ = detector.owners().map(|found| format!("{found:?}"));
    let _ = detector.waiters().map(|found| format!("{found:?}"));
    let _ = detector.wait_for_graph().map(|found| format!("{found:?}"));
    let _ = detector.cycles().map(|found| format!("{found:?}"));
    // Garbage has thousands of them, each with its way.
    trying("violations");
    let _ = detector.violations().map(|found| found.len());
    let _ = detector.acquisition_order().map(|found| found.len());
}

pub fn try_resources(runner: &Runner) {
    trying("resources");
    let manager = ResourceManager::new(runner);
    for name in ["queue", "lock"] {
        let options = ResourceOptions::new().depends_on_named("a/queue");
        let _ = manager.register_resource(name, ResourceType::Queue, ResourceOptions::new());
        let _ = manager.register_resource("needs", ResourceType::File, options);
    }
    let _ = format!("{:?} {:?}", manager.resources(), manager.leaks());
    trying("cleanup");
    let _ = manager.cleanup_resources(SHORT);
}
