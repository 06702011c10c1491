//! The group, its processes and threads.

use core::sync::atomic::Ordering::Relaxed;

use super::super::{Gravity, Invariant};
use super::{Lived, breaks, broken, set};
use crate::api::core::Tables;
use crate::phase::Phase;
use crate::sync::Real;
use crate::table::stamp::Stamp;
use crate::width::{RESOURCE, mask};
use crate::{Scope, ShutdownCoordinator, ShutdownRequest};

fn stamp(stamp: &Stamp<Real>, tag: u64, micros: u64) {
    stamp.write_raw(tag << 48 | micros);
}

fn member(tables: &Tables, change: impl FnOnce(u64) -> u64) {
    set(&tables.group.members[0], change);
}

/// Begins a shutdown that waits for the runner.
pub(super) fn begin(lived: &Lived) {
    let coordinator = ShutdownCoordinator::new(&lived.segment);
    let request = ShutdownRequest::new().timeout(std::time::Duration::from_secs(3600));
    coordinator
        .initiate_shutdown(&Scope::All, &request)
        .unwrap();
}

#[test]
fn header() {
    use std::os::unix::fs::FileExt;
    let lived = Lived::new();
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true);
    let file = file.open(lived.segment.path()).unwrap();
    let is_told = || {
        let report = lived.segment.check().unwrap();
        let [one] = &report.findings[..] else {
            panic!("{report:#?}")
        };
        assert_eq!(
            (one.invariant, one.gravity),
            (Invariant::Header, Gravity::Broken)
        );
        // There is nothing that a repair could do.
        assert_eq!(lived.segment.repair().unwrap(), report);
    };
    // Magic number, layout version, mark of removal, fingerprint, boot, its own name.
    for at in [0, 8, 12, 32, 48, 64] {
        let mut before = [0; 4];
        file.read_exact_at(&mut before, at).unwrap();
        file.write_all_at(&[7; 4], at).unwrap();
        is_told();
        file.write_all_at(&before, at).unwrap();
        assert!(lived.findings().is_empty());
    }
    // Cut: not a byte of it is touched, or this would end by a signal.
    let length = file.metadata().unwrap().len();
    file.set_len(0).unwrap();
    is_told();
    file.set_len(length).unwrap();
    // Detaching in an empty segment is another matter.
    std::mem::forget(lived);
}

#[test]
fn control() {
    for bits in [6, 7, 3 << 3 | 1, 6 << 5 | 1, 1 << 3, 1 << 40] {
        // A phase that nobody may go on from keeps its acknowledgements out of this.
        broken(Invariant::Control, |_, tables| {
            set(&*tables.group.runners[0].own.control, |word| {
                word & !0xff | bits
            });
        });
    }
    broken(Invariant::Control, |_, tables| {
        // Only a group is renewed.
        set(&*tables.group.runners[0].own.control, |word| word | 5);
    });
}

#[test]
fn phase_times() {
    broken(Invariant::PhaseTimes, |_, tables| {
        stamp(&tables.group.scope.entered[1], 0, 5);
    });
    broken(Invariant::PhaseTimes, |lived, tables| {
        begin(lived);
        stamp(&tables.group.scope.entered[0], 0, 1 << 47);
    });
    broken(Invariant::PhaseTimes, |lived, tables| {
        begin(lived);
        for phase in Phase::ACKNOWLEDGED {
            lived.runner.acknowledge(phase).unwrap();
        }
        let now = tables.group.scope.entered(Phase::Complete, 0).unwrap();
        stamp(&tables.group.scope.entered[2], 0, now + 10);
    });
}

#[test]
fn request() {
    for tag in [
        3 << 32 | 1 << 48,
        1 << 40 | 1 << 32 | 1 << 48,
        1 << 32,
        0xffff << 48 | 1 << 32,
    ] {
        broken(Invariant::Request, |_, tables| {
            tables.group.scope.request.tag.store(tag, Relaxed);
        });
    }
    broken(Invariant::Request, |lived, tables| {
        begin(lived);
        set(&tables.group.scope.request.shares, |shares| shares + 1);
    });
}

