//! Named locks between processes survive the death of whoever holds or wants them.

use std::time::Duration;

use crate::support::{self, HANG, both, once};
use ebbtide::{CoordinationError, CrossProcessLock, LockError, SegmentError, limits};

#[test]
fn a_dead_owners_lock_goes_to_the_next_who_is_told_until_it_is_consistent() {
    both(here!(), |place| {
        let segment = place.create();
        let mut owner = place.runner(&segment, "owner");
        owner.tell("lock device 1000");
        assert_eq!(owner.event("lock"), "died=false");
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { ref holder, .. }) if holder.contains("owner"));
        owner.kill();
        assert!(lock.lock().unwrap().previous_owner_died());
        // Given back without a word: the next one must know, too, in any process.
        let mut other = place.agent(&segment);
        other.tell("lock device 30000");
        assert_eq!(other.event("lock"), "died=true");
        other.tell("consistent device");
        other.event("consistent");
        other.tell("unlock device");
        other.event("unlock");
        assert!(!lock.lock().unwrap().previous_owner_died());
        assert_eq!(lock.holder(), None);
    });
}

#[test]
fn waiters_blocked_at_the_owners_death_get_it_one_after_another() {
    both(here!(), |place| {
        let segment = place.create();
        let mut owner = place.agent(&segment);
        owner.tell("lock device 1000");
        owner.event("lock");
        let mut waiters = place.runners(&segment, ["a", "b", "c"]);
        for waiter in &mut waiters {
            waiter.tell("lock device 30000");
        }
        let observer = place.observe();
        support::until_true("all three wait", || {
            let runners = observer.status().unwrap().runners;
            runners
                .iter()
                .filter(|runner| runner.lock_wanted.as_deref() == Some("device"))
                .count()
                == 3
        });
        owner.kill();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        for _ in 0..3 {
            let next = support::until("somebody has it", || {
                waiters.iter_mut().position(|waiter| waiter.has("lock"))
            });
            assert_eq!(waiters[next].event("lock"), "died=true");
            assert!(lock.holder().is_some());
            waiters[next].tell("unlock device");
            waiters[next].event("unlock");
        }
        assert!(lock.lock().unwrap().previous_owner_died());
    });
}

#[test]
fn a_chain_of_owners_that_die_ends_with_the_survivor() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let mut waiters: [_; 5] = std::array::from_fn(|_| place.agent(&segment));
        for waiter in &mut waiters {
            waiter.tell("lock device 30000");
        }
        let mut left: Vec<_> = waiters.iter_mut().collect();
        while !left.is_empty() {
            let next = support::until("somebody has it", || {
                left.iter_mut().position(|w| w.has("lock"))
            });
            left.remove(next).kill();
        }
        let guard = lock.lock_timeout(HANG).unwrap();
        assert!(guard.previous_owner_died());
    });
}

#[test]
fn a_killed_waiter_does_not_take_the_lock_along() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        for _ in 0..10 {
            let mut doomed = place.runner(&segment, "doomed");
            let mut waiter = place.runner(&segment, "waiter");
            let guard = lock.lock().unwrap();
            doomed.tell("lock device 30000");
            waiter.tell("lock device 30000");
            let observer = place.observe();
            support::until_true("both wait", || {
                let runners = observer.status().unwrap().runners;
                runners
                    .iter()
                    .filter(|r| r.alive && r.lock_wanted.is_some())
                    .count()
                    == 2
            });
            // The wake-up may go to the one that dies.
            doomed.shoot();
            drop(guard);
            // It may also have had it and died.
            assert!(waiter.event("lock").starts_with("died="));
            waiter.tell("consistent device");
            waiter.event("consistent");
            waiter.tell("unlock device");
            waiter.event("unlock");
            waiter.quit();
        }
        assert!(!lock.lock_timeout(HANG).unwrap().previous_owner_died());
    });
}

#[test]
fn a_thread_that_ends_with_a_leaked_guard_has_died() {
    both(here!(), |place| {
        let segment = place.create();
        let mut owner = place.agent(&segment);
        owner.tell("lock device 1000");
        owner.event("lock");
        owner.tell("leak device");
        owner.event("leak");
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert!(lock.lock_timeout(HANG).unwrap().previous_owner_died());

        // The same within one process.
        let inner = CrossProcessLock::open(&segment, "other").unwrap();
        let leaking = inner.clone();
        std::thread::spawn(move || std::mem::forget(leaking.lock().unwrap()))
            .join()
            .unwrap();
        let guard = inner.lock_timeout(HANG).unwrap();
        assert!(guard.previous_owner_died());
        guard.mark_consistent();
        drop(guard);
        assert!(!inner.lock().unwrap().previous_owner_died());
    });
}

#[test]
fn a_stopped_owner_is_not_dead() {
    both(here!(), |place| {
        let segment = place.create();
        let mut owner = place.runner(&segment, "owner");
        owner.tell("lock device 1000");
        owner.event("lock");
        owner.stop();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let error = lock.lock_timeout(Duration::from_millis(150)).unwrap_err();
        let LockError::TimedOut { waited, holder, .. } = &error else {
            panic!("{error:?}")
        };
        assert!(*waited >= Duration::from_millis(150));
        assert!(
            holder.contains("owner") && holder.contains(&owner.pid().to_string()),
            "{holder}"
        );
        owner.go_on();
        owner.tell("unlock device");
        assert!(!lock.lock_timeout(HANG).unwrap().previous_owner_died());
    });
}

