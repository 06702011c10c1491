//! What stands at an edge is sound, and one step beyond it is not; how findings are told.

use core::sync::atomic::Ordering::Relaxed;

use super::super::{Gravity, Invariant, MOST};
use super::group::{ack, begin, stamp};
use super::{Lived, breaks, broken, set, told};
use crate::api::core::Tables;
use crate::limits::{
    EVENT_PAYLOAD_BYTES, EVENT_RING, MAX_LOCKS, MAX_PARTIES, MAX_PERMITS, MAX_PLACES,
    MAX_PROCESSES, MAX_RESOURCES, MAX_RUNNERS, MAX_THREADS,
};
use crate::phase::Phase;
use crate::sync::{Owner, Word};
use crate::table::barrier_word::Since;
use crate::table::control::EPOCH_MASK;
use crate::table::generation::EPOCH;
use crate::table::resources::{Key, State, TRIED};
use crate::table::slots::ProcessWord;
use crate::width::RESOURCE;
use crate::{CrossProcessBarrier, CrossProcessEvent, CrossProcessLock, CrossProcessSemaphore};

/// A lock that is held until its thread, this one, ends.
fn hold(lived: &Lived, tables: &Tables) -> Owner {
    let lock = CrossProcessLock::open(&lived.segment, "first").unwrap();
    std::mem::forget(lock.lock().unwrap());
    tables.locks[0].owner().unwrap()
}

#[test]
fn full_tables_and_the_longest_payload_are_sound() {
    breaks(&[], |_, tables| {
        Word::store(&tables.threads.high_water, MAX_THREADS as u64, Relaxed);
        Word::store(&tables.group.high_water, MAX_RUNNERS as u32, Relaxed);
        Word::store(&tables.semaphores[0].permits, MAX_PERMITS as u32, Relaxed);
        Word::store(&tables.barriers[0].parties, MAX_PARTIES as u64, Relaxed);
        Word::store(&tables.resources.high_water, MAX_RESOURCES as u32, Relaxed);
        let entry = &tables.events[0].entries[1];
        Word::store(&entry.length, EVENT_PAYLOAD_BYTES as u64, Relaxed);
    });
}

#[test]
fn a_lock_that_a_living_thread_holds_is_sound() {
    breaks(&[], |lived, tables| {
        hold(lived, tables);
    });
}

