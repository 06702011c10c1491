//! The rules of process slots one by one, with what happens in between at its place.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;
use crate::sync::Real;
use crate::width;

const N: usize = 3;

type Table = Processes<Real, N>;

/// Something that happens once, between two steps of the one under test.
type Between<'a> = RefCell<Option<Box<dyn FnOnce() + 'a>>>;

/// What the kernel says, as the test has it. Bytes belong to the one under test or to others.
#[derive(Default)]
struct Machine<'a> {
    dead: Rc<[Cell<bool>; N]>,
    busy: RefCell<Vec<Byte>>,
    taken: RefCell<Vec<Byte>>,
    log: RefCell<Vec<Byte>>,
    /// Before the byte is taken, and after.
    before_take: Between<'a>,
    after_take: Between<'a>,
}

impl Machine<'_> {
    fn run(between: &Between<'_>) {
        let act = between.borrow_mut().take();
        if let Some(act) = act {
            act();
        }
    }
}

impl Kernel for Machine<'_> {
    fn try_take(&self, byte: Byte) -> bool {
        Self::run(&self.before_take);
        self.log.borrow_mut().push(byte);
        let is_free = !self.busy.borrow().contains(&byte);
        if is_free {
            self.taken.borrow_mut().push(byte);
        }
        Self::run(&self.after_take);
        is_free
    }
    fn give_back(&self, byte: Byte) {
        self.taken.borrow_mut().retain(|taken| *taken != byte);
    }
    fn verdict(&self, process: usize, _word: ProcessWord) -> Verdict {
        match self.dead[process].get() {
            true => Verdict::Gone,
            false => Verdict::Living,
        }
    }
}

fn nobody(_: &Dead<'_, Real>) {
    panic!("nobody died");
}

/// Claims a slot as another process does.
fn live(table: &Table, keeper: usize) -> usize {
    let machine = Machine::default();
    let (slot, word) = table.claim(&machine, nobody).unwrap();
    table.go_live(slot, word, keeper).unwrap();
    slot
}

#[test]
fn free_slots_are_claimed_first_and_each_claim_is_a_generation() {
    let (table, machine) = (Table::default(), Machine::default());
    for slot in 0..N {
        assert_eq!(live(&table, slot + 5), slot);
        let word = table.word(slot);
        assert!(word.is_live() && !word.is_free() && word.fault().is_none());
        assert_eq!((word.keeper(), word.generation()), (Some(slot + 5), 1));
    }
    assert!(table.occupied().eq(0..N));
    assert_eq!(table.claim(&machine, nobody), None);
    assert!(
        machine.log.borrow().is_empty(),
        "no byte of the living is asked for"
    );
    // One ends as it should, and one dies: the free one is taken without a sweep.
    assert!(table.free(2, table.word(2)));
    machine.dead[0].set(true);
    assert!(table.occupied().eq(0..2));
    let (slot, word) = table.claim(&machine, nobody).unwrap();
    assert_eq!((slot, word.generation(), word.keeper()), (2, 2, None));
    assert!(!word.is_live() && !word.is_free() && word.fault().is_none());
    assert_eq!(*machine.log.borrow(), [Byte::Life(2)]);
    // The dead one's is swept before it is claimed, under its other byte.
    let swept = Cell::new(0);
    let sweep = |dead: &Dead<'_, Real>| {
        assert!(dead.is_still() && dead.process() == 0);
        assert!(!machine.taken.borrow().contains(&Byte::Life(0)));
        assert!(machine.taken.borrow().contains(&Byte::Sweep(0)));
        swept.set(swept.get() + 1);
    };
    let (slot, word) = table.claim(&machine, sweep).unwrap();
    assert_eq!((slot, word.generation(), swept.get()), (0, 2, 1));
    assert_eq!(*machine.taken.borrow(), [Byte::Life(2), Byte::Life(0)]);
}

