//! What stands at an edge is sound, and one step beyond it is not; how findings are told.

use core::sync::atomic::Ordering::Relaxed;

use super::super::{Gravity, Invariant, MOST};
use super::{Lived, breaks, broken};
use crate::limits::{EVENT_PAYLOAD_BYTES, EVENT_RING, MAX_PERMITS, MAX_RUNNERS, MAX_THREADS};
use crate::sync::Word;
use crate::table::control::EPOCH_MASK;
use crate::{CrossProcessEvent, CrossProcessLock, CrossProcessSemaphore};

#[test]
fn full_tables_and_the_longest_payload_are_sound() {
    breaks(&[], |_, tables| {
        Word::store(&tables.threads.high_water, MAX_THREADS as u64, Relaxed);
        Word::store(&tables.group.high_water, MAX_RUNNERS as u32, Relaxed);
        Word::store(&tables.semaphores[0].permits, MAX_PERMITS as u32, Relaxed);
        let entry = &tables.events[0].entries[1];
        Word::store(&entry.length, EVENT_PAYLOAD_BYTES as u64, Relaxed);
    });
}

#[test]
fn a_lock_that_a_living_thread_holds_is_sound() {
    breaks(&[], |lived, _| {
        let lock = CrossProcessLock::open(&lived.segment, "first").unwrap();
        // Held until its thread ends.
        std::mem::forget(lock.lock().unwrap());
    });
}

#[test]
fn a_generation_begins_with_an_epoch_that_has_begun() {
    let begin = |word: u64| {
        move |_: &Lived, tables: &crate::api::core::Tables| {
            tables.group.generation.0.store(1 << 32 | word, Relaxed);
        }
    };
    let last = u64::from(EPOCH_MASK);
    breaks(&[], begin(0));
    breaks(&[], begin(last));
    broken(Invariant::Generation, begin(1));
    broken(Invariant::Generation, begin(last + 1));
}

#[test]
fn the_entry_that_the_next_set_replaces_is_whole_or_being_written() {
    let around = |lived: &Lived| {
        let event = CrossProcessEvent::open(&lived.segment, "flag").unwrap();
        for _ in 0..EVENT_RING {
            event.set().unwrap();
        }
    };
    let next = (2 + EVENT_RING + 1) % EVENT_RING;
    breaks(&[], |lived, tables| {
        around(lived);
        Word::store(&tables.events[0].entries[next].stamp, 0, Relaxed);
    });
    broken(Invariant::Event, |lived, tables| {
        around(lived);
        Word::store(&tables.events[0].entries[next].stamp, 999, Relaxed);
    });
}

#[test]
fn a_finding_names_its_place() {
    let lived = Lived::new();
    CrossProcessSemaphore::open(&lived.segment, "others", 3).unwrap();
    lived.tables().semaphores[1].held[2].write_raw(1 << 31);
    let report = lived.segment.check().unwrap();
    let [one] = &report.findings[..] else {
        panic!("{report:#?}")
    };
    assert_eq!(one.place, format!("permit {} \"others\"", MAX_PERMITS + 2));
    let names = [Gravity::Left, Gravity::Broken].map(Gravity::name);
    assert_eq!(names, ["left", "broken"]);
}

#[test]
fn of_one_invariant_so_many_findings_are_told() {
    let lived = Lived::new();
    let threads = &lived.tables().threads;
    Word::store(&threads.high_water, MAX_THREADS as u64, Relaxed);
    for slot in 100..100 + 2 * MOST {
        Word::store(&threads.get(slot).unwrap().word, 3, Relaxed);
    }
    let report = lived.segment.check().unwrap();
    let of_threads = |one: &&crate::Finding| one.invariant == Invariant::Thread;
    assert_eq!(report.findings.iter().filter(of_threads).count(), MOST);
}
