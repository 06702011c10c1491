//! The rules of thread slots one by one: life words that say what they are told to.

use core::cell::Cell;
use core::sync::atomic::Ordering;

use super::threads::{LifeSign, ThreadWord, Threads};
use crate::sync::life::{OWNER_DIED, WAITERS};
use crate::sync::{LifeArea, Owner, Pulse, Real};
use crate::width;

const N: usize = 4;

type Table = Threads<Real, N>;

/// A thread id.
const BEATS: u32 = 77;

fn set_life(table: &Table, slot: usize, value: u32) {
    let life = &table.get(slot).unwrap().life;
    life.word().store(value, Ordering::Relaxed);
}

/// A live thread of a process.
fn live(table: &Table, process: usize, life: u32) -> Owner {
    let owner = table.attach(process).unwrap();
    set_life(table, usize::from(owner.slot), life);
    assert!(table.go_live(owner, process));
    owner
}

/// Frees a slot from its present holder.
fn free(table: &Table, slot: usize) {
    assert!(table.free(slot, table.word(slot)));
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Dead,
    ByWord(usize),
    ByByte,
}

fn told(table: &Table, pulse: &Pulse<'_, Real>) -> Told {
    match pulse {
        Pulse::Dead => Told::Dead,
        Pulse::Alive(None) => Told::ByByte,
        Pulse::Alive(Some(word)) => {
            let is_it = |slot: &usize| core::ptr::eq(table.get(*slot).unwrap().life.word(), *word);
            Told::ByWord((0..N).find(is_it).unwrap())
        }
    }
}

#[test]
fn slots_are_taken_in_order_and_each_holder_is_a_generation() {
    let table = Table::default();
    assert_eq!((table.used(), table.word(0).is_free()), (0, true));
    for slot in 0..N as u16 {
        let generation = 0;
        let owner = Owner { slot, generation };
        assert_eq!(table.attach(9), Some(owner));
        let word = table.word(usize::from(slot));
        assert!(!word.is_free() && !word.is_live() && word.fault().is_none());
        assert_eq!(
            (word.process(), table.used()),
            (Some(9), usize::from(slot) + 1)
        );
        assert!(table.go_live(owner, 9));
        let word = table.word(usize::from(slot));
        assert!(word.is_live() && !word.is_free() && word.fault().is_none());
        assert_eq!((word.process(), word.generation()), (Some(9), 0));
    }
    assert_eq!(table.attach(9), None);
    free(&table, 1);
    let word = table.word(1);
    assert!(word.is_free() && word.fault().is_none());
    assert_eq!((word.process(), word.generation()), (None, 1));
    let (slot, generation) = (1, 1);
    assert_eq!(table.attach(3), Some(Owner { slot, generation }));
    assert_eq!(table.used(), N, "it is never lowered");
    assert!(table.of_process(3).eq([1]));
    assert!(table.of_process(9).eq([0, 2, 3]));
    free(&table, 0);
    assert!(table.of_process(9).eq([2, 3]));
    assert!(table.get(N).is_none() && table.word(N).is_free());
}

#[test]
fn a_high_water_mark_that_somebody_else_wrote_is_bounded() {
    let table = Table::default();
    table.high_water.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(table.used(), N);
}

#[test]
fn a_life_word_speaks_only_for_a_live_slot() {
    let table = Table::default();
    let owner = table.attach(2).unwrap();
    let sign = |slot| match table.life_of(slot) {
        LifeSign::Beats(_) => "beats",
        LifeSign::Marked => "marked",
        LifeSign::Silent => "silent",
    };
    set_life(&table, 0, BEATS);
    assert_eq!(sign(0), "silent", "it is attaching");
    assert!(table.go_live(owner, 2));
    for (life, expected) in [
        (BEATS, "beats"),
        (BEATS | WAITERS, "beats"),
        (BEATS | OWNER_DIED, "marked"),
        (OWNER_DIED, "marked"),
        (0, "silent"),
        (WAITERS, "silent"),
    ] {
        set_life(&table, 0, life);
        assert_eq!(sign(0), expected, "{life:#x}");
    }
    assert_eq!((sign(1), sign(N)), ("silent", "silent"));
}

#[test]
fn a_process_lives_by_its_keeper_then_by_its_byte() {
    let table = Table::default();
    live(&table, 5, BEATS);
    live(&table, 5, BEATS + 1);
    live(&table, 6, BEATS + 2);
    let asked = Cell::new(0);
    let pulse = |keeper, byte: bool| {
        let fallback = || {
            asked.set(asked.get() + 1);
            byte
        };
        told(&table, &table.pulse_of_process(5, keeper, fallback))
    };
    assert_eq!(pulse(Some(0), false), Told::ByWord(0));
    assert_eq!(pulse(Some(1), false), Told::ByWord(1));
    assert_eq!(asked.get(), 0, "a word that beats is enough");
    // Nobody's keeper, and another process's.
    for keeper in [None, Some(2), Some(3), Some(N)] {
        assert_eq!(pulse(keeper, true), Told::ByByte, "{keeper:?}");
        assert_eq!(pulse(keeper, false), Told::Dead, "{keeper:?}");
    }
    // The keeper is dead: another thread's word counts only with the byte.
    set_life(&table, 0, OWNER_DIED);
    assert_eq!(pulse(Some(0), true), Told::ByWord(1));
    assert_eq!(pulse(Some(0), false), Told::Dead);
    set_life(&table, 1, OWNER_DIED);
    asked.set(0);
    assert_eq!(pulse(Some(0), true), Told::Dead);
    assert_eq!(asked.get(), 0, "no word beats");
    set_life(&table, 0, 0);
    assert_eq!(
        (pulse(Some(0), true), pulse(Some(0), false)),
        (Told::ByByte, Told::Dead)
    );
}