#[test]
fn a_lock_excludes_and_is_not_recursive() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let same = CrossProcessLock::open(&segment, "device").unwrap();
        assert_eq!(same.name(), "device");
        let guard = lock.lock().unwrap();
        assert!(!guard.previous_owner_died());
        assert_is!(lock.lock(), Err(LockError::Recursive { .. }));
        assert_is!(same.try_lock(), Err(LockError::Recursive { .. }));
        assert_is!(
            same.lock_timeout(Duration::ZERO),
            Err(LockError::Recursive { .. })
        );
        // Another thread, another attachment, another process; another name is free.
        std::thread::spawn(move || {
            assert_is!(same.try_lock(), Err(LockError::WouldBlock { .. }));
            let timeout = Duration::from_millis(20);
            let error = same.lock_timeout(timeout).unwrap_err();
            assert_is!(error, LockError::TimedOut { waited, .. } if waited >= timeout);
        })
        .join()
        .unwrap();
        let apart = place.options.open(support::Place::NAME).unwrap();
        let apart = CrossProcessLock::open(&apart, "device").unwrap();
        assert_is!(apart.try_lock(), Err(LockError::WouldBlock { .. }));
        assert_is!(
            apart.lock_timeout(Duration::ZERO),
            Err(LockError::TimedOut { .. })
        );
        drop(
            CrossProcessLock::open(&segment, "device-2")
                .unwrap()
                .try_lock()
                .unwrap(),
        );
        let mut other = place.agent(&segment);
        other.tell("lock device 20");
        assert!(other.event("lock").starts_with("err TimedOut"));
        other.tell("lock device 30000");
        drop(guard);
        assert_eq!(other.event("lock"), "died=false");
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        other.tell("unlock device");
        other.event("unlock");
        drop(apart.lock_timeout(HANG).unwrap());
    });
}

#[test]
fn contenders_of_four_processes_exclude_each_other_and_lose_nothing() {
    both(here!(), |place| {
        let segment = place.create();
        let directory = place.scratch("count");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("counter"), "0").unwrap();
        let mut agents: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
        for agent in &mut agents {
            agent.tell(&format!("exclude device {} 400", directory.display()));
        }
        for agent in &mut agents {
            assert_eq!(agent.event("exclude"), "ok 0");
        }
        assert_eq!(
            std::fs::read_to_string(directory.join("counter")).unwrap(),
            "1600"
        );
    });
}

#[test]
fn contenders_killed_at_any_time_never_break_exclusion_nor_the_count() {
    both(here!(), |place| {
        let segment = place.create();
        let directory = place.scratch("count");
        std::fs::create_dir(&directory).unwrap();
        let count = || -> u64 {
            let text = std::fs::read_to_string(directory.join("counter")).unwrap();
            text.parse().unwrap()
        };
        std::fs::write(directory.join("counter"), "0").unwrap();
        let order = format!("exclude device {} ", directory.display());
        let mut steady: [_; 2] = std::array::from_fn(|_| place.agent(&segment));
        for agent in &mut steady {
            agent.tell(&format!("{order}1500"));
        }
        for _ in 0..12 {
            let mut doomed = place.agent(&segment);
            let before = count();
            doomed.tell(&format!("{order}1000000"));
            support::until_true("work goes on", || {
                count() > before + 40 || steady.iter_mut().all(|agent| agent.has("exclude"))
            });
            doomed.kill();
        }
        for agent in &mut steady {
            assert!(agent.event("exclude").starts_with("ok"));
        }
        assert!(count() >= 3000);
        drop(
            CrossProcessLock::open(&segment, "device")
                .unwrap()
                .lock_timeout(HANG)
                .unwrap(),
        );
    });
}

#[test]
fn names_are_checked_and_the_table_has_an_end() {
    once(here!(), |place| {
        let segment = place.create();
        let invalid = |name: &str| match CrossProcessLock::open(&segment, name) {
            Err(LockError::Coordination(CoordinationError::InvalidName { .. })) => {}
            other => panic!("{name:?}: {other:?}"),
        };
        invalid("");
        invalid("a/b");
        invalid("a\tb");
        invalid(&"x".repeat(limits::ID_BYTES + 1));
        for index in 0..limits::MAX_LOCKS {
            CrossProcessLock::open(&segment, &format!("lock {index}")).unwrap();
        }
        let error = CrossProcessLock::open(&segment, "one more").unwrap_err();
        let LockError::Coordination(CoordinationError::Segment(SegmentError::Full {
            table,
            capacity,
            held_by,
        })) = error
        else {
            panic!("{error:?}")
        };
        assert_eq!((table, capacity), ("locks", limits::MAX_LOCKS));
        assert!(!held_by.is_empty());
        // Old ones are found as before.
        drop(
            CrossProcessLock::open(&segment, "lock 255")
                .unwrap()
                .lock()
                .unwrap(),
        );
    });
}

/// Many open the same new name at once, some of them killed while they do.
#[test]
fn one_name_is_one_lock_for_whoever_opens_it_first() {
    both(here!(), |place| {
        let segment = place.create();
        for round in 0..10 {
            let mut openers: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
            for opener in &mut openers {
                assert!(opener.ask("report all").starts_with("Running"));
            }
            for opener in &mut openers {
                opener.tell(&format!("lock new-{round} 30000"));
            }
            openers[0].kill();
            for _ in 1..openers.len() {
                let next = support::until("somebody has it", || {
                    openers[1..]
                        .iter_mut()
                        .position(|opener| opener.has("lock"))
                });
                let owner = &mut openers[1 + next];
                assert!(owner.event("lock").starts_with("died="));
                assert!(
                    !openers[1..].iter_mut().any(|opener| opener.has("lock")),
                    "two owners"
                );
                openers[1 + next].tell(&format!("unlock new-{round}"));
                openers[1 + next].event("unlock");
            }
        }
    });
}
