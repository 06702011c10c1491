use core::cell::Cell;

use super::*;
use crate::sync::Real;
use crate::table::stopped::{Stopped, stop_everywhere};

const OPEN: Look = Look {
    refuses: false,
    epochs: (0, 0),
};
const SHUT: Look = Look {
    refuses: true,
    epochs: (0, 0),
};

/// Two holders of the slot, one after the other. Their generations differ at any width.
const OLD: u64 = 3;
const NEW: u64 = 4;

fn gate<M: Mem>(generation: u64) -> Gate<M> {
    let gate = Gate::default();
    gate.reset(generation);
    gate
}

fn closed<M: Mem>(gate: &Gate<M>, generation: u64) -> Option<u32> {
    Some(gate.close(generation)?.count)
}

#[test]
fn items_are_counted_in_and_out_while_work_is_admitted() {
    let gate = gate::<Real>(OLD);
    for _ in 0..2 {
        assert_eq!(gate.begin_as(OLD, || OPEN), Begun::Counted);
    }
    assert_eq!(gate.begin_as(OLD, || SHUT), Begun::Refused);
    assert_eq!(
        gate.begin_as(NEW, || OPEN),
        Begun::Refused,
        "another holder"
    );
    assert_eq!((gate.count(OLD), gate.count(NEW)), (2, 0));
    let found = gate.close(OLD).unwrap();
    assert_eq!((found.count, closed(&gate, NEW)), (2, None));
    assert_eq!(found.half, gate.0.load(Ordering::Relaxed) as u32);
    assert_eq!(gate.begin_as(NEW, || OPEN), Begun::Refused);
    gate.end_as(NEW);
    assert_eq!(gate.count(OLD), 2);
    for _ in 0..3 {
        gate.end_as(OLD);
    }
    assert_eq!(closed(&gate, OLD), Some(0), "nothing below nothing");
    gate.reopen(OLD, || OPEN);
    gate.end_as(OLD);
    assert_eq!(gate.count(OLD), 0, "nor while it is open");
    gate.reset(NEW);
    assert_eq!(gate.begin_as(NEW, || OPEN), Begun::Counted);
    assert_eq!(gate.0.load(Ordering::Relaxed), empty(NEW) | 1);
}

#[test]
fn a_gate_counts_so_many_items_and_no_more() {
    let gate = gate::<Real>(OLD);
    let counted = |count: u64| gate.0.store(empty(OLD) | count, Ordering::Relaxed);
    counted(COUNT - 1);
    assert_eq!(gate.begin_as(OLD, || OPEN), Begun::Counted);
    for _ in 0..2 {
        assert_eq!(gate.begin_as(OLD, || OPEN), Begun::Full);
        assert_eq!(gate.count(OLD), MAX_IN_FLIGHT);
    }
    assert_eq!(closed(&gate, OLD), Some(MAX_IN_FLIGHT));
    assert_eq!(gate.begin_as(OLD, || OPEN), Begun::Full);
    assert_eq!(gate.begin_as(OLD, || SHUT), Begun::Refused);
    gate.end_as(OLD);
    assert_eq!(gate.count(OLD), MAX_IN_FLIGHT - 1);
}

#[test]
fn what_meets_a_closed_gate_reads_the_phases_again() {
    let gate = gate::<Real>(OLD);
    let reads = Cell::new(0);
    // Open at the first read, or the first two; then `later`.
    let read_by_read = |open: u32, later: Look| {
        reads.set(0);
        let begun = gate.begin_as(OLD, || {
            reads.set(reads.get() + 1);
            if reads.get() <= open { OPEN } else { later }
        });
        (begun, reads.get())
    };
    assert_eq!(read_by_read(1, SHUT), (Begun::Counted, 1), "one is enough");
    gate.end_as(OLD);
    let _ = gate.close(OLD);
    assert_eq!(read_by_read(1, SHUT), (Begun::Refused, 2));
    assert_eq!(read_by_read(2, SHUT), (Begun::Refused, 4));
    assert_eq!(gate.count(OLD), 0, "it counted its item out again");
    // Closed by a shutdown that was cancelled before: nothing has moved since.
    assert_eq!(read_by_read(9, OPEN), (Begun::Counted, 3));
    gate.end_as(OLD);
    let moved = Look {
        epochs: (1, 0),
        ..OPEN
    };
    assert_eq!(
        read_by_read(2, moved),
        (Begun::Counted, 5),
        "it asked again"
    );
    gate.reopen(OLD, || SHUT);
    assert_eq!(read_by_read(1, SHUT).0, Begun::Refused, "it stays closed");
    gate.reopen(OLD, || OPEN);
    assert_eq!(read_by_read(1, SHUT).0, Begun::Counted);
    assert_eq!(gate.count(OLD), 2);
}