#[test]
fn generation() {
    broken(Invariant::Generation, |_, tables| {
        tables.group.generation.0.store(1 << 32 | 5, Relaxed);
    });
    broken(Invariant::Generation, |_, tables| {
        tables.group.runners[0].joined.store(9, Relaxed);
    });
}

#[test]
fn membership() {
    for change in [
        |word: u64| word & !0xf | 9,
        |word| word | 4 << 4,
        |word| word | 1 << 7,
        |word| word & !(0xffff << 48),
        |word| word | 0xffff << 48,
        |word| word & !0xf | 2 | 1 << 4,
    ] {
        broken(Invariant::Member, |_, tables| member(tables, change));
    }
}

#[test]
fn reach() {
    broken(Invariant::Reach, |_, tables| {
        tables.group.members[900].store(1 << 32 | 4, Relaxed);
    });
    broken(Invariant::Reach, |_, tables| {
        tables.threads.slots[4000].word.store(1 << 13, Relaxed);
    });
    broken(Invariant::Reach, |_, tables| {
        set(&tables.resources.records[1000].word, |_| 1 << 4);
    });
    broken(Invariant::Reach, |_, tables| {
        tables.resources.high_water.store(5000, Relaxed);
    });
}

#[test]
fn holder_and_counted_out() {
    broken(Invariant::Holder, |_, tables| {
        member(tables, |word| word & !(0xffff << 48) | 900 << 48);
    });
    broken(Invariant::Holder, |_, tables| {
        tables.group.runners[0]
            .process_generation
            .store(77, Relaxed);
    });
    // A process slot that nobody holds, and a runner of it.
    let left = [Invariant::Swept, Invariant::CountedOut];
    breaks(&left.map(|one| (one, Gravity::Left)), |_, tables| {
        tables
            .processes
            .get(900)
            .unwrap()
            .word
            .store(1 << 48 | 1 << 2 | 2, Relaxed);
        member(tables, |word| word & !(0xffff << 48) | 901 << 48);
    });
}

#[test]
fn identity() {
    broken(Invariant::Identity, |lived, tables| {
        let other = crate::Runner::join(&lived.segment, "b").unwrap();
        tables.texts[1].id.write("a");
        std::mem::forget(other);
    });
}

#[test]
fn acknowledgement() {
    broken(Invariant::Acknowledgement, |_, tables| {
        member(tables, |word| word | 1 << 4);
        stamp(&tables.group.runners[0].group_times.acked[0], 0, 5);
    });
    broken(Invariant::Acknowledgement, |_, tables| {
        member(tables, |word| word | 1 << 4 | 3 << 8);
        stamp(&tables.group.runners[0].group_times.acked[0], 3, 5);
    });
    broken(Invariant::Acknowledgement, |lived, tables| {
        begin(lived);
        lived.runner.acknowledge(Phase::Signaling).unwrap();
        stamp(&tables.group.runners[0].group_times.acked[0], 0, 0);
    });
    broken(Invariant::Acknowledgement, |lived, tables| {
        begin(lived);
        lived.runner.acknowledge(Phase::Signaling).unwrap();
        stamp(&tables.group.runners[0].group_times.missed, 0, 4);
    });
}

#[test]
fn passing() {
    broken(Invariant::Passing, |lived, tables| {
        begin(lived);
        lived.runner.acknowledge(Phase::Signaling).unwrap();
        // As if it had been overlooked by whoever published Closing.
        let now = tables.group.scope.entered(Phase::Draining, 0).unwrap();
        stamp(&tables.group.scope.entered[2], 0, now);
        set(&*tables.group.scope.control, |word| word & !7 | 3);
    });
}

