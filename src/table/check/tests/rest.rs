//! Locks, rendezvous, resources.

use core::sync::atomic::Ordering::Relaxed;

use super::super::{Gravity, Invariant};
use super::{Lived, breaks, broken, gone, kinds, set, told};
use crate::api::core::Tables;
use crate::limits::{EVENT_RING, MAX_PROCESSES};
use crate::sync::{LifeArea, Owner, Word, life};
use crate::table::barrier_word::{Cause, Control, Since};
use crate::table::order::Culprit;
use crate::table::resources::Key;

#[test]
fn text() {
    // An initiator that was stopped over it may put a word into it at any time.
    breaks(&[], |_, tables| set(&tables.reason.length, |_| 500));
    broken(Invariant::Text, |_, tables| {
        tables.texts[0].activity.write_raw(&[1, 0xff]);
    });
    broken(Invariant::Text, |_, tables| {
        tables.texts[0].last_words.write_raw(&[0, 1]);
    });
    broken(Invariant::Text, |_, tables| {
        tables.resource_texts[0].runner.write_raw(&[1, 0x4141]);
    });
    broken(Invariant::Text, |_, tables| {
        tables.lock_names.entries[0].text.write_raw(&[65]);
    });
}

#[test]
fn lock() {
    for word in [1, 0b100, 1 << 3, 0b100 | 0x1fff << 3, 1 << 32] {
        broken(Invariant::Lock, |_, tables| tables.locks[7].write_raw(word));
        broken(Invariant::Lock, |_, tables| {
            tables.store.writing().write_raw(word);
        });
        broken(Invariant::Lock, |_, tables| {
            tables.semaphores[0].held[1].write_raw(word);
        });
    }
}

#[test]
fn owner() {
    let left = [(Invariant::Owner, Gravity::Left)];
    breaks(&left, |lived, tables| {
        let dead = gone(lived);
        tables.locks[0].write_raw(dead.name());
        assert_eq!(tables.locks[0].owner(), Some(dead));
    });
    breaks(&left, |lived, tables| {
        tables.events[0].writer().write_raw(gone(lived).name());
    });
    breaks(&left, |lived, tables| {
        set(&tables.barriers[0].places[5].holder, |_| gone(lived).name());
    });
    let lived = Lived::new();
    let tables = lived.tables();
    let word = gone(&lived).name();
    tables.locks[0].write_raw(word);
    tables.lock_names.adding().write_raw(word);
    tables.semaphores[0].held[0].write_raw(word);
    tables.store.writing().write_raw(word);
    set(&tables.barriers[0].places[5].holder, |_| word);
    let repaired = lived.segment.repair().unwrap();
    assert!(repaired.is_sound(), "{repaired:#?}");
    assert_eq!(repaired.repaired.len(), 5);
}

#[test]
fn the_owner_of_a_lock_has_been_notified() {
    let earlier = told(|lived, tables| tables.locks[0].write_raw(gone(lived).name()));
    assert_eq!(earlier, ["is held by an earlier holder of its thread slot"]);
    // Narrow names wrap, so none of them is of later.
    if cfg!(feature = "narrow") {
        return;
    }
    let next = |lived: &Lived| {
        let Owner { slot, generation } = gone(lived);
        let generation = generation + 1;
        Owner { slot, generation }.name()
    };
    broken(Invariant::Owner, |lived, tables| {
        tables.locks[0].write_raw(next(lived));
    });
    let what = told(|lived, tables| tables.locks[0].write_raw(next(lived)));
    assert_eq!(what, ["is held by a thread that there has not been yet"]);
    let unused = Owner {
        slot: 4000,
        generation: 0,
    };
    broken(Invariant::Owner, |_, tables| {
        set(&tables.barriers[0].places[5].holder, |_| unused.name());
    });
}

/// A thread of this process that the kernel has marked, and nobody freed the slot of.
fn ended(tables: &Tables) -> Owner {
    let owner = tables.threads.attach(0).unwrap();
    let thread = tables.threads.get(usize::from(owner.slot)).unwrap();
    Word::store(thread.life.word(), life::OWNER_DIED, Relaxed);
    assert!(tables.threads.go_live(owner, 0));
    owner
}