type Shared = Gate<Stopped>;

/// A step of the holder before.
type Step = fn(&Shared);

/// Whether there is an access before which a step of the old holder can be stopped such that
/// it changes something for the holder that has come since.
fn disturbs(new: fn() -> Shared, step: Step, others: Step, expected: u64) -> bool {
    let disturbed = Cell::new(false);
    stop_everywhere(new, step, others, |gate| {
        let found = gate.0.load(Ordering::Relaxed);
        disturbed.set(disturbed.get() || found != expected);
    });
    disturbed.get()
}

fn with_an_item() -> Shared {
    let gate = gate(OLD);
    assert_eq!(gate.begin_as(OLD, || OPEN), Begun::Counted);
    gate
}

fn closed_with_two() -> Shared {
    let gate = with_an_item();
    assert_eq!(gate.begin_as(OLD, || OPEN), Begun::Counted);
    let _ = gate.close(OLD);
    gate
}

const STEPS: [Step; 4] = [
    |gate| {
        let _ = gate.begin_as(OLD, || OPEN);
    },
    |gate| gate.end_as(OLD),
    |gate| {
        let _ = gate.close(OLD);
    },
    |gate| gate.reopen(OLD, || OPEN),
];

/// As it was before: an addition, which is taken back unless the thread is killed first;
/// closing and opening the gate of any holder.
const BLIND: [Step; 3] = [
    |gate| {
        gate.0.fetch_add(1, Ordering::AcqRel);
    },
    |gate| {
        gate.0.fetch_or(CLOSED, Ordering::AcqRel);
    },
    |gate| {
        gate.0.fetch_and(!CLOSED, Ordering::AcqRel);
    },
];

/// The slot's next holder has an item and drains.
const DRAINS: Step = |gate| {
    gate.reset(NEW);
    assert_eq!(gate.begin_as(NEW, || OPEN), Begun::Counted);
    let _ = gate.close(NEW);
};

#[test]
fn a_stopped_step_changes_nothing_for_the_next_holder_of_the_slot() {
    for new in [with_an_item as fn() -> Shared, closed_with_two] {
        for step in STEPS {
            assert!(!disturbs(new, step, DRAINS, empty(NEW) | CLOSED | 1));
            assert!(!disturbs(new, step, |gate| gate.reset(NEW), empty(NEW)));
        }
    }
}

#[test]
fn steps_that_ask_for_no_generation_are_caught() {
    let others: [(Step, u64); 3] = [
        (DRAINS, empty(NEW) | CLOSED | 1),
        (|gate| gate.reset(NEW), empty(NEW)),
        (DRAINS, empty(NEW) | CLOSED | 1),
    ];
    for (step, (others, expected)) in BLIND.into_iter().zip(others) {
        assert!(disturbs(with_an_item, step, others, expected));
    }
}

/// The generation's width is all that keeps a stopped step from a gate whose word is the same
/// again: the wrap that takes 19 days is two joins with narrow tags.
#[test]
fn a_wrap_is_what_the_width_guards_against() {
    let wrapped: Step = |gate| {
        gate.reset(OLD + 4);
        assert_eq!(gate.begin_as(OLD + 4, || OPEN), Begun::Counted);
    };
    for step in &STEPS[..3] {
        let is_met = disturbs(with_an_item, *step, wrapped, empty(OLD + 4) | 1);
        assert_eq!(is_met, cfg!(feature = "narrow"));
    }
}
