//! Stopped writers of a runner's record.

use super::*;
use crate::table::stopped::{Stopped, stop_everywhere};

type Record = Runner<Stopped>;

const OLD: u64 = 3;
const NEW: u64 = 4;

fn old() -> Record {
    let record = Record::default();
    record.renew(OLD, || true);
    record.count_progress(OLD);
    record
}

const STEPS: [fn(&Record); 4] = [
    |record| record.judge(OLD, Verdict::Failed),
    |record| record.count_untold(OLD),
    |record| record.count_progress(OLD),
    |record| {
        if let Some(progress) = record.progress_to_extend(OLD) {
            record.extended(OLD, progress);
        }
    },
];

#[test]
fn a_stopped_step_is_nothing_to_the_next_holder_of_the_slot() {
    for step in STEPS {
        stop_everywhere(
            old,
            step,
            |record| record.renew(NEW, || true),
            |record| {
                assert_eq!(record.record_fault(NEW), None);
                assert_eq!(record.verdict(NEW), Verdict::None);
                assert_eq!(record.untold(NEW), 0);
                assert_eq!((record.progress(NEW), record.progress(OLD)), (0, 0));
                assert_eq!(record.progress_to_extend(NEW), None);
            },
        );
    }
}

/// After 50 seconds of joins the word of progress may be the same again: one step.
#[test]
fn a_wrap_credits_one_step_of_progress_at_most() {
    let wrapped = OLD + (1 << PROGRESS);
    let (count, again) = (
        |record: &Record| record.count_progress(OLD),
        |record: &Record| {
            record.renew(OLD + (1 << PROGRESS), || true);
            record.count_progress(OLD + (1 << PROGRESS));
        },
    );
    let credited = core::cell::Cell::new(0);
    stop_everywhere(old, count, again, |record| {
        credited.set(credited.get().max(record.progress(wrapped)));
    });
    assert_eq!(credited.get(), 2);
}

/// The verdict's generation is all of the slot's.
#[test]
fn a_wrap_of_the_slots_generation_is_what_the_width_guards_against() {
    let again: fn(&Record) = |record| record.renew(OLD + 4, || true);
    let judged = core::cell::Cell::new(false);
    stop_everywhere(old, STEPS[0], again, |record| {
        judged.set(judged.get() || record.verdict(OLD + 4) != Verdict::None);
    });
    assert_eq!(judged.get(), cfg!(feature = "narrow"));
}

#[test]
fn progress_counts_on_beyond_the_end_of_its_room() {
    let record = old();
    let last = u64::MAX << COUNT_SHIFT | no_progress(OLD);
    record.progress.store(last, Ordering::Relaxed);
    record.extended(OLD, last);
    assert_eq!(
        (record.progress_to_extend(OLD), record.record_fault(OLD)),
        (None, None)
    );
    record.count_progress(OLD);
    assert_eq!((record.progress(OLD), record.record_fault(OLD)), (0, None));
    assert!(record.progress_to_extend(OLD).is_some());
}
