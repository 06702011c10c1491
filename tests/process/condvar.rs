//! Named condition variables survive the death of waiters and notifiers.

use std::time::Duration;

use crate::support::{self, Agent, Place, both};
use ebbtide::{CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, LockError, Segment};

/// What consumers and producers share.
struct Box {
    lock: CrossProcessLock,
    full: CrossProcessEvent,
}

impl Box {
    fn open(segment: &Segment) -> Self {
        Self {
            lock: CrossProcessLock::open(segment, "box").unwrap(),
            full: CrossProcessEvent::open(segment, "full").unwrap(),
        }
    }

    /// A consumer that waits: it said so while it held the lock, which is free again.
    fn consumer(&self, place: &Place, segment: &Segment) -> Agent {
        let mut consumer = place.agent(segment);
        consumer.tell("consume");
        consumer.event("waiting");
        drop(self.lock.lock().unwrap());
        consumer
    }

    fn until_taken(&self) {
        support::until_true("the thing is taken", || !self.full.is_set());
    }
}

#[test]
fn every_waiter_is_notified_in_turn() {
    both(here!(), |place| {
        let segment = place.create();
        let shared = Box::open(&segment);
        let mut consumers = [(); 3].map(|()| shared.consumer(place, &segment));
        let mut producer = place.agent(&segment);
        for _ in 0..3 {
            producer.tell("produce");
            assert_eq!(producer.event("produce"), "ok");
            shared.until_taken();
        }
        for consumer in &mut consumers {
            assert_eq!(consumer.event("consume"), "died=false");
        }
    });
}

#[test]
fn notify_all_wakes_all() {
    both(here!(), |place| {
        let segment = place.create();
        let shared = Box::open(&segment);
        let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
        let mut consumers = [(); 3].map(|()| shared.consumer(place, &segment));
        for _ in 0..consumers.len() {
            {
                let _guard = shared.lock.lock().unwrap();
                shared.full.set().unwrap();
                changed.notify_all().unwrap();
            }
            shared.until_taken();
        }
        for consumer in &mut consumers {
            consumer.event("consume");
        }
    });
}

#[test]
fn a_killed_waiter_takes_no_notification_along_for_good() {
    both(here!(), |place| {
        let segment = place.create();
        let shared = Box::open(&segment);
        let mut doomed = shared.consumer(place, &segment);
        let mut consumers = [(); 2].map(|()| shared.consumer(place, &segment));
        // First in the queue, so the first notification would be its own.
        doomed.kill();
        let mut producer = place.agent(&segment);
        for _ in 0..2 {
            producer.tell("produce");
            assert_eq!(producer.event("produce"), "ok");
            shared.until_taken();
        }
        for consumer in &mut consumers {
            assert!(consumer.event("consume").starts_with("died="));
        }
    });
}

#[test]
fn a_notifier_killed_between_the_change_and_the_notification_is_found_out() {
    both(here!(), |place| {
        let segment = place.create();
        let shared = Box::open(&segment);
        let mut consumer = shared.consumer(place, &segment);
        let mut producer = place.agent(&segment);
        producer.tell("produce and-die");
        assert!(!producer.ended().success());
        // It died inside, so whoever has the lock next is told.
        assert_eq!(consumer.event("consume"), "died=true");
    });
}

#[test]
fn a_wait_ends_by_its_timeout_with_the_lock() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "box").unwrap();
        let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
        let timeout = Duration::from_millis(30);
        let began = std::time::Instant::now();
        let mut guard = lock.lock().unwrap();
        loop {
            let (again, timed_out) = changed.wait_timeout(guard, timeout).unwrap();
            guard = again;
            if timed_out {
                break;
            }
        }
        assert!(began.elapsed() >= timeout);
        let other = lock.clone();
        std::thread::spawn(move || assert_is!(other.try_lock(), Err(LockError::WouldBlock { .. })))
            .join()
            .unwrap();
        drop(guard);
        drop(lock.try_lock().unwrap());
    });
}

#[test]
fn a_guard_of_another_attachment_is_refused() {
    both(here!(), |place| {
        let segment = place.create();
        let apart = place.options.open(Place::NAME).unwrap();
        let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
        let lock = CrossProcessLock::open(&apart, "box").unwrap();
        let guard = lock.lock().unwrap();
        assert!(changed.wait(guard).is_err());
        // The guard was spent, not leaked.
        drop(lock.try_lock().unwrap());
    });
}
