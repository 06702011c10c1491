//! The rules of waits one by one, by threads that take turns.

use super::*;
use crate::sync::Real;
use crate::table::known::{Known, owner};

type Table = Waits<Real, 4>;

fn locks(owners: [Option<u16>; 3]) -> [Mutex<Real>; 3] {
    owners.map(|slot| {
        let lock = Mutex::<Real>::default();
        if let Some(slot) = slot {
            assert!(lock.take_free(owner(slot)).is_some());
        }
        lock
    })
}

fn waiter<'a>(
    waits: &'a Table,
    locks: &'a [Mutex<Real>],
    env: &'a Known,
    slot: u16,
    lock: usize,
) -> Waiter<'a, Real, Known, 4> {
    let (me, is_published) = (owner(slot), Cell::new(false));
    let deadlock = RefCell::default();
    Waiter {
        waits,
        locks,
        env,
        me,
        lock,
        is_published,
        deadlock,
    }
}

#[test]
fn a_wait_is_its_threads_alone_and_each_has_a_number() {
    let waits = Table::default();
    assert_eq!((waits.of(owner(1)), waits.is_clear(1)), (None, true));
    waits.publish(owner(1), 0, 50);
    assert_eq!(
        (waits.of(owner(1)), waits.is_clear(1)),
        (Some((0, 50)), false)
    );
    let first = waits.0[1].word.load(Ordering::Relaxed);
    let other = Owner {
        generation: owner(1).generation - 1,
        ..owner(1)
    };
    assert_eq!(waits.of(other), None, "the slot has another holder");
    waits.clear_dead(other, || false);
    assert_eq!(waits.of(owner(1)), Some((0, 50)));
    waits.clear_dead(owner(1), || true);
    assert_eq!((waits.of(owner(1)), waits.is_clear(1)), (None, true));
    waits.clear_dead(owner(1), || panic!("there is nothing to clear"));
    waits.clear_dead(owner(9), || panic!("there is no such slot"));
    waits.publish(owner(1), 0, 60);
    let second = waits.0[1].word.load(Ordering::Relaxed);
    assert_eq!(second, first + SEQUENCE_ONE);
    waits.0[1].word.store(SEQUENCE, Ordering::Relaxed);
    waits.publish(owner(1), MAX_LOCKS - 1, 70);
    assert_eq!(waits.of(owner(1)), Some((MAX_LOCKS - 1, 70)));
    let word = waits.0[1].word.load(Ordering::Relaxed);
    assert_eq!(
        (word & SEQUENCE, word & VICTIM),
        (0, 0),
        "it wraps in its field"
    );
    waits.publish(owner(9), 0, 1);
    waits.clear(owner(9));
    assert_eq!(waits.of(owner(9)), None, "there is no such slot");
}

#[test]
fn a_circle_of_the_living_is_seen_by_each_of_its_members() {
    let (waits, env) = (Table::default(), Known::default());
    let locks = locks([Some(1), Some(2), Some(3)]);
    let through = |slot| waits.cycle_through(owner(slot), &locks, &env);
    waits.publish(owner(1), 1, 10);
    assert_eq!(through(1), None);
    waits.publish(owner(2), 0, 20);
    // Outside, and leading in.
    waits.publish(owner(3), 0, 30);
    assert_eq!(through(3), None);
    for (slot, other) in [(1, 2), (2, 1)] {
        let members: Vec<_> = through(slot)
            .unwrap()
            .iter()
            .map(|edge| edge.waiter)
            .collect();
        assert_eq!(members, [owner(slot), owner(other)]);
    }
    let cycle = through(1).unwrap();
    assert_eq!((cycle[0].lock, cycle[0].holder), (1, owner(2)));
    assert_eq!(victim(&cycle).map(|edge| edge.waiter), Some(owner(2)));
    assert_eq!(victim(&[]), None);
    env.dead.set(Some(owner(2)));
    assert_eq!(through(1), None, "a death resolves it");
    env.dead.set(None);
    waits.clear(owner(2));
    assert_eq!(through(1), None);
}

#[test]
fn the_victim_gives_up_and_any_other_marks_it() {
    let (waits, env) = (Table::default(), Known::default());
    env.now.set(40);
    let locks = locks([Some(1), Some(2), None]);
    let waiter = |slot, lock| waiter(&waits, &locks, &env, slot, lock);
    let (one, two) = (waiter(1, 1), waiter(2, 0));
    let asleep_on = |waiter: &Waiter<'_, _, _, 4>| {
        let sleep = waiter.before_sleep().ok().flatten();
        sleep.map(|(_, value)| value)
    };
    let word = |slot: usize| waits.0[slot].word.load(Ordering::Relaxed);
    assert!(asleep_on(&two).is_some());
    assert_eq!(
        (waits.of(owner(2)), one.is_published.get()),
        (Some((0, 40)), false)
    );
    assert_eq!(word(2) & VICTIM, 0);
    // The lower one comes last: it marks the higher and sleeps.
    assert_eq!(asleep_on(&one), Some(word(1) as u32));
    assert_eq!(word(2) & VICTIM, VICTIM);
    assert_eq!(asleep_on(&one), Some(word(1) as u32), "it is marked once");
    assert!(matches!(two.before_sleep(), Err(CalledOff)));
    assert_eq!(word(2) & VICTIM, 0, "it has looked");
    let members: Vec<_> = two.end().iter().map(|edge| edge.waiter).collect();
    assert_eq!(members, [owner(2), owner(1)]);
    assert!(waits.is_clear(2) && !waits.is_clear(1));
    assert_eq!(one.end(), []);
    assert!(waits.is_clear(1));
    // One that never slept clears nothing that it did not publish.
    waits.publish(owner(1), 2, 1);
    assert_eq!(waiter(1, 2).end(), []);
    assert!(!waits.is_clear(1));
}

