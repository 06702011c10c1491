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
        generation: 8,
        ..owner(1)
    };
    assert_eq!(waits.of(other), None, "the slot has another holder");
    waits.clear_dead(other);
    assert_eq!(waits.of(owner(1)), Some((0, 50)));
    waits.clear_dead(owner(1));
    assert_eq!((waits.of(owner(1)), waits.is_clear(1)), (None, true));
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
