//! Any wait as a descriptor: readable once the answer is there.

use std::pin::pin;

use crate::support::{
    self, Agent, Child, HANG, Place, Shutdown, both, both_with, is_readable, on_each_runtime,
    poll_once, reply, until_readable,
};
use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessLock, CrossProcessSemaphore, LockError,
    Phase, Runner, Scope, ShutdownCoordinator,
};

#[test]
fn a_descriptor_tells_that_the_lock_is_held() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let mut other = place.agent(&segment);
        other.tell("lock device 30000");
        assert_eq!(other.event("lock"), "died=false");
        let mut taken = lock.acquire().pollable().unwrap();
        let mut second = lock.acquire().pollable().unwrap();
        assert!(!is_readable(&taken) && taken.try_take().is_none());
        other.kill();
        // One of the two, and then the other.
        support::until_true("one has it", || is_readable(&taken) || is_readable(&second));
        assert!(!(is_readable(&taken) && is_readable(&second)));
        if is_readable(&second) {
            std::mem::swap(&mut taken, &mut second);
        }
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        let guard = taken.try_take().unwrap().unwrap();
        assert!(guard.previous_owner_died());
        guard.mark_consistent();
        assert!(is_readable(&taken) && taken.try_take().is_none());
        drop(guard);
        until_readable(&second);
        // Nobody takes it: it is given back.
        drop(second);
        drop(lock.lock_timeout(HANG).unwrap());
    });
}

#[test]
fn permits_places_and_conditions_are_polled_for() {
    both(here!(), |place| {
        let segment = place.create();
        let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
        let held = permits.acquire().unwrap();
        let mut permit = permits.permit().pollable().unwrap();
        assert!(!is_readable(&permit));
        drop(held);
        until_readable(&permit);
        assert_eq!(permits.available(), 0);
        let permit = permit.try_take().unwrap().unwrap();
        let mut unwanted = permits.permit().pollable().unwrap();
        drop(permit);
        until_readable(&unwanted);
        drop(unwanted.try_take().unwrap());
        assert_eq!(permits.available(), 1);

        let gate = CrossProcessBarrier::open(&segment, "gate", 2).unwrap();
        let dropped = gate.awaited().pollable().unwrap();
        support::until_true("it has arrived", || gate.waiting() == 1);
        drop(dropped);
        assert_eq!(gate.waiting(), 0);
        let mut passed = gate.awaited().pollable().unwrap();
        support::until_true("it has arrived", || gate.waiting() == 1);
        assert!(!is_readable(&passed));
        assert!(gate.wait_timeout(HANG).unwrap().is_leader());
        until_readable(&passed);
        assert!(!passed.try_take().unwrap().unwrap().is_leader());

        let lock = CrossProcessLock::open(&segment, "box").unwrap();
        let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
        let guard = smol::block_on(lock.acquire()).unwrap();
        let mut notified = changed.awaited(guard).pollable().unwrap();
        // It waits though nobody polls.
        drop(lock.lock_timeout(HANG).unwrap());
        changed.notify_one().unwrap();
        until_readable(&notified);
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        drop(notified.try_take().unwrap().unwrap());
        drop(lock.try_lock().unwrap());
    });
}

#[test]
fn phases_and_the_end_of_a_shutdown_are_polled_for() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut child = place.runner(&segment, "child");
        let runner = Runner::join(&segment, "here").unwrap();
        let changed = runner.phase_changed(Phase::Running, runner.mode());
        let changed = changed.pollable().unwrap();
        let complete = coordinator.shutdown_complete(&Scope::All).unwrap();
        let mut complete = complete.pollable().unwrap();
        let gone = coordinator.gone(runner.generation()).pollable().unwrap();
        assert!(!is_readable(&changed) && !is_readable(&complete) && !is_readable(&gone));
        coordinator.begin(HANG);
        until_readable(&changed);
        child.kill();
        runner.leave();
        until_readable(&complete);
        let report = complete.try_take().unwrap().unwrap();
        assert!(support::summary(&report).contains("child=Died"));
        until_readable(&gone);
    });
}

/// A future that was polled becomes a descriptor; one that has answered does, too.
#[test]
fn a_future_on_its_way_becomes_a_descriptor() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let held = lock.lock().unwrap();
        let mut future = lock.acquire();
        assert!(poll_once(pin!(&mut future)).is_none());
        let pollable = future.pollable().unwrap();
        assert!(!is_readable(&pollable));
        drop(held);
        until_readable(&pollable);
        drop(pollable);
        let mut future = lock.acquire();
        assert!(poll_once(pin!(&mut future)).is_none());
        support::until_true("it has the lock", || lock.holder().is_some());
        let mut pollable = future.pollable().unwrap();
        until_readable(&pollable);
        drop(pollable.try_take().unwrap().unwrap());
        drop(lock.try_lock().unwrap());
    });
}

/// A descriptor in the event loop of a runtime.
#[test]
fn runtimes_take_the_descriptor() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let releases = |guard| std::thread::spawn(move || drop(guard));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let held = lock.acquire().await.unwrap();
            let mut taken = lock.acquire().pollable().unwrap();
            let descriptor = std::os::fd::AsFd::as_fd(&taken).try_clone_to_owned();
            let polled =
                tokio::net::unix::pipe::Receiver::from_owned_fd(descriptor.unwrap()).unwrap();
            let releases = releases(held);
            polled.readable().await.unwrap();
            drop(taken.try_take().unwrap().unwrap());
            releases.join().unwrap();
        });
        smol::block_on(async {
            let held = lock.acquire().await.unwrap();
            let mut taken = lock.acquire().pollable().unwrap();
            let descriptor = std::os::fd::AsFd::as_fd(&taken).try_clone_to_owned();
            let polled = smol::Async::new(descriptor.unwrap()).unwrap();
            let releases = releases(held);
            polled.readable().await.unwrap();
            drop(taken.try_take().unwrap().unwrap());
            releases.join().unwrap();
        });
    });
}

fn holds_by_descriptor(child: &Child) {
    let segment = child.open();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let taken = lock.acquire().pollable().unwrap();
    until_readable(&taken);
    reply("held");
    child.order();
}

/// Killed with an answer that was there and not taken.
#[test]
fn the_lock_of_a_killed_poller_passes_on() {
    let roles: &[(&str, support::Role)] = &[("holds", holds_by_descriptor)];
    both_with(here!(), roles, |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let lock = CrossProcessLock::open(&segment, "device").unwrap();
            let mut child = Agent::spawn(place, "holds", Some(&segment));
            assert_eq!(child.reply("hold"), "held");
            let mut waits = pin!(lock.acquire());
            assert!(poll_once(waits.as_mut()).is_none());
            child.kill();
            let guard = waits.await.unwrap();
            assert!(guard.previous_owner_died());
            guard.mark_consistent();
        });
    });
}

#[test]
fn a_wait_whose_answer_was_taken_has_no_descriptor() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let mut wait = lock.acquire();
        drop(smol::block_on(&mut wait).unwrap());
        assert_is!(
            wait.pollable(),
            Err(ebbtide::CoordinationError::System { .. })
        );
    });
}