#[test]
fn a_thread_lives_by_its_own_word_unless_its_process_is_gone() {
    let table = Table::default();
    live(&table, 5, BEATS);
    let owner = live(&table, 5, BEATS + 1);
    let pulse = |owner, keeper, byte: bool| {
        let keeper = |process| {
            assert_eq!(process, 5);
            keeper
        };
        told(&table, &table.pulse_of_thread(owner, keeper, |_| byte))
    };
    assert_eq!(pulse(owner, Some(0), false), Told::ByWord(1));
    assert_eq!(pulse(owner, None, false), Told::ByWord(1));
    let generation = owner.generation + 1;
    assert_eq!(
        pulse(
            Owner {
                generation,
                ..owner
            },
            Some(0),
            true
        ),
        Told::Dead
    );
    let slot = 3;
    assert_eq!(pulse(Owner { slot, ..owner }, Some(0), true), Told::Dead);
    // A marked keeper and a byte that nobody holds: the word's holder is no thread of it.
    set_life(&table, 0, OWNER_DIED);
    assert_eq!(pulse(owner, Some(0), false), Told::Dead);
    assert_eq!(pulse(owner, Some(0), true), Told::ByWord(1));
    // It is another process's keeper, so it says nothing.
    free(&table, 0);
    live(&table, 6, OWNER_DIED);
    assert_eq!(pulse(owner, Some(0), false), Told::ByWord(1));
    set_life(&table, 1, BEATS | OWNER_DIED);
    assert_eq!(pulse(owner, Some(0), true), Told::Dead);
    set_life(&table, 1, 0);
    assert_eq!(
        (pulse(owner, None, true), pulse(owner, None, false)),
        (Told::ByByte, Told::Dead)
    );
    free(&table, 1);
    assert_eq!(pulse(owner, None, true), Told::Dead);
    let attaching = table.attach(5).unwrap();
    assert_eq!(
        pulse(attaching, None, true),
        Told::Dead,
        "it owns nothing yet"
    );
}

#[test]
fn words_that_no_release_writes_are_told() {
    let table = Table::default();
    const LAST: usize = 0x7fe;
    let owner = table.attach(LAST).unwrap();
    assert!(table.go_live(owner, LAST));
    let live = table.word(0).raw();
    assert_eq!(
        (table.word(0).process(), table.word(0).fault()),
        (Some(LAST), None)
    );
    let fault = |raw: u64| {
        table.get(0).unwrap().word.store(raw, Ordering::Relaxed);
        ThreadWord::fault(table.word(0)).is_some()
    };
    let (free, attaching) = (live & !0b11, live & !0b11 | 1);
    let generation = width::mask(width::THREAD) << 13;
    assert!(!fault(live | generation) && !fault(attaching) && !fault(generation) && !fault(0));
    let nobody = !(0x7ff << 2);
    for bad in [live | 3, free, live & nobody, attaching & nobody, 3] {
        assert!(fault(bad), "{bad:#x}");
    }
    for bit in [13 + width::THREAD, 63] {
        assert!(fault(live | 1 << bit), "bit {bit}");
    }
}

#[test]
fn a_slot_whose_life_word_is_held_is_not_given_away() {
    let table = Table::default();
    let first = live(&table, 1, BEATS);
    // Bytes say that it is free.
    free(&table, usize::from(first.slot));
    assert_eq!(table.attach(2).map(|owner| owner.slot), Some(1));
    for slot in [2, 3] {
        assert_eq!(table.attach(2).map(|owner| owner.slot), Some(slot));
    }
    assert_eq!(table.attach(2), None);
    // Held by one who sleepers wait for, too; and then by one who is no more.
    set_life(&table, 0, WAITERS | BEATS);
    let asked = Cell::new(0);
    let lives = |id| {
        asked.set(id);
        true
    };
    assert_eq!((table.attach_unless(2, lives), asked.get()), (None, BEATS));
    assert_eq!(
        table.attach_unless(2, |_| false).map(|owner| owner.slot),
        Some(0)
    );
    // The kernel's mark needs no other word.
    free(&table, 0);
    set_life(&table, 0, OWNER_DIED | BEATS);
    assert_eq!(table.attach(2).map(|owner| owner.slot), Some(0));
}

