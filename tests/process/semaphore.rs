//! Named semaphores: permits come back when their holders die.

use std::time::Duration;

use crate::support::{HANG, both, once, until_true};
use ebbtide::{CrossProcessSemaphore, SemaphoreError};

#[test]
fn no_more_holders_than_permits_and_a_dead_ones_comes_back() {
    both(here!(), |place| {
        let segment = place.create();
        let slots = CrossProcessSemaphore::open(&segment, "slots", 3).unwrap();
        let mut holders = place.runners(&segment, ["a", "b"]);
        for holder in &mut holders {
            holder.tell("permit slots 3 30000");
            holder.event("permitted");
        }
        let mine = slots.try_acquire().unwrap();
        assert_eq!(slots.available(), 0);
        let error = slots.try_acquire().unwrap_err();
        let SemaphoreError::WouldBlock { holders: named, .. } = &error else {
            panic!("{error:?}")
        };
        assert!(
            named.len() == 3 && named[0].contains("runner \"a\""),
            "{named:?}"
        );
        let error = slots
            .acquire_timeout(Duration::from_millis(20))
            .unwrap_err();
        assert_is!(error, SemaphoreError::TimedOut { waited, .. } if waited.as_millis() >= 20);
        // A third waits; then whoever holds one dies.
        let mut waiter = place.agent(&segment);
        waiter.tell("permit slots 3 3600000");
        waiter.until_asleep();
        holders[1].kill();
        waiter.event("permitted");
        assert_eq!(slots.available(), 0);
        holders[0].kill();
        let another = slots.acquire_timeout(HANG).unwrap();
        drop((mine, another));
        until_true("both are back", || slots.available() == 2);
        waiter.kill();
        until_true("all are back", || slots.available() == 3);
    });
}

#[test]
fn every_waiter_gets_one_as_permits_are_given_back_and_waiters_die() {
    both(here!(), |place| {
        let segment = place.create();
        let slots = CrossProcessSemaphore::open(&segment, "slots", 1).unwrap();
        for _ in 0..5 {
            let mine = slots.acquire_timeout(HANG).unwrap();
            let mut waiters: [_; 3] = std::array::from_fn(|_| place.agent(&segment));
            for waiter in &mut waiters {
                waiter.tell("permit slots 1 3600000");
                waiter.until_asleep();
            }
            // It may have been the one to be woken.
            waiters[0].shoot();
            drop(mine);
            let mut left: Vec<_> = waiters[1..].iter_mut().collect();
            while !left.is_empty() {
                let next = crate::support::until("somebody has it", || {
                    left.iter_mut().position(|waiter| waiter.has("permitted"))
                });
                left.remove(next).kill();
            }
        }
        drop(slots.acquire_timeout(HANG).unwrap());
    });
}

#[test]
fn a_thread_that_ends_gives_its_permits_back() {
    both(here!(), |place| {
        let segment = place.create();
        let slots = CrossProcessSemaphore::open(&segment, "slots", 2).unwrap();
        let leaking = slots.clone();
        std::thread::spawn(move || {
            std::mem::forget(leaking.acquire().unwrap());
            std::mem::forget(leaking.acquire().unwrap());
            assert_eq!(leaking.available(), 0);
        })
        .join()
        .unwrap();
        let both = [slots.acquire_timeout(HANG), slots.acquire_timeout(HANG)];
        assert!(both.iter().all(Result::is_ok));
    });
}

#[test]
fn a_stopped_holder_keeps_its_permit() {
    both(here!(), |place| {
        let segment = place.create();
        let slots = CrossProcessSemaphore::open(&segment, "slots", 1).unwrap();
        let mut holder = place.agent(&segment);
        holder.tell("permit slots 1 30000");
        holder.event("permitted");
        holder.stop();
        let error = slots
            .acquire_timeout(Duration::from_millis(50))
            .unwrap_err();
        assert_is!(error, SemaphoreError::TimedOut { ref holders, .. } if holders.len() == 1);
        holder.go_on();
        holder.kill();
        drop(slots.acquire_timeout(HANG).unwrap());
    });
}

#[test]
fn the_number_of_permits_is_bounded_and_fixed() {
    once(here!(), |place| {
        let segment = place.create();
        let open = |permits| CrossProcessSemaphore::open(&segment, "slots", permits);
        for asked in [0, 65, usize::MAX] {
            assert_is!(open(asked), Err(SemaphoreError::Permits { limit: 64, .. }));
        }
        let slots = open(64).unwrap();
        assert_is!(
            open(2),
            Err(SemaphoreError::Mismatch {
                there: 64,
                asked: 2,
                ..
            })
        );
        let all: Vec<_> = (0..64).map(|_| slots.try_acquire().unwrap()).collect();
        assert_is!(slots.try_acquire(), Err(SemaphoreError::WouldBlock { .. }));
        drop(all);
        assert_eq!(slots.available(), 64);
    });
}
