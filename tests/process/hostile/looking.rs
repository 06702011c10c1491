//! The calls that only look.

use ebbtide::{DeadlockDetector, Observer, Scope, Segment, ShutdownCoordinator};

use super::{SHORT, trying};

/// Everything that is told through a read-only mapping.
pub fn try_observer(observer: Observer) {
    trying("observer");
    let _ = (observer.name(), observer.path(), observer.token());
    let _ = (observer.is_removed(), observer.creator_pid());
    let _ = (observer.state_keys(), observer.events(), observer.age());
    let _ = observer.report().map(|report| format!("{report:?}"));
    if let Ok(status) = observer.status() {
        let _ = format!("{status:?}");
        trying("observer's wait");
        let _ = observer.wait_for_change(status.phase, status.mode, SHORT);
    }
    trying("observer's journal");
    let journal = observer.journal();
    assert!(journal.records.len() + journal.holes.len() <= ebbtide::limits::JOURNAL_RECORDS);
    let middle = journal.records.get(journal.records.len() / 2);
    for from in [middle.map_or(1, |record| record.sequence), u64::MAX] {
        let rest = observer.journal_after(from);
        assert!(rest.records.iter().all(|record| record.sequence > from));
    }
    trying("observer's timeline");
    let _ = observer.timeline().map(|timeline| format!("{timeline:?}"));
    let own = observer.timeline_of(&Scope::runner("a"));
    let _ = own.map(|timeline| format!("{timeline:?}"));
    trying("observer's metrics");
    let _ = observer.metrics().map(|metrics| metrics.to_string());
    trying("observer's why");
    for id in [None, Some("a")] {
        let _ = observer.why(id).map(|why| why.to_string());
    }
    trying("observer's check");
    let _ = observer.check().map(|report| format!("{report:?}"));
    try_detector(&DeadlockDetector::observing(observer));
}

/// The journal and what is told from it, by one who is attached.
pub fn try_seeing(segment: &Segment) {
    let _ = (segment.name(), segment.path(), segment.token());
    trying("journal");
    if let Ok(journal) = segment.journal() {
        assert!(journal.records.len() + journal.holes.len() <= ebbtide::limits::JOURNAL_RECORDS);
        for record in &journal {
            let _ = format!("{record:?} {}", record.event);
        }
    }
    trying("timeline");
    let _ = segment.timeline().map(|timeline| format!("{timeline:?}"));
    let own = segment.timeline_of(&Scope::runner("a"));
    let _ = own.map(|timeline| format!("{timeline:?}"));
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
    let _ = detector.inconsistent().map(|found| format!("{found:?}"));
    let _ = detector.waiters().map(|found| format!("{found:?}"));
    let _ = detector.wait_for_graph().map(|found| format!("{found:?}"));
    let _ = detector.cycles().map(|found| format!("{found:?}"));
    // Garbage has thousands of them, each with its way.
    trying("violations");
    let _ = detector.violations().map(|found| found.len());
    let _ = detector.acquisition_order().map(|found| found.len());
}