/// How many threads of a slot it takes until a name agrees with an old one in 16 bits; with
/// narrow names, in all of them.
const ROUND: u64 = if cfg!(feature = "narrow") {
    1 << width::THREAD
} else {
    1 << 16
};

/// `threads` threads attach to the first slot in turn; the last one stays.
fn go_round(table: &Table, threads: u64) -> Owner {
    for _ in 1..threads {
        let owner = live(table, 1, 0);
        assert_eq!(owner.slot, 0);
        free(table, 0);
    }
    live(table, 1, BEATS)
}

#[test]
fn a_slot_is_freed_by_one_and_never_under_its_next_holder() {
    let table = Table::default();
    let first = live(&table, 1, OWNER_DIED);
    let (seen, also_seen) = (table.word(0), table.word(0));
    assert!(table.free(0, seen) && !table.free(0, also_seen));
    let second = live(&table, 1, BEATS);
    assert_eq!((second.slot, second.generation), (0, first.generation + 1));
    assert!(!table.free(0, seen), "it was seen with another holder");
    assert!(table.word(0).is_of(second) && !table.word(0).is_of(first));
    let of_another = ThreadWord::live(second, 2);
    assert!(!table.free(0, of_another), "it is of another process");
    assert!(!table.free(N, seen), "there is no such slot");
    assert!(table.free(0, ThreadWord::live(second, 1)));
}

#[test]
fn a_slot_that_was_taken_away_does_not_go_live() {
    let table = Table::default();
    let first = table.attach(1).unwrap();
    free(&table, 0);
    assert!(!table.go_live(first, 1) && table.word(0).is_free());
    let second = table.attach(2).unwrap();
    assert!(!table.go_live(first, 1) && !table.go_live(second, 1));
    assert!(table.go_live(second, 2) && !table.go_live(second, 2));
}

#[test]
fn a_free_slot_with_other_bits_is_taken_with_its_generation_alone() {
    let table = Table::default();
    let word = &table.get(0).unwrap().word;
    word.store(!0b11, Ordering::Relaxed);
    let owner = table.attach(1).unwrap();
    assert_eq!(
        (owner.slot, owner.generation),
        (0, width::mask(width::THREAD))
    );
    assert!(table.go_live(owner, 1) && table.word(0).fault().is_none());
}

#[test]
fn a_refused_attach_moves_no_word() {
    let table = Table::default();
    while table.attach(1).is_some() {}
    let words = |table: &Table| [0, 1, 2, 3].map(|slot| table.word(slot).raw());
    let before = words(&table);
    assert_eq!(table.attach(2), None);
    assert_eq!(table.attach_unless(2, |_| false), None);
    assert_eq!(words(&table), before);
}

/// A freer is stopped before its compare-and-swap, and the slot goes on until the name
/// agrees in 16 bits. Width is what guards the next holder: narrow names come round.
#[test]
fn width_guards_a_slot_against_a_late_free() {
    let table = Table::default();
    let first = live(&table, 1, OWNER_DIED);
    let seen = table.word(0);
    free(&table, 0);
    let later = go_round(&table, ROUND);
    let is_same = cfg!(feature = "narrow");
    assert_eq!(later.generation & 0xffff, first.generation & 0xffff);
    assert_eq!(later == first, is_same);
    assert_eq!(
        table.free(0, seen),
        is_same,
        "the living one's slot was freed"
    );
    assert_eq!(table.word(0).is_of(later), !is_same);
}

#[test]
fn only_the_ended_are_freed_after_what_they_hold_and_no_keeper() {
    let table = Table::default();
    let keeper = live(&table, 1, OWNER_DIED);
    let ended = live(&table, 1, OWNER_DIED | WAITERS);
    let alive = live(&table, 1, BEATS);
    let silent = live(&table, 1, 0);
    let handed_over = Cell::new(None);
    let free_ended = || {
        table.free_ended(
            |process, slot| {
                assert_eq!(process, 1);
                slot == usize::from(keeper.slot)
            },
            |owner| {
                assert!(table.word(usize::from(owner.slot)).is_of(owner), "before");
                assert_eq!(handed_over.replace(Some(owner)), None);
            },
        )
    };
    assert_eq!((free_ended(), handed_over.get()), (1, Some(ended)));
    assert!(table.word(1).is_free());
    for owner in [keeper, alive, silent] {
        assert!(table.word(usize::from(owner.slot)).is_of(owner));
        assert_eq!(table.process_of(owner), Some(1));
    }
    assert_eq!(table.process_of(ended), None);
    assert_eq!(free_ended(), 0);
    // The mark of an earlier holder is none of one that attaches.
    assert_eq!(table.attach(1).map(|owner| owner.slot), Some(1));
    assert_eq!(free_ended(), 0);
}

#[test]
fn one_of_two_frees_what_has_ended() {
    let table = Table::default();
    live(&table, 1, OWNER_DIED);
    let freed = table.free_ended(
        |_, _| false,
        |_| assert_eq!(table.free_ended(|_, _| false, |_| ()), 1, "the other"),
    );
    assert_eq!((freed, table.word(0).generation()), (0, 1));
}
