//! The group, its processes and threads.

use core::sync::atomic::Ordering::Relaxed;

use super::super::{Gravity, Invariant};
use super::{Lived, breaks, broken, kinds, set};
use crate::api::core::Tables;
use crate::os::file::PROCESS_LOCKS;
use crate::phase::Phase;
use crate::sync::life::OWNER_DIED;
use crate::sync::{LifeArea, Real};
use crate::table::ack::Ack;
use crate::table::member::{Member, State};
use crate::table::slots::ProcessWord;
use crate::table::stamp::{Stamp, pack};
use crate::{Scope, ShutdownCoordinator, ShutdownRequest};

pub(super) fn stamp(stamp: &Stamp<Real>, tag: u64, micros: u64) {
    stamp.write_raw(pack(tag, micros));
}

pub(super) fn member(tables: &Tables, change: impl FnOnce(Member) -> Member) {
    set(&tables.group.members[0].member, |raw| {
        change(Member::from_raw(raw)).raw()
    });
}

/// What the runner has acknowledged in the group's scope.
pub(super) fn ack(tables: &Tables, change: impl FnOnce(Ack, u64) -> Ack) {
    let generation = tables.group.member(0).generation();
    set(&tables.group.members[0].ack, |raw| {
        change(Ack::from_raw(raw), generation).raw()
    });
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
    // Cut: not a byte of it is touched, or this would end by a signal. So no keeper may be
    // awake, which reads its words each second.
    let session = lived.segment.session();
    session.watch(lived.runner.key().0);
    assert!(session.rest(), "its keeper halts");
    let length = file.metadata().unwrap().len();
    file.set_len(0).unwrap();
    is_told();
    file.set_len(length).unwrap();
    // Detaching in an empty segment is another matter.
    std::mem::forget(lived);
}

