//! A panic under a lock is reported to the next owner, as a death is.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::support::{both, once};
use ebbtide::{CrossProcessCondvar, CrossProcessLock};

#[test]
fn a_panic_under_a_lock_is_told_until_it_is_consistent() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let mut owner = place.agent(&segment);
        owner.tell("lock device 1000");
        assert_eq!(owner.event("lock"), "died=false");
        owner.tell("panic device");
        assert_eq!(owner.event("panic"), "true");
        let told = place.status().inconsistent_locks;
        let [one] = &told[..] else { panic!("{told:?}") };
        assert_eq!((one.lock.as_str(), one.panicked), ("device", true));
        // The process lives on, and the lock is free.
        let guard = lock.lock().unwrap();
        assert!(guard.previous_owner_panicked() && !guard.previous_owner_died());
        drop(guard);
        // Not marked: the next one is told, too, in whatever process.
        let mut other = place.agent(&segment);
        other.tell("lock device 30000");
        assert_eq!(other.event("lock"), "died=false panicked=true");
        // A death weighs more.
        other.kill();
        let guard = lock.lock().unwrap();
        assert!(guard.previous_owner_died() && !guard.previous_owner_panicked());
        assert!(!place.status().inconsistent_locks[0].panicked);
        guard.mark_consistent();
        assert!(place.status().inconsistent_locks.is_empty());
        drop(guard);
        let guard = lock.lock().unwrap();
        assert!(!guard.previous_owner_died() && !guard.previous_owner_panicked());
    });
}

/// Unwinds out of a closure, without the message of a panic.
fn unwinds(body: impl FnOnce()) {
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        body();
        resume_unwind(Box::new("half-way"));
    }));
    assert!(unwound.is_err());
}

#[test]
fn every_guard_tells_of_a_panic_and_one_taken_while_unwinding_does_not() {
    once(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let panicked = || {
            let guard = lock.lock().unwrap();
            let told = guard.previous_owner_panicked();
            guard.mark_consistent();
            told
        };
        let mut kept = None;
        let held = catch_unwind(AssertUnwindSafe(|| {
            let _guard = lock.lock().unwrap();
            resume_unwind(Box::new("half-way"));
        }));
        assert!(held.is_err() && panicked());
        // By a task, and after a condition variable.
        let held = catch_unwind(AssertUnwindSafe(|| {
            let _guard = smol::block_on(lock.acquire()).unwrap();
            resume_unwind(Box::new("half-way"));
        }));
        assert!(held.is_err() && panicked());
        let condvar = CrossProcessCondvar::open(&segment, "filled").unwrap();
        let held = catch_unwind(AssertUnwindSafe(|| {
            let guard = lock.lock().unwrap();
            let short = std::time::Duration::from_millis(1);
            let _guard = condvar.wait_timeout(guard, short).unwrap();
            resume_unwind(Box::new("half-way"));
        }));
        assert!(held.is_err() && panicked());
        // Taken and given back by a destructor that runs in a panic; or kept alive.
        struct Visits<'a>(&'a CrossProcessLock);
        impl Drop for Visits<'_> {
            fn drop(&mut self) {
                drop(self.0.lock().unwrap());
            }
        }
        unwinds(|| {
            let _visits = Visits(&lock);
            kept = Some(lock.name());
        });
        assert!(kept.is_some() && !panicked());
    });
}