#[test]
fn a_thread_that_ended_without_a_word_is_left_and_repaired() {
    let left = [(Invariant::Attached, Gravity::Left)];
    breaks(&left, |_, tables| {
        ended(tables);
    });
    let lived = Lived::new();
    let tables = lived.tables();
    let owner = ended(tables);
    tables.locks[0].write_raw(owner.name());
    let repaired = lived.segment.repair().unwrap();
    assert!(repaired.is_sound(), "{repaired:#?}");
    assert_eq!(repaired.repaired.len(), 2);
    assert!(tables.threads.word(usize::from(owner.slot)).is_free());
    assert!(tables.locks[0].look().is_inconsistent);
}

#[test]
fn names() {
    broken(Invariant::Names, |_, tables| {
        set(&tables.event_names.entries[0].used, |_| 9);
    });
    broken(Invariant::Names, |_, tables| {
        set(&tables.lock_names.entries[0].used, |_| 0);
    });
    broken(Invariant::Names, |_, tables| {
        tables.lock_names.entries[1].text.write("first");
    });
    broken(Invariant::Names, |_, tables| {
        tables.lock_names.entries[1].text.write("");
    });
}

#[test]
fn event() {
    broken(Invariant::Event, |_, tables| {
        tables.events[0].resets.store(3, Relaxed);
    });
    broken(Invariant::Event, |_, tables| {
        tables.events[3].event.write_raw(1)
    });
    broken(Invariant::Event, |_, tables| {
        tables.events[0].event.write_raw(7 << 2 | 1)
    });
    broken(Invariant::Event, |_, tables| {
        set(&tables.events[0].entries[1].stamp, |_| {
            1 + EVENT_RING as u64
        });
    });
    broken(Invariant::Event, |_, tables| {
        set(&tables.events[0].entries[1].length, |_| 257);
    });
    broken(Invariant::Event, |_, tables| {
        set(&tables.events[0].entries[1].at, |_| 1 << 60);
    });
}

/// What a setter leaves that dies in the middle is none.
#[test]
fn a_spoiled_entry_of_a_dead_setter_is_no_finding() {
    breaks(&[], |_, tables| {
        set(&tables.events[0].entries[3].stamp, |_| 3);
    });
}

#[test]
fn semaphore_and_barrier() {
    broken(Invariant::Semaphore, |_, tables| {
        set(&tables.semaphores[0].permits, |_| 65);
    });
    breaks(
        &[
            (Invariant::Semaphore, Gravity::Broken),
            (Invariant::Owner, Gravity::Left),
        ],
        |lived, tables| tables.semaphores[0].held[9].write_raw(gone(lived).name()),
    );
    let broken_by = |process| Control(0).broken_by(Cause::Died, process).0;
    let [known, unknown] = [0, MAX_PROCESSES].map(broken_by);
    for control in [5, known & !0b111, 1, 9 << 3, unknown] {
        broken(Invariant::Barrier, |_, tables| {
            set(&tables.barriers[0].control, |_| control);
        });
    }
    broken(Invariant::Barrier, |_, tables| {
        set(&tables.barriers[0].parties, |_| 65);
    });
    broken(Invariant::Barrier, |_, tables| {
        set(&tables.barriers[0].places[0].holder, |_| 1 << 32);
    });
    for since in [Since::new(0, MAX_PROCESSES), Since::NEVER.broken()] {
        broken(Invariant::Barrier, |_, tables| {
            set(&tables.barriers[0].places[0].since, |_| since.0);
        });
    }
    broken(Invariant::Counted, |_, tables| {
        set(&tables.barriers[0].control, |_| 2 << 3);
    });
}