#[test]
fn a_mark_of_a_wait_that_is_over_is_not_made() {
    let (waits, env) = (Table::default(), Known::default());
    let locks = locks([Some(1), Some(2), None]);
    waits.publish(owner(1), 1, 10);
    waits.publish(owner(2), 0, 20);
    let cycle = waits.cycle_through(owner(1), &locks, &env).unwrap();
    let edge = victim(&cycle).unwrap();
    waits.publish(owner(2), 0, 30);
    assert!(!waits.mark(edge));
    assert_eq!(waits.0[2].word.load(Ordering::Relaxed) & VICTIM, 0);
    // A mark alone calls nobody's wait off.
    waits.clear(owner(1));
    waits.0[2].word.fetch_or(VICTIM, Ordering::Relaxed);
    let two = waiter(&waits, &locks, &env, 2, 0);
    two.is_published.set(true);
    let (_, asleep_on) = two.before_sleep().ok().flatten().unwrap();
    let word = waits.0[2].word.load(Ordering::Relaxed);
    assert_eq!(asleep_on, word as u32);
    assert_eq!(VICTIM & (LOCK | SEQUENCE | u64::MAX << GENERATION_SHIFT), 0);
    assert!(VICTIM.is_power_of_two());
    assert_eq!(word & VICTIM, 0);
}

/// One that clears up after a dead thread is stopped, and the slot's next holder waits. What
/// guards that one's wait is the question between load and swap, at any width: here its
/// generation agrees with the dead one's in the bits that the word has.
#[test]
fn a_late_clearing_leaves_the_next_holders_wait() {
    let waits = Table::default();
    let dead = owner(1);
    let next = Owner {
        generation: dead.generation + (1 << width::WAIT_THREAD),
        ..dead
    };
    let waits_again = || {
        waits.clear(dead);
        waits.publish(next, 1, 20);
    };
    // Stopped before its read.
    waits.publish(dead, 0, 10);
    waits_again();
    waits.clear_dead(dead, || false);
    assert_eq!(waits.of(next), Some((1, 20)));
    // Stopped after it asked.
    waits.clear(next);
    waits.publish(dead, 0, 10);
    waits.clear_dead(dead, || {
        waits_again();
        true
    });
    assert_eq!(waits.of(next), Some((1, 20)));
}

/// A marker is stopped before its swap. Width is what keeps its mark off a later wait; one
/// that gets it all the same searches itself and sleeps again.
#[test]
fn width_keeps_a_late_mark_off_a_later_wait() {
    let (waits, env) = (Table::default(), Known::default());
    let locks = locks([Some(1), Some(2), None]);
    waits.publish(owner(1), 1, 10);
    waits.publish(owner(2), 0, 20);
    let cycle = waits.cycle_through(owner(1), &locks, &env).unwrap();
    let seen = victim(&cycle).unwrap();
    waits.clear(owner(1));
    let round = if cfg!(feature = "narrow") {
        1 << width::WAIT
    } else {
        1 << 16
    };
    for _ in 0..round {
        waits.publish(owner(2), 0, 30);
    }
    let is_same = cfg!(feature = "narrow");
    assert_eq!(waits.mark(seen), is_same);
    let two = waiter(&waits, &locks, &env, 2, 0);
    two.is_published.set(true);
    assert!(two.before_sleep().is_ok(), "there is no cycle any more");
}

#[test]
fn waits_of_the_dead_and_of_earlier_holders_are_taken_back() {
    let threads = crate::table::threads::Threads::<Real, 4>::default();
    let waits = Table::default();
    let [lives, dies, earlier] = [(); 3].map(|()| threads.attach(1).unwrap());
    for one in [lives, dies, earlier] {
        assert!(threads.go_live(one, 1));
        waits.publish(one, 0, 1);
    }
    let slot = usize::from(earlier.slot);
    assert!(threads.free(slot, threads.word(slot)));
    waits.settle(&threads, |one| one == dies);
    let are_clear = [0, 1, 2].map(|slot| waits.is_clear(slot));
    assert_eq!(are_clear, [false, true, true]);
    // The next holder's is not the earlier one's.
    let next = threads.attach(1).unwrap();
    waits.publish(next, 0, 1);
    waits.settle(&threads, |_| false);
    assert!(!waits.is_clear(slot));
}
