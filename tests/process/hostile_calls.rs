//! Calls that `hostile_bytes` makes on a segment full of garbage: each is answered.

use ebbtide::{
    CrossProcessBarrier, CrossProcessSemaphore, DeadlockDetector, ResourceManager, ResourceOptions,
    ResourceType, Runner, Segment, ShutdownCoordinator,
};

use crate::hostile_bytes::{SHORT, trying};

/// The journal and what is told from it.
fn try_seeing(segment: &Segment) {
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

pub(crate) fn try_rendezvous(segment: &Segment) {
    try_seeing(segment);
    trying("semaphore");
    if let Ok(permits) = CrossProcessSemaphore::open(segment, "permits", 2) {
        let _ = permits.acquire_timeout(SHORT).map(drop);
        let _ = (permits.available(), permits.holders());
    }
    trying("barrier");
    if let Ok(gate) = CrossProcessBarrier::open(segment, "gate", 2) {
        let _ = (gate.wait_timeout(SHORT), gate.reset(), gate.broken());
    }
}

pub(crate) fn try_detector(detector: &DeadlockDetector) {
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

pub(crate) fn try_resources(runner: &Runner) {
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