#[test]
fn a_generation_begins_with_an_epoch_that_has_begun() {
    let begin = |word: u64| {
        move |_: &Lived, tables: &Tables| {
            tables.group.generation.0.store(1 << 32 | word, Relaxed);
        }
    };
    breaks(&[], begin(0));
    breaks(&[], begin(EPOCH));
    if !cfg!(feature = "narrow") {
        broken(Invariant::Generation, begin(1));
    }
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
    lived.tables().semaphores[1].held[2].write_raw(1);
    let report = lived.segment.check().unwrap();
    let [one] = &report.findings[..] else {
        panic!("{report:#?}")
    };
    assert_eq!(one.place, format!("permit {} \"others\"", MAX_PERMITS + 2));
    lived.tables().semaphores[1].held[2].write_raw(0);
    CrossProcessBarrier::open(&lived.segment, "gates", 3).unwrap();
    let of_nobody = &lived.tables().barriers[1].places[2].holder;
    Word::store(of_nobody, 1 << 32, Relaxed);
    let report = lived.segment.check().unwrap();
    let place = format!("place {} \"gates\"", MAX_PLACES + 2);
    assert_eq!(report.findings[0].place, place);
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

#[test]
fn one_that_waits_at_a_barrier_is_counted_and_has_a_place() {
    breaks(&[], |lived, tables| {
        let me = hold(lived, tables);
        let barrier = &tables.barriers[0];
        Word::store(&barrier.places[4].holder, me.name(), Relaxed);
        Word::store(&barrier.places[4].since, Since::new(0, 0).0, Relaxed);
        Word::store(&barrier.control, 1 << 3, Relaxed);
        assert!(barrier.holders().eq([me]));
    });
}

#[test]
fn verdicts_have_the_numbers_that_there_are() {
    for word in [1 << 8, 1 << 8 | 1, 1 << 8 | 2] {
        breaks(&[], |_, tables| {
            tables.group.runners[0].verdict.store(word, Relaxed);
        });
    }
    for word in [1 << 8 | 3, 1 << 8 | 0xff, 2 << 8, 1 << 63 | 1 << 8] {
        broken(Invariant::Record, |_, tables| {
            tables.group.runners[0].verdict.store(word, Relaxed);
        });
    }
}

#[test]
fn an_own_acknowledgement_is_of_the_holder_and_nothing_else() {
    broken(Invariant::Record, |_, tables| {
        let word = &tables.group.runners[0].own_acked;
        word.store(word.load(Relaxed) ^ 1 << 4, Relaxed);
    });
}

#[test]
fn nothing_was_in_the_future() {
    broken(Invariant::Record, |lived, tables| {
        lived.runner.leave();
        stamp(&tables.group.runners[0].ended, 1, 1 << 47);
    });
    broken(Invariant::Resource, |_, tables| {
        let times = &tables.resources.records[0].times;
        times.write_raw(State::Active, 1 << 48 | 1 << 47);
    });
}

#[test]
fn a_claim_that_is_being_filled_in_is_sound() {
    breaks(&[], |_, tables| {
        Word::store(&tables.group.high_water, 2, Relaxed);
        let claimed = tables.group.member(1).claimed(0);
        tables.group.members[1].member.store(claimed.raw(), Relaxed);
        tables.group.runners[1].process_generation.store(9, Relaxed);
    });
}

#[test]
fn the_phase_that_is_on_may_be_done() {
    breaks(&[], |lived, tables| {
        begin(lived);
        ack(tables, |ack, of| ack.with(of, 0, Phase::Signaling, false));
        let entered = tables.group.scope.entered(Phase::Signaling, 0).unwrap();
        stamp(&tables.group.runners[0].group_times.acked[0], 0, entered);
    });
}

/// The wait of this thread, or of an earlier holder of its slot, for the last lock.
fn wait(lived: &Lived, tables: &Tables, later: u64) -> Owner {
    let me = hold(lived, tables);
    let generation = me.generation + later;
    tables
        .waits
        .write(Owner { generation, ..me }, MAX_LOCKS - 1, 0);
    me
}

#[test]
fn a_wait_is_of_the_thread_that_has_the_slot_now() {
    breaks(&[], |lived, tables| {
        wait(lived, tables, 0);
    });
    let left = [(Invariant::Wait, Gravity::Left)];
    breaks(&left, |lived, tables| {
        wait(lived, tables, 1);
    });
    for (later, is_clear) in [(0, false), (1, true)] {
        let lived = Lived::new();
        let me = wait(&lived, lived.tables(), later);
        assert!(lived.segment.repair().unwrap().is_sound());
        let slot = usize::from(me.slot);
        assert_eq!(lived.tables().waits.is_clear(slot), is_clear);
    }
}

#[test]
fn a_dependency_is_on_a_record_that_there_is_and_has_been() {
    let depend = |on: u64| {
        move |_: &Lived, tables: &Tables| {
            let word = &tables.resources.records[1].depends_on[0];
            Word::store(word, on, Relaxed);
        }
    };
    let on = |index: usize, generation: u64| Key { index, generation }.packed();
    if !cfg!(feature = "narrow") {
        // One too far on to be distinguished from an old one.
        let far = 1 << (RESOURCE - 1);
        breaks(&[], depend(on(0, far + 1)));
        broken(Invariant::Dependency, depend(on(0, far)));
    }
    broken(Invariant::Dependency, depend(on(MAX_RESOURCES, 0)));
    broken(Invariant::Dependency, depend(on(0, 1) | 1 << 49));
    broken(Invariant::Resource, |_, tables| {
        let about = &tables.resources.records[1].about;
        Word::store(about, Word::load(about, Relaxed) | 1 << 31, Relaxed);
    });
}

/// The queue has failed.
fn fail(tables: &Tables) {
    let record = &tables.resources.records[0];
    let failed = Word::load(&record.word, Relaxed) & !0xf | State::Failed as u64;
    Word::store(&record.word, failed, Relaxed);
    let entered = record.times.raw(State::Active);
    record.times.write_raw(State::Failed, entered);
}

/// The queue has failed, and this stands in its word of reclaiming; from the generation of
/// this process.
fn reclaim(word: impl Fn(u64) -> u64) -> impl Fn(&Lived, &Tables) {
    move |_, tables| {
        fail(tables);
        let mine = tables.processes.word(0).generation();
        Word::store(&tables.resources.records[0].reclaim, word(mine), Relaxed);
    }
}

#[test]
fn who_reclaims_is_a_process_that_lives() {
    let claimed =
        |process: u64, generation: u64| 2 | 1 << 4 | (process + 1) << 29 | generation << 40;
    let left = [(Invariant::Reclaim, Gravity::Left)];
    breaks(&left, reclaim(|_| 1 | 1 << 4));
    breaks(&[], reclaim(|mine| claimed(0, mine)));
    breaks(&left, reclaim(|mine| claimed(0, mine + 1)));
    broken(Invariant::Reclaim, reclaim(|_| claimed(2000, 0)));
}

/// The file depends on the queue, and now the queue on the file.
fn close_the_circle(tables: &Tables, tried: u64) {
    let [queue, file] = [0, 1].map(|index| &tables.resources.records[index]);
    let on = |index: usize| Key {
        index,
        generation: 1,
    };
    assert_eq!(Word::load(&file.depends_on[0], Relaxed), on(0).packed());
    set(&queue.depends_on[0], |_| on(1).packed() | tried);
}

#[test]
fn a_circle_is_of_open_ones_of_the_living_and_stands() {
    breaks(&[], |_, tables| {
        fail(tables);
        close_the_circle(tables, 0);
    });
    breaks(&[], |_, tables| close_the_circle(tables, TRIED));
    // Another registration than the one that is there.
    breaks(&[], |_, tables| {
        close_the_circle(tables, 0);
        set(&tables.resources.records[0].depends_on[0], |on| on - 1);
    });
    let left = [
        (Invariant::Swept, Gravity::Left),
        (Invariant::CountedOut, Gravity::Left),
    ];
    breaks(&left, |_, tables| {
        close_the_circle(tables, 0);
        let dead = &tables.processes.get(900).unwrap().word;
        dead.store(ProcessWord::live(1, 0).raw(), Relaxed);
        set(&tables.resources.records[0].word, |word| {
            word & !(0x7ff << 53) | 901 << 53
        });
    });
    let circle = told(|_, tables| close_the_circle(tables, 0));
    assert_eq!(circle, ["depends on itself in a circle"; 2]);
    let own = told(|_, tables| {
        set(&tables.resources.records[1].depends_on[0], |on| {
            on + (1 << 38)
        });
    });
    assert_eq!(own, ["depends on itself in a circle"]);
}

#[test]
fn only_a_group_is_renewed() {
    breaks(&[], |lived, tables| {
        begin(lived);
        for phase in Phase::ACKNOWLEDGED {
            lived.runner.acknowledge(phase).unwrap();
        }
        set(&*tables.group.scope.control, |word| word & !7 | 5);
    });
}

#[test]
fn a_request_is_of_an_epoch_and_a_process_that_there_are() {
    let request = |epoch: u64, process: usize| {
        move |_: &Lived, tables: &Tables| {
            let tag = (process as u64) << 42 | 1 << 40 | epoch;
            tables.group.scope.request.tag.store(tag, Relaxed);
        }
    };
    breaks(&[], request(EPOCH_MASK, MAX_PROCESSES));
    broken(Invariant::Request, request(EPOCH_MASK, MAX_PROCESSES + 1));
    if !cfg!(feature = "narrow") {
        broken(Invariant::Request, request(1, MAX_PROCESSES));
    }
}

#[test]
fn a_record_of_orders_is_of_two_locks_that_there_can_be() {
    let record = |held: usize, wanted: usize| {
        move |_: &Lived, tables: &Tables| {
            let word = 1 << 63 | (held as u64) << 16 | wanted as u64;
            set(&tables.order.records[0].word, |_| word);
            set(&tables.order.begun, |_| 1);
        }
    };
    let last = MAX_LOCKS - 1;
    breaks(&[], record(last, 0));
    breaks(&[], record(0, last));
    broken(Invariant::Order, record(MAX_LOCKS, 0));
    broken(Invariant::Order, record(0, MAX_LOCKS));
    broken(Invariant::Order, record(last, last));
}
