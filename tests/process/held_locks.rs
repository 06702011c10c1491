//! What a thread holds is known however much it is, and through how many segments.

use std::sync::{Arc, Barrier};

use crate::support::{Place, both};
use ebbtide::{CrossProcessLock, DeadlockDetector, LockError, SegmentOptions};

/// More than what a thread has at hand.
const MANY: usize = 12;

#[test]
fn locks_of_two_segments_are_given_back_in_any_order_and_their_order_is_known() {
    both(here!(), |place| {
        let segment = place.create();
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let other = options.create("other").unwrap();
        let open = |index| CrossProcessLock::open(&segment, &format!("l{index:02}")).unwrap();
        let locks: Vec<_> = (0..MANY).map(|index| open(index).deny_disorder()).collect();
        let beside = CrossProcessLock::open(&other, "beside").unwrap();

        // Each after all before it, with the other segment taken in between; given back
        // from the middle, the ends last.
        let mut held = Vec::new();
        for lock in &locks {
            held.push(lock.lock().unwrap());
            drop(beside.lock().unwrap());
        }
        let middle = held.drain(3..MANY - 1).rev().collect::<Vec<_>>();
        drop(middle);
        for lock in &locks[3..MANY - 1] {
            assert_eq!(lock.holder(), None);
        }
        for index in [0, 1, 2, MANY - 1] {
            assert!(locks[index].holder().is_some(), "{index}");
        }
        // The last is held: none that came before it may be taken now.
        for lock in &locks[3..MANY - 1] {
            assert_is!(lock.lock(), Err(LockError::OrderViolation { .. }));
        }
        held.clear();
        drop(beside.lock().unwrap());
        assert!(locks.iter().all(|lock| lock.holder().is_none()));

        // With nothing held any of them may be taken, and with the first held all others.
        for lock in locks.iter().rev() {
            drop(lock.lock().unwrap());
        }
        let first = locks[0].lock().unwrap();
        for lock in &locks[1..] {
            drop(lock.lock().unwrap());
        }
        drop(first);
        // Only the pairs that were refused above are on record.
        let violations = DeadlockDetector::new(&segment).violations().unwrap();
        assert_eq!(violations.len(), MANY - 4, "{violations:?}");
    });
}

#[test]
fn a_lock_taken_at_once_is_as_recursive_as_any() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        for _ in 0..3 {
            let guard = lock.lock().unwrap();
            assert_is!(lock.lock(), Err(LockError::Recursive { .. }));
            assert_is!(lock.try_lock(), Err(LockError::Recursive { .. }));
            drop(guard);
        }
        // In a thread that has never taken one, and that ends holding it.
        let leaking = lock.clone();
        let thread = std::thread::spawn(move || {
            drop(leaking.lock().unwrap());
            std::mem::forget(leaking.lock().unwrap());
        });
        thread.join().unwrap();
        assert!(lock.lock().unwrap().previous_owner_died());
    });
}

#[test]
fn threads_leave_an_attachment_that_is_over_when_they_come_to_another() {
    both(here!(), |place| {
        let segment = place.create();
        let observer = place.options.observe(Place::NAME).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let other = options.create("other").unwrap();
        let lock = Arc::new(CrossProcessLock::open(&segment, "here").unwrap());
        let beside = Arc::new(CrossProcessLock::open(&other, "beside").unwrap());
        let (step, seen) = (Arc::new(Barrier::new(3)), &observer);
        let pool: Vec<_> = (0..2)
            .map(|_| {
                let (lock, beside, step) = (lock.clone(), beside.clone(), step.clone());
                std::thread::spawn(move || {
                    drop(lock.lock().unwrap());
                    drop(lock);
                    step.wait();
                    step.wait();
                    drop(beside.lock().unwrap());
                    step.wait();
                    step.wait();
                })
            })
            .collect();
        step.wait();
        drop((lock, segment));
        assert_eq!(seen.status().unwrap().attached, 1, "the threads are there");
        step.wait();
        step.wait();
        assert_eq!(seen.status().unwrap().attached, 0, "and have left");
        step.wait();
        for thread in pool {
            thread.join().unwrap();
        }
    });
}
