//! Times: of phases, of acknowledgements, of a runner's end.

use super::super::Invariant;
use super::group::{ack, begin, member, stamp};
use super::{Lived, breaks, broken, set};
use crate::api::core::Tables;
use crate::phase::Phase;
use crate::table::control::Control;
use crate::table::member::State;
use crate::width;
use crate::{Scope, ShutdownCoordinator, ShutdownRequest};

#[test]
fn phase_times() {
    // Before a shutdown has begun, and below its floor, no time counts.
    breaks(&[], |lived, tables| {
        stamp(&tables.group.scope.entered[1], 0, 5);
        begin(lived);
        stamp(&tables.group.scope.entered[2], 0, 5);
    });
    broken(Invariant::PhaseTimes, |lived, tables| {
        begin(lived);
        let now = tables.group.scope.entered(Phase::Signaling, 0).unwrap();
        stamp(&tables.group.scope.entered[1], 0, now);
    });
    broken(Invariant::PhaseTimes, |lived, tables| {
        begin(lived);
        stamp(&tables.group.scope.entered[0], 0, 1 << 47);
    });
    // A floor of the future, and one above a time that was set.
    broken(Invariant::PhaseTimes, |_, tables| {
        set(&tables.group.scope.floor, |_| 1 << 47);
    });
    broken(Invariant::PhaseTimes, |lived, tables| {
        begin(lived);
        for phase in Phase::ACKNOWLEDGED {
            lived.runner.acknowledge(phase).unwrap();
        }
        let start = tables.group.scope.entered(Phase::Signaling, 0).unwrap();
        stamp(&tables.group.scope.entered[1], 0, start - 1);
        set(&tables.group.scope.floor, |_| start);
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
fn an_acknowledgement_has_a_time_and_one_that_is_late_what_it_missed() {
    let acked = |late: bool, is_timed: bool| {
        move |lived: &Lived, tables: &Tables| {
            begin(lived);
            if is_timed {
                let start = tables.group.scope.entered(Phase::Signaling, 0).unwrap();
                stamp(&tables.group.runners[0].group_times.acked[0], 0, start);
            }
            ack(tables, |ack, of| ack.with(of, 0, Phase::Signaling, late));
        }
    };
    breaks(&[], acked(false, true));
    breaks(&[], acked(true, true));
    broken(Invariant::Acknowledgement, acked(false, false));
}

/// Times are judged in the present epoch, whichever that is; those of one that is over may
/// lie below the floor of the next.
#[test]
fn times_are_judged_in_any_epoch() {
    let acked = |epoch: u64, of: u64| {
        move |lived: &Lived, tables: &Tables| {
            set(&*tables.group.scope.control, |_| {
                Control::running(epoch).raw()
            });
            begin(lived);
            ack(tables, |ack, generation| {
                ack.with(generation, of, Phase::Signaling, false)
            });
        }
    };
    let epochs = match cfg!(feature = "narrow") {
        true => [1, 2, 3],
        false => [0x7fff, 0x1_0000, 0x12_3456_789a],
    };
    for epoch in epochs {
        broken(Invariant::Acknowledgement, acked(epoch, epoch));
        breaks(&[], acked(epoch, epoch - 1));
    }
}

/// Tags wrap in any order, and near is not after: an old time is neither taken for
/// one of now nor in its way.
#[test]
fn times_of_a_slot_that_was_claimed_often_are_kept() {
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
    member(tables, |word| {
        word.with_generation(half).with_state(State::Free)
    });
    let record = &tables.resources.records[0];
    let skipped = half & width::mask(width::RESOURCE);
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
    let expected = (half + 1) & width::mask(width::RUNNER);
    assert_eq!(tables.group.member(0).generation(), expected);
    let report = lived.segment.check().unwrap();
    assert!(report.is_sound(), "{report:#?}");
}