#[test]
fn wait() {
    broken(Invariant::Wait, |_, tables| {
        set(&tables.waits.0[4000].word, |_| 1 << 9);
    });
    broken(Invariant::Wait, |_, tables| {
        set(&tables.waits.0[4000].word, |_| 400);
    });
    let left = |tables: &Tables| set(&tables.waits.0[4000].word, |_| 1);
    breaks(&[(Invariant::Wait, Gravity::Left)], |_, tables| {
        left(tables)
    });
    let lived = Lived::new();
    left(lived.tables());
    assert!(lived.segment.repair().unwrap().is_sound());
}

#[test]
fn order() {
    let bit = |first: usize, second: usize| (first * 256 + second) / 64;
    broken(Invariant::Order, |_, tables| {
        set(&tables.order.violated.0[bit(3, 4)], |word| word | 1 << 4);
    });
    broken(Invariant::Order, |_, tables| {
        set(&tables.order.taken.0[bit(3, 3)], |word| word | 1 << 3);
    });
    broken(Invariant::Order, |_, tables| {
        set(&tables.order.records[0].word, |_| 5);
        set(&tables.order.begun, |_| 1);
    });
    broken(Invariant::Order, |_, tables| {
        tables.order.step(1, 2);
        tables.order.step(2, 1);
        tables.order.record(2, 1, &Culprit::default());
        set(&tables.order.begun, |_| 0);
    });
    // While anybody lives, it may be about to tell.
    let circle = |_: &Lived, tables: &Tables| {
        tables.order.taken.add((3, 4));
        tables.order.taken.add((4, 3));
    };
    breaks(&[], circle);
    let (options, _scratch) = Lived::new().deserted(circle);
    let told = || kinds(&options.observe("lived").unwrap().check().unwrap());
    assert_eq!(told(), [(Invariant::Order, Gravity::Left)].into());
    let repaired = options.open("lived").unwrap().repair().unwrap();
    assert!(repaired.is_sound(), "{repaired:#?}");
    assert!(told().is_empty());
    breaks(&[], |_, tables| {
        tables.order.step(1, 2);
        tables.order.step(2, 1);
        tables.order.record(2, 1, &Culprit::default());
    });
}

#[test]
fn resource() {
    for change in [
        |word: u64| word & !0xf | 12,
        |word| word & !(0x7ff << 42),
        |word| word & !(0x7ff << 53),
        |word| word | 0x7ff << 42,
        |word| word | 0x7ff << 53,
    ] {
        broken(Invariant::Resource, |_, tables| {
            set(&tables.resources.records[1].word, change);
        });
    }
    broken(Invariant::Resource, |_, tables| {
        set(&tables.resources.records[1].word, |word| word & !0xf | 3);
    });
    broken(Invariant::Resource, |_, tables| {
        set(&tables.resources.records[1].about, |word| word | 200);
    });
    broken(Invariant::Resource, |_, tables| {
        set(&tables.resources.records[1].word, |word| {
            word & !(0x7ff << 53) | 900 << 53
        });
    });
}

#[test]
fn dependency() {
    let on = |index: usize, generation: u64| Key { index, generation }.packed();
    for word in [on(5000, 1), on(1, 1)] {
        broken(Invariant::Dependency, |_, tables| {
            set(&tables.resources.records[1].depends_on[0], |_| word);
        });
    }
    // The file depends on the queue; now the queue on the file.
    broken(Invariant::Dependency, |lived, tables| {
        assert_eq!(lived.manager.resources().unwrap().len(), 2);
        set(&tables.resources.records[0].depends_on[0], |_| on(1, 1));
    });
}

#[test]
fn reclaim() {
    for word in [0, 2 | 1 << 4, 3 | 3 << 2 | 1 << 4, 1 << 42 | 1 << 4] {
        broken(Invariant::Reclaim, |_, tables| {
            set(&tables.resources.records[0].reclaim, |_| word);
        });
    }
    broken(Invariant::Reclaim, |_, tables| {
        set(&tables.resources.records[0].seal, |word| word ^ 1);
    });
    // As a sweeper has it that was stopped between its mark and its next step.
    breaks(&[(Invariant::Reclaim, Gravity::Left)], |_, tables| {
        set(&tables.resources.records[0].reclaim, |_| 1 | 1 << 4);
    });
}