#[test]
fn a_sweep_takes_no_life_byte_and_gives_its_own_back() {
    let (table, machine) = (Table::default(), Machine::default());
    live(&table, 0);
    live(&table, 1);
    assert_eq!(table.reap(&machine, nobody), 0);
    machine.dead[1].set(true);
    let swept = Cell::new(None);
    assert_eq!(
        table.reap(&machine, |dead| swept.set(Some(dead.process()))),
        1
    );
    assert_eq!(swept.get(), Some(1));
    assert!(table.word(1).is_free() && table.word(0).is_live());
    assert_eq!(table.word(1).generation(), 1);
    assert_eq!(*machine.log.borrow(), [Byte::Sweep(1)]);
    assert!(machine.taken.borrow().is_empty());
    assert_eq!(table.reap(&machine, nobody), 0, "it was swept");
}

#[test]
fn a_slot_under_a_sweep_and_a_busy_slot_are_left_alone() {
    let (table, machine) = (Table::default(), Machine::default());
    live(&table, 0);
    machine.dead[0].set(true);
    machine.busy.borrow_mut().push(Byte::Sweep(0));
    assert_eq!(table.reap(&machine, nobody), 0);
    // A child of a dead holder has the byte of a slot that was swept.
    machine.busy.borrow_mut().push(Byte::Life(1));
    assert_eq!(table.claim(&machine, nobody).unwrap().0, 2);
    assert!(table.word(0).is_live() && table.word(1).is_free());
    // A remover has them all.
    machine.busy.borrow_mut().push(Byte::Life(2));
    assert_eq!(table.claim(&machine, nobody), None);
}

/// The sweeper is stopped between its first question and its byte: another sweeps, and
/// a process lives in the slot.
#[test]
fn it_is_asked_again_under_the_sweep_byte() {
    for is_claimed in [true, false] {
        let table = Table::default();
        live(&table, 0);
        let machine = Machine::default();
        machine.dead[0].set(true);
        let dead = Rc::clone(&machine.dead);
        let table = &table;
        *machine.before_take.borrow_mut() = Some(Box::new(move || {
            assert!(table.free(0, table.word(0)));
            dead[0].set(false);
            if is_claimed {
                assert_eq!(live(table, 7), 0);
            }
        }));
        assert_eq!(table.reap(&machine, nobody), 0);
        assert_eq!(table.word(0).is_live(), is_claimed);
    }
}

/// The sweeper has lost its byte in the middle, and is overtaken.
#[test]
fn an_overtaken_sweeper_sees_it_and_frees_nobody() {
    let (table, machine) = (Table::default(), Machine::default());
    live(&table, 0);
    machine.dead[0].set(true);
    let sweep = |dead: &Dead<'_, Real>| {
        assert!(dead.is_still());
        assert!(table.free(0, table.word(0)));
        assert!(!dead.is_still(), "already when it was swept");
        assert_eq!(live(&table, 7), 0);
        assert!(!dead.is_still());
    };
    assert_eq!(table.reap(&machine, sweep), 0);
    let word = table.word(0);
    assert!(word.is_live() && word.keeper() == Some(7));
}

/// The claimant is stopped with its life byte, loses it, and another takes the slot.
#[test]
fn an_overtaken_holder_moves_nothing() {
    let (table, machine) = (Table::default(), Machine::default());
    *machine.after_take.borrow_mut() = Some(Box::new(|| assert_eq!(live(&table, 7), 0)));
    let (slot, mine) = table.claim(&machine, nobody).unwrap();
    assert_eq!(slot, 1, "the first one went to another");
    assert_eq!(
        *machine.taken.borrow(),
        [Byte::Life(1)],
        "its byte was given back"
    );
    // Swept in the middle of attaching, and the slot is another's.
    machine.dead[1].set(true);
    let other = Machine {
        dead: Rc::clone(&machine.dead),
        ..Machine::default()
    };
    assert_eq!(table.reap(&other, |_| ()), 1);
    assert_eq!(table.go_live(1, mine, 3), None);
    assert!(table.is_lost(1, mine) && !table.is_lost(1, table.word(1)));
    assert_eq!(live(&table, 8), 1);
    assert!(table.is_lost(1, mine));
    let next = table.word(1);
    assert_eq!(table.go_live(1, mine, 3), None);
    assert_eq!(table.renew(1, mine), None);
    assert!(
        !table.free(1, mine),
        "a late end does not free the next holder's"
    );
    table.identify(
        1,
        mine,
        Identity {
            pid: 9,
            start_time: 9,
            pid_namespace: 9,
        },
    );
    table.set_lockless(1, mine, true);
    assert!(table.word(1) == next && !table.is_lockless(1));
    assert_eq!(table.identity(1, next), None);
}