#[test]
fn record() {
    broken(Invariant::Record, |_, tables| {
        tables.group.runners[0].own_acked.store(99 << 32, Relaxed);
    });
    broken(Invariant::Record, |_, tables| {
        set(&*tables.group.runners[0].gate.0, |word| word ^ 1 << 25);
    });
    broken(Invariant::Record, |_, tables| {
        set(&tables.group.runners[0].progress, |word| word ^ 2);
    });
    broken(Invariant::Record, |_, tables| {
        tables.group.runners[0]
            .extended_at
            .store(99 << 24 | 1, Relaxed);
    });
    broken(Invariant::Record, |_, tables| {
        tables.group.runners[0].verdict.store(1 << 8 | 3, Relaxed);
    });
    broken(Invariant::Record, |_, tables| {
        tables.texts[0].set_activity("at work", 1 << 47);
    });
    broken(Invariant::Record, |lived, tables| {
        lived.runner.leave();
        tables.group.runners[0].ended.clear();
    });
}

#[test]
fn process_and_thread() {
    for word in [3, 2, 1 << 48, 1 << 30, 0xffff << 48 | 2] {
        broken(Invariant::Process, |_, tables| {
            tables.processes.get(900).unwrap().word.store(word, Relaxed);
        });
    }
    for word in [
        3,
        1,
        2,
        1 << 2,
        1 << 63 | 1 << 2 | 2,
        1 << 61,
        0x7ff << 2 | 2,
    ] {
        broken(Invariant::Thread, |_, tables| {
            let next = tables.threads.used();
            tables.threads.high_water.store(next as u64 + 1, Relaxed);
            tables.threads.slots[next].word.store(word, Relaxed);
        });
    }
    broken(Invariant::Attached, |_, tables| {
        let next = tables.threads.used();
        tables.threads.high_water.store(next as u64 + 1, Relaxed);
        tables.threads.slots[next].word.store(900 << 2 | 2, Relaxed);
    });
}

/// The last one dies in the middle of a shutdown, and its successor ends it.
#[test]
fn advance() {
    let lived = Lived::new();
    begin(&lived);
    let path = lived.segment.path().to_path_buf();
    let options = crate::SegmentOptions::new().directory(path.parent().unwrap());
    let copy = path.with_file_name("copy");
    std::fs::copy(&path, &copy).unwrap();
    let report = options.observe("copy").unwrap().check().unwrap();
    let found: Vec<_> = report.findings.iter().map(|one| one.invariant).collect();
    assert!(report.worst() == Some(Gravity::Left), "{report:#?}");
    assert!(found.contains(&Invariant::Advance) && found.contains(&Invariant::Swept));
    let segment = options.open("copy").unwrap();
    let repaired = segment.repair().unwrap();
    assert!(repaired.is_sound(), "{repaired:#?}");
    let status = ShutdownCoordinator::new(&segment).status().unwrap();
    assert_eq!(status.phase, Phase::Complete);
}

/// Sixteen bits of generation tag a time, and near is after: what stood since half of all
/// generations passed for newer, and the new time was never set.
#[test]
fn times_of_a_slot_that_was_claimed_in_vain_for_long_are_kept() {
    let lived = Lived::new();
    lived
        .manager
        .cleanup_resources(std::time::Duration::from_secs(60))
        .unwrap();
    lived.runner.leave();
    let coordinator = ShutdownCoordinator::new(&lived.segment);
    let request = ShutdownRequest::new();
    coordinator
        .initiate_shutdown(&Scope::All, &request)
        .unwrap();
    coordinator.begin_generation().unwrap();
    let tables = lived.tables();
    let half = 0x8000;
    // As many claims that were taken back.
    member(tables, |word| word & !0xf | half << 32);
    let record = &tables.resources.records[0];
    let skipped = half & mask(RESOURCE);
    set(&record.word, |word| word & !0xf | skipped << 4);

    let runner = crate::Runner::join(&lived.segment, "b").unwrap();
    let manager = crate::ResourceManager::new(&runner);
    let options = crate::ResourceOptions::new();
    let kind = crate::ResourceType::Queue;
    manager.register_resource("again", kind, options).unwrap();
    assert_eq!(tables.resources.word(0).generation(), skipped + 2);
    manager
        .cleanup_resources(std::time::Duration::from_secs(60))
        .unwrap();
    runner.leave();
    assert_eq!(tables.group.member(0).generation(), 0x8002);
    let report = lived.segment.check().unwrap();
    assert!(report.is_sound(), "{report:#?}");
}
