//! Steps that are stopped for as long as the record takes to become another registration's.

use core::cell::Cell;

use crate::sync::{Env, Owner, Pulse, Word};
use crate::table::resources::times::Of;
use crate::table::resources::*;
use crate::table::stopped::{Stopped, stop_everywhere};
use crate::width::{RECLAIM_RESOURCE, RESOURCE, STAMP, mask};

const SYSTEM: Identity = [1, 20, 30, 40];
/// The process of the old registration, which dies in some cases, and that of the next one.
const OLD: usize = 1;
const NEXT: usize = 2;

/// One record, registered by the old process; what comes next has so much a later generation.
struct World {
    table: Resources<Stopped, 1>,
    key: Key,
    later: u64,
    now: Cell<u64>,
    /// The process slot's word.
    holder: Cell<u64>,
}

impl Env<Stopped> for World {
    fn now(&self) -> u64 {
        self.now.get()
    }
    fn process_pulse(&self, process: usize) -> Pulse<'_, Stopped> {
        match process {
            OLD if self.holder.get() == 1 => Pulse::Dead,
            _ => Pulse::Alive(None),
        }
    }
    fn thread_pulse(&self, _owner: Owner) -> Pulse<'_, Stopped> {
        Pulse::Alive(None)
    }
}

fn registered(later: u64) -> World {
    let table = Resources::default();
    let key = table.claim(OLD, OLD, |_, _| false).unwrap();
    table.describe(key, About::default(), SYSTEM, "/p");
    assert_eq!(table.publish(key, 10), Moved::Done);
    World {
        table,
        key,
        later,
        now: Cell::new(20),
        holder: Cell::new(1),
    }
}

impl World {
    fn word(&self) -> &<Stopped as crate::sync::Mem>::U64 {
        &self.table.records[0].word
    }

    /// A process registers the record again.
    fn register(&self, process: usize) {
        // As if it had been registered in between, so often as makes it the generation meant.
        let word = ResourceWord(self.word().load(Ordering::Relaxed)).with_state(State::Free);
        let skipped = (word.generation() + self.later - 1) & mask(RESOURCE);
        let word = word.raw() & !(mask(RESOURCE) << 4) | skipped << 4;
        self.word().store(word, Ordering::Relaxed);
        let next = self.table.claim(process, process, |_, _| false).unwrap();
        self.table.describe(next, About::default(), SYSTEM, "/p");
        assert_eq!(self.table.publish(next, 50), Moved::Done);
    }

    /// Whether the present registration is as its owner has left it: Active.
    fn is_undisturbed(&self) -> bool {
        use State::{Active, Closed, Closing, Draining};
        let next = self.table.key(0);
        let record = &self.table.records[0];
        let times = [Active, Draining, Closing, Closed].map(|state| record.since(next, state));
        self.table.word(0).state() == Ok(Active)
            && times == [Some(50), None, None, None]
            && self.table.late(next).is_none()
            && record.reclaim.load(Ordering::Relaxed) == reclaim::none(next.generation)
    }
}

type Step = fn(&World);

/// Whether a step of the old registration, stopped anywhere, changes anything of the next.
fn disturbs(later: u64, step: Step, others: Step) -> bool {
    let disturbed = Cell::new(false);
    stop_everywhere(
        || registered(later),
        step,
        others,
        |world| disturbed.set(disturbed.get() || !world.is_undisturbed()),
    );
    disturbed.get()
}

/// What threads of the owner do.
const OWN: [Step; 5] = [
    |world| {
        let _ = world
            .table
            .move_to(world.key, &[State::Active], State::Draining, 20);
    },
    |world| {
        let open = [State::Active, State::Draining, State::Closing];
        let _ = world.table.move_to(world.key, &open, State::TimedOut, 20);
    },
    |world| {
        let from = [State::Closing];
        let _ = world.table.move_to(world.key, &from, State::Closed, 20);
        world.table.finish_late(world.key, 20);
    },
    |world| world.table.forgo_reclaim(world.key),
    |world| world.table.finish_late(world.key, 20),
];

/// What others do once the owner is dead.
const OTHERS: [Step; 3] = [
    |world| {
        let dead = world.holder.get();
        let is_same = || world.holder.get() == dead;
        world.table.sweep(OLD, is_same, world);
    },
    |world| world.table.orphan(world.key, world),
    |world| world.table.mark_to_reclaim(world.key),
];

const REGISTERED: Step = |world| world.register(NEXT);

/// Another one has swept the process; its slot's next holder registers.
const SWEPT: Step = |world| {
    world.holder.set(2);
    world.register(OLD);
};

#[test]
fn a_stopped_step_is_nothing_to_the_next_registration() {
    // The next generation; one with the same tag of times; and with the same low bits in a
    // claimed reclaim word.
    for later in [1, 1 << STAMP, 1 << RECLAIM_RESOURCE] {
        for step in OWN {
            assert!(!disturbs(later, step, REGISTERED), "{later}");
        }
        for step in OTHERS {
            assert!(!disturbs(later, step, SWEPT), "{later}");
        }
    }
}

/// Three days of registering are 4 registrations with narrow tags.
#[test]
fn a_wrap_of_the_generation_is_what_the_width_guards_against() {
    for step in [OWN[0], OWN[1], OWN[3], OTHERS[1], OTHERS[2]] {
        assert_eq!(disturbs(4, step, SWEPT), cfg!(feature = "narrow"));
    }
}

#[test]
fn a_sweep_that_does_not_ask_whose_slot_it_is_is_caught() {
    let blind: Step = |world| world.table.sweep(OLD, || true, world);
    assert!(disturbs(1, blind, SWEPT));
}

/// A time that is stored too late has the tag of the next registration, and is below its floor.
#[test]
fn a_late_time_is_below_the_floor() {
    let is_stored = Cell::new(false);
    stop_everywhere(
        || registered(1 << STAMP),
        |world| world.table.records[0].entered(world.key, Of::Late, 20),
        REGISTERED,
        |world| {
            let record = &world.table.records[0];
            let next = world.table.key(0);
            assert_eq!(record.times.get(next.generation, Of::Late), None);
            let stored = record.times.stored(next.generation, Of::Late);
            is_stored.set(is_stored.get() || stored == Some(20));
        },
    );
    assert!(is_stored.get(), "without a floor it would count");
}

/// It is overwritten by the first time of the registration that it met.
#[test]
fn a_late_time_is_replaced() {
    let world = registered(1 << STAMP);
    world.register(NEXT);
    let (record, next) = (&world.table.records[0], world.table.key(0));
    let draining = Of::State(State::Draining);
    record
        .times
        .write_raw(State::Draining, (next.generation & mask(STAMP)) << 48 | 20);
    assert_eq!(record.times.get(next.generation, draining), None);
    for now in [60, 70] {
        record.entered(next, draining, now);
        assert_eq!(record.times.get(next.generation, draining), Some(60));
    }
    // Not before it was registered, which may be strictly newer than the clock.
    record.entered(next, Of::State(State::Closing), 49);
    assert_eq!(record.since(next, State::Closing), Some(50));
    record.entered(world.key, Of::Late, 80);
    assert_eq!(world.table.late(next), None, "of another registration");
}