/// A process without life words that has its byte again is another incarnation to sweepers.
#[test]
fn a_renewed_holder_is_swept_by_nobody_who_began_before() {
    let (table, machine) = (Table::default(), Machine::default());
    live(&table, 4);
    machine.dead[0].set(true);
    let sweep = |dead: &Dead<'_, Real>| {
        let renewed = table.renew(0, table.word(0)).unwrap();
        assert_eq!((renewed.generation(), renewed.keeper()), (2, Some(4)));
        assert!(renewed.is_live() && !dead.is_still());
    };
    assert_eq!(table.reap(&machine, sweep), 0);
    assert!(table.word(0).is_live());
}

#[test]
fn an_identity_ends_with_its_generation() {
    let table = Table::default();
    live(&table, 0);
    let word = table.word(0);
    let identity = Identity {
        pid: 1234,
        start_time: 77,
        pid_namespace: 0xf000_0001,
    };
    assert_eq!(table.identity(0, word), None);
    table.identify(0, word, identity);
    assert_eq!(table.identity(0, word), Some(identity));
    let next = table.renew(0, word).unwrap();
    assert_eq!(table.identity(0, next), None, "of the one before");
    assert_eq!(table.pid(0), 1234);
    let large = Identity {
        pid: 1 << 22,
        start_time: 1 << 40,
        pid_namespace: 1 << 32,
    };
    table.identify(0, next, large);
    assert_eq!(table.identity(0, next), Some(Identity::default()));
    table.set_lockless(0, next, true);
    assert!(table.is_lockless(0));
    table.set_lockless(0, next, false);
    assert!(!table.is_lockless(0));
}

#[test]
fn messages_stay_until_they_are_taken() {
    let table = Table::default();
    table.send(1, LOCK_LOST);
    table.send(1, ORDER);
    table.send(N, ORDER);
    assert_eq!(table.take_inbox(1), LOCK_LOST | ORDER);
    assert_eq!((table.take_inbox(1), table.take_inbox(N)), (0, 0));
}

#[test]
fn there_is_nothing_beyond_the_table() {
    let table = Table::default();
    let word = ProcessWord::free(0);
    assert!(table.get(N).is_none() && table.get(N - 1).is_some());
    assert!(table.go_live(N, word, 1).is_none() && !table.free(N, word));
    assert!(table.word(N).is_free() && table.word(N).raw() == 0);
    assert!(table.identity(N, word).is_none() && table.pid(N) == 0);
}

#[test]
fn words_that_no_release_writes_are_reported() {
    let last = width::mask(width::PROCESS);
    for good in [
        ProcessWord::free(last),
        ProcessWord::starting(last),
        ProcessWord::live(last, 0),
        ProcessWord::live(last, 0x1ffe),
    ] {
        assert_eq!((good.fault(), good.generation()), (None, last), "{good:?}");
    }
    assert_eq!(ProcessWord::live(3, 0x1ffe).keeper(), Some(0x1ffe));
    assert_eq!(
        ProcessWord::free(last).claimed().generation(),
        0,
        "it goes round"
    );
    let (table, mine) = (Table::default(), ProcessWord::live(1, 0));
    let bad = [
        3,
        2,
        1 << 2,
        1 << 2 | 1,
        ProcessWord::live(last, 0).raw() | 1 << 63,
    ];
    for bad in bad {
        assert!(ProcessWord::from_raw(bad).fault().is_some(), "{bad:#x}");
        table.get(0).unwrap().word.store(bad, Ordering::Relaxed);
        assert!(!table.is_lost(0, mine), "{bad:#x} has no owner");
    }
}
