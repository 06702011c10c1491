//! For each invariant: the bytes that break it, and exactly that finding.

mod edges;
mod group;
mod rest;
mod store;
mod times;

use core::sync::atomic::Ordering::Relaxed;
use std::collections::BTreeSet;

use tempfile::TempDir;

use super::{Gravity, Invariant};
use crate::api::core::Tables;
use crate::sync::{Owner, Word};
use crate::{
    CheckReport, CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, ResourceManager, ResourceOptions, ResourceType, Runner, Segment,
    SegmentOptions, SharedStateManager,
};

/// A segment with something in every table, and who holds it.
struct Lived {
    segment: Segment,
    runner: Runner,
    manager: ResourceManager,
    _rest: (
        CrossProcessCondvar,
        CrossProcessSemaphore,
        CrossProcessBarrier,
    ),
    _scratch: TempDir,
}

impl Lived {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let segment = options.create("lived").unwrap();
        let runner = Runner::join(&segment, "a").unwrap();
        let manager = ResourceManager::new(&runner);
        let queue = manager
            .register_resource("queue", ResourceType::Queue, ResourceOptions::new())
            .unwrap();
        let on_queue = ResourceOptions::new().depends_on(&queue);
        manager
            .register_resource("file", ResourceType::File, on_queue)
            .unwrap();
        for name in ["first", "second"] {
            drop(
                CrossProcessLock::open(&segment, name)
                    .unwrap()
                    .lock()
                    .unwrap(),
            );
        }
        let event = CrossProcessEvent::open(&segment, "flag").unwrap();
        event.set().unwrap();
        event.set().unwrap();
        let state = SharedStateManager::open(&segment).unwrap();
        state.set("key", "value").unwrap();
        state.set("key", "other value").unwrap();
        let rest = (
            CrossProcessCondvar::open(&segment, "changed").unwrap(),
            CrossProcessSemaphore::open(&segment, "permits", 2).unwrap(),
            CrossProcessBarrier::open(&segment, "gate", 3).unwrap(),
        );
        Self {
            segment,
            runner,
            manager,
            _rest: rest,
            _scratch: scratch,
        }
    }

    fn tables(&self) -> &Tables {
        self.segment.session().core().tables()
    }

    /// Writes, and detaches in order; how to open it again.
    fn deserted(self, write: impl FnOnce(&Self, &Tables)) -> (SegmentOptions, TempDir) {
        write(&self, self.tables());
        let directory = self.segment.path().parent().unwrap().to_path_buf();
        let Self { _scratch, .. } = self;
        (SegmentOptions::new().directory(directory), _scratch)
    }

    fn findings(&self) -> BTreeSet<(Invariant, Gravity)> {
        kinds(&self.segment.check().unwrap())
    }
}

fn kinds(report: &CheckReport) -> BTreeSet<(Invariant, Gravity)> {
    let found = report.findings.iter();
    found.map(|one| (one.invariant, one.gravity)).collect()
}

/// What is written breaks these, and nothing else.
#[track_caller]
fn breaks(expected: &[(Invariant, Gravity)], write: impl FnOnce(&Lived, &Tables)) {
    let lived = Lived::new();
    assert_eq!(lived.findings(), BTreeSet::new(), "sound before");
    write(&lived, lived.tables());
    let report = lived.segment.check().unwrap();
    assert_eq!(
        kinds(&report),
        expected.iter().copied().collect(),
        "{report:#?}"
    );
    let observer = SegmentOptions::new()
        .directory(lived.segment.path().parent().unwrap())
        .observe("lived")
        .unwrap();
    assert_eq!(observer.check().unwrap().findings, report.findings);
}

/// One invariant is broken for good.
#[track_caller]
fn broken(invariant: Invariant, write: impl FnOnce(&Lived, &Tables)) {
    breaks(&[(invariant, Gravity::Broken)], write);
}

/// What is told of what is written.
fn told(write: impl FnOnce(&Lived, &Tables)) -> Vec<String> {
    let lived = Lived::new();
    write(&lived, lived.tables());
    let found = lived.segment.check().unwrap().findings;
    found.into_iter().map(|one| one.what).collect()
}

/// A thread that has ended, in order.
fn gone(lived: &Lived) -> Owner {
    let core = lived.segment.session().core();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| crate::api::threads::owner(core).unwrap());
        one.join().unwrap()
    })
}

fn set<W: Word>(word: &W, change: impl FnOnce(W::Value) -> W::Value) {
    let before = word.load(Relaxed);
    word.store(change(before), Relaxed);
}

#[test]
fn numbers_and_names_are_unique_and_in_order() {
    let numbers: Vec<u8> = Invariant::ALL.iter().map(|one| one.number()).collect();
    assert_eq!(
        numbers,
        (1..=Invariant::ALL.len() as u8).collect::<Vec<_>>()
    );
    let names: BTreeSet<_> = Invariant::ALL.iter().map(|one| one.name()).collect();
    assert_eq!(names.len(), Invariant::ALL.len());
    let design = include_str!("../../../../docs/design.md");
    for one in Invariant::ALL {
        let row = format!("| {} | `{}` |", one.number(), one.name());
        assert!(design.contains(&row), "docs/design.md has no row {row:?}");
        assert_eq!(one.to_string(), one.name());
    }
}