#[test]
fn control() {
    // Of the last: a budget in Running, and one that is not the shortest way to write it.
    for bits in [
        6,
        7,
        3 << 3 | 1,
        6 << 5 | 1,
        1 << 3,
        1 << 50,
        (1 << 13 | 1) << 48 | 1,
    ] {
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
fn request() {
    // An epoch to come, which a narrow build does not distinguish from an old one; no
    // such state, no process, one that there is no room for.
    for tag in [
        1 << 40 | 1 << 42 | 1,
        3 << 40 | 1 << 42,
        1 << 40,
        0x7ff << 42 | 1 << 40,
    ]
    .into_iter()
    .skip(usize::from(cfg!(feature = "narrow")))
    {
        broken(Invariant::Request, |_, tables| {
            tables.group.scope.request.tag.store(tag, Relaxed);
        });
    }
    broken(Invariant::Request, |lived, tables| {
        begin(lived);
        set(&tables.group.scope.request.shares, |shares| {
            shares | 1023 << 40
        });
    });
    // Ready, and a word of it is of another shutdown.
    for index in 0..4 {
        broken(Invariant::Request, |lived, tables| {
            begin(lived);
            let request = &tables.group.scope.request;
            let words = [&request.shares, &request.cap, &request.pid, &request.mark];
            set(words[index], |word| word ^ 1);
        });
    }
}

#[test]
fn generation() {
    // LIVE, in a shutdown that had begun before it claimed its slot.
    broken(Invariant::Generation, |lived, tables| {
        begin(lived);
        let start = tables.group.scope.entered(Phase::Signaling, 0).unwrap();
        set(&tables.group.runners[0].claimed, |_| start + 1);
    });
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
        |word: Member| Member::from_raw(word.raw() | 7),
        |word: Member| word.with_process(None),
        |word: Member| word.with_process(Some(0x7fe)),
    ] {
        broken(Invariant::Member, |_, tables| member(tables, change));
    }
}

#[test]
fn reach() {
    broken(Invariant::Reach, |_, tables| {
        let left = Member::from_raw(0).claimed(0).with_state(State::Left);
        tables.group.members[900].member.store(left.raw(), Relaxed);
    });
    broken(Invariant::Reach, |_, tables| {
        tables.group.members[900].ack.store(1, Relaxed);
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
        member(tables, |word| word.with_process(Some(899)));
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
            .store(ProcessWord::live(1, 0).raw(), Relaxed);
        member(tables, |word| word.with_process(Some(900)));
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
    let done = |epoch| move |ack: Ack, of: u64| ack.with(of, epoch, Phase::Signaling, false);
    // Of no shutdown, of one to come, at no time, by one that is not live yet.
    broken(Invariant::Acknowledgement, |_, tables| ack(tables, done(0)));
    if !cfg!(feature = "narrow") {
        broken(Invariant::Acknowledgement, |_, tables| ack(tables, done(3)));
    }
    broken(Invariant::Acknowledgement, |lived, tables| {
        begin(lived);
        lived.runner.acknowledge(Phase::Signaling).unwrap();
        stamp(&tables.group.runners[0].group_times.acked[0], 0, 5);
    });
    broken(Invariant::Acknowledgement, |lived, tables| {
        begin(lived);
        lived.runner.acknowledge(Phase::Signaling).unwrap();
        member(tables, |word| word.with_state(State::Joining));
    });
    // Missed a phase that it has not done.
    broken(Invariant::Acknowledgement, |_, tables| {
        ack(tables, |ack, _| Ack::from_raw(ack.raw() | 1 << 2));
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
        tables.group.runners[0].own_acked.store(99 << 4, Relaxed);
    });
    broken(Invariant::Record, |_, tables| {
        ack(tables, |ack, of| Ack::fresh(of + 1, ack.epoch()));
    });
    broken(Invariant::Record, |_, tables| {
        set(&tables.group.runners[0].claimed, |_| 1 << 60);
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
        tables.group.runners[0].verdict.store(1 << 8 | 4, Relaxed);
    });
    broken(Invariant::Record, |_, tables| {
        tables.texts[0].set_activity("at work", 1 << 47);
    });
    broken(Invariant::Record, |lived, tables| {
        lived.runner.leave();
        tables.group.runners[0].ended.write_raw(0);
    });
}

#[test]
fn process_and_thread() {
    let keeper = |number: u64| 2 | number << 2 | 1 << 15;
    for word in [3, 2, 1 << 2, 1 << 63 | keeper(1), keeper(0x1fff)] {
        broken(Invariant::Process, |_, tables| {
            tables.processes.get(900).unwrap().word.store(word, Relaxed);
        });
    }
    broken(Invariant::Process, |_, tables| {
        let inbox = tables.processes.inbox(900).unwrap();
        inbox.store(1 << 2, Relaxed);
    });
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

/// As after other code has closed the descriptor.
#[test]
fn a_living_process_holds_its_lock() {
    let lived = Lived::new();
    let core = lived.segment.session().core();
    let byte = PROCESS_LOCKS + core.process() as u64;
    core.opened().locks().give_back(byte);
    let options = crate::SegmentOptions::new().directory(lived.segment.path().parent().unwrap());
    let observer = options.observe("lived").unwrap();
    let found = observer.check().unwrap();
    assert_eq!(kinds(&found), [(Invariant::Swept, Gravity::Left)].into());
    assert_eq!(found.findings[0].what, "lives, and has lost its lock");
    // A process that would sweep it notifies its keeper instead.
    let other = options.open("lived").unwrap();
    assert_eq!(other.reap().unwrap(), 0);
    while !observer.check().unwrap().is_sound() {
        std::thread::yield_now();
    }
    assert!(core.opened().locks().are_ours() && lived.runner.begin().is_ok());
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
    // A copy of one that lives: its life words would beat for ever.
    let files = crate::segment::Options {
        directory: Some(path.parent().unwrap().to_path_buf()),
        ..Default::default()
    };
    let name = crate::segment::SegmentName::new("copy").unwrap();
    let opened = crate::segment::open::<Tables>(&name, &files).unwrap();
    for thread in &opened.body().threads.slots {
        set(
            thread.life.word(),
            |value| if value == 0 { 0 } else { OWNER_DIED },
        );
    }
    drop(opened);
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
