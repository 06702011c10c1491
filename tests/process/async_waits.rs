//! Waits as futures, on any runtime, and as descriptors; those of condition variables and
//! barriers are in files of their own.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::{
    CrossProcessEvent, CrossProcessLock, CrossProcessSemaphore, EventOptions, LockError, Mode,
    Phase, Reset, Runner, Scope, Segment, SharedStateManager, ShutdownCoordinator,
};

use crate::support::{
    self, Child, HANG, Place, Shutdown, both, both_with, is_readable, on_each_runtime, poll_once,
    reply, until_readable,
};

#[test]
fn a_runner_awaits_its_shutdown_and_anybody_its_end() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let coordinator = ShutdownCoordinator::new(&segment);
            let mut child = place.runner(&segment, "child");
            let runner = Arc::new(Runner::join(&segment, "here").unwrap());
            let begun = runner.shutdown_begun();
            let complete = coordinator.shutdown_complete(&Scope::All).unwrap();
            child.tell("run");
            child.tell("initiate all 600000");
            begun.await.unwrap();
            let driver = Arc::clone(&runner);
            let driver = std::thread::spawn(move || driver.run_shutdown());
            let report = complete.await.unwrap();
            assert_eq!(
                support::summary(&report),
                "Completed child=Completed here=Completed"
            );
            driver.join().unwrap().unwrap();
            assert_is!(
                runner.shutdown_begun().await,
                Err(ebbtide::CoordinationError::Left { .. })
            );
            child.quit();
            coordinator.begin_generation().unwrap();
        });
    });
}

/// The waiting thread performs what falls to it: nobody else is left to.
#[test]
fn a_future_counts_the_dead_out() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        coordinator.begin(Duration::from_secs(3600));
        let complete = coordinator.shutdown_complete(&Scope::All).unwrap();
        let mut complete = pin!(complete);
        assert!(poll_once(complete.as_mut()).is_none());
        a.kill();
        b.kill();
        let report = smol::block_on(complete).unwrap();
        assert_eq!(support::summary(&report), "Died a=Died b=Died");
    });
}

#[test]
fn a_notifier_is_readable_once_it_is_time_and_stays_so() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "here").unwrap();
        let notifier = runner.shutdown_notifier().unwrap();
        assert!(!is_readable(&notifier));
        coordinator.begin(HANG);
        until_readable(&notifier);
        until_readable(&notifier);
        // One that comes late is told at once.
        until_readable(&runner.shutdown_notifier().unwrap());
        assert_eq!(runner.mode(), Mode::Graceful);
        runner.leave();
    });
}

#[test]
fn tasks_of_one_process_and_other_processes_exclude_each_other() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let lock = CrossProcessLock::open(&segment, "device").unwrap();
            let guard = lock.acquire().await.unwrap();
            assert!(!guard.previous_owner_died());
            assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
            let mut second = pin!(lock.acquire());
            assert!(poll_once(second.as_mut()).is_none());
            drop(guard);
            let guard = second.await.unwrap();
            let mut other = place.agent(&segment);
            other.tell("lock device 30000");
            other.until_asleep();
            // Any thread may give it back.
            std::thread::spawn(move || drop(guard)).join().unwrap();
            assert_eq!(other.event("lock"), "died=false");
            let mut third = pin!(lock.acquire());
            assert!(poll_once(third.as_mut()).is_none());
            other.kill();
            let guard = third.await.unwrap();
            assert!(guard.previous_owner_died());
            guard.mark_consistent();
        });
    });
}

/// One that gives up takes nothing along: not the lock, and not a wake-up of another's.
#[test]
fn a_dropped_future_steals_nothing() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        for round in 0..50 {
            let guard = lock.lock().unwrap();
            let mut futures: Vec<_> = (0..3).map(|_| Box::pin(lock.acquire())).collect();
            for future in &mut futures {
                assert!(poll_once(future.as_mut()).is_none());
            }
            // Before, after, or while the lock is given back.
            let dropper = std::thread::spawn(move || drop(futures));
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            drop(guard);
            dropper.join().unwrap();
            drop(lock.lock_timeout(HANG).unwrap());
        }
    });
}

#[test]
fn a_change_of_a_key_is_awaited_and_polled_for() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let state = SharedStateManager::open(&segment).unwrap();
            let other = place.options.open(Place::NAME).unwrap();
            let other = SharedStateManager::open(&other).unwrap();
            let mut watch = state.watch("level").unwrap();
            let notifier = watch.notifier().unwrap();
            let mut changed = pin!(watch.changed());
            assert!(poll_once(changed.as_mut()).is_none());
            other.set("another", "x").unwrap();
            assert!(!is_readable(&notifier));
            other.set("level", "high").unwrap();
            changed.await.unwrap();
            until_readable(&notifier);
            let change = watch.wait_change(Some(Duration::ZERO)).unwrap().unwrap();
            assert_eq!(change.value.as_deref(), Some(&b"high"[..]));
            state.clear().unwrap();
        });
    });
}

#[test]
fn an_event_and_its_sets_are_awaited() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let flag = CrossProcessEvent::open(&segment, "flag").unwrap();
            flag.clear().unwrap();
            let mut sets = flag.subscribe_from_now().unwrap();
            let notifier = flag.notifier().unwrap();
            assert!(!is_readable(&notifier));
            let mut child = place.agent(&segment);
            {
                let mut awaited = pin!(flag.awaited());
                let mut next = pin!(sets.next_delivery());
                assert!(poll_once(awaited.as_mut()).is_none());
                assert!(poll_once(next.as_mut()).is_none());
                child.ask("set flag");
                awaited.await.unwrap();
                assert_is!(next.await.unwrap(), ebbtide::Delivery::Set(_));
            }
            until_readable(&notifier);
            child.quit();
        });
    });
}

/// A set that resets by itself goes to a task that lives.
#[test]
fn a_dropped_future_takes_no_set_along() {
    both(here!(), |place| {
        let segment = place.create();
        let options = EventOptions::new().reset(Reset::Auto);
        let ticket = options.open(&segment, "ticket").unwrap();
        for _ in 0..50 {
            let mut first = Box::pin(ticket.awaited());
            let mut second = pin!(ticket.awaited());
            assert!(poll_once(first.as_mut()).is_none());
            assert!(poll_once(second.as_mut()).is_none());
            ticket.set().unwrap();
            drop(first);
            smol::block_on(second).unwrap();
            assert!(!ticket.is_set());
        }
    });
}

fn holds(child: &Child) {
    let permits = CrossProcessSemaphore::open(&child.open(), "permits", 2).unwrap();
    let _permit = permits.acquire().unwrap();
    reply("taken");
    child.order();
}

#[test]
fn permits_are_awaited_and_those_of_the_dead_come_back() {
    both_with(here!(), &[("holds", holds)], |place| {
        let segment = place.create();
        let permits = CrossProcessSemaphore::open(&segment, "permits", 2).unwrap();
        let first = smol::block_on(permits.permit()).unwrap();
        let mut child = support::Agent::spawn(place, "holds", Some(&segment));
        assert_eq!(child.reply("take"), "taken");
        let mut third = pin!(permits.permit());
        assert!(poll_once(third.as_mut()).is_none());
        drop(permits.permit());
        child.kill();
        let third = smol::block_on(third).unwrap();
        let mut fourth = pin!(permits.permit());
        assert!(poll_once(fourth.as_mut()).is_none());
        std::thread::spawn(move || drop(first)).join().unwrap();
        drop((smol::block_on(fourth).unwrap(), third));
        assert_eq!(permits.available(), 2);
    });
}

/// By hand: each phase is acknowledged when it has come.
#[test]
fn a_phase_and_the_end_of_a_generation_are_awaited() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let coordinator = ShutdownCoordinator::new(&segment);
            let mut child = place.runner(&segment, "child");
            let runner = Runner::join(&segment, "here").unwrap();
            let generation = runner.generation();
            let mut changed = pin!(runner.phase_changed(Phase::Running, runner.mode()));
            assert!(poll_once(changed.as_mut()).is_none());
            child.tell("run");
            child.tell("initiate all 600000");
            changed.await.unwrap();
            let mut gone = pin!(coordinator.gone(generation));
            for phase in [Phase::Signaling, Phase::Draining, Phase::Closing] {
                assert_eq!(runner.phase(), phase);
                let changed = runner.phase_changed(phase, runner.mode());
                runner.acknowledge(phase).unwrap();
                changed.await.unwrap();
            }
            assert!(poll_once(gone.as_mut()).is_none());
            // Leaving is told to the waits of this very process, too.
            let mut left = pin!(runner.phase_changed(Phase::Complete, runner.mode()));
            assert!(poll_once(left.as_mut()).is_none());
            runner.leave();
            left.await.unwrap();
            child.kill();
            gone.await.unwrap();
            coordinator.begin_generation().unwrap();
        });
    });
}

#[test]
fn one_of_several_events_is_awaited() {
    both(here!(), |place| {
        let segment = place.create();
        let apart = place.options.open(Place::NAME).unwrap();
        let options = EventOptions::new().reset(Reset::Auto);
        let first = options.open(&segment, "first").unwrap();
        // Events of two attachments in one wait.
        let second = options.open(&apart, "second").unwrap();
        let events = [&first, &second];
        on_each_runtime(|| async {
            let mut child = place.agent(&segment);
            for (index, name) in ["first", "second"].into_iter().enumerate() {
                let mut dropped = Box::pin(CrossProcessEvent::awaited_any(&events));
                let mut any = pin!(CrossProcessEvent::awaited_any(&events));
                assert!(poll_once(dropped.as_mut()).is_none());
                assert!(poll_once(any.as_mut()).is_none());
                child.ask(&format!("set {name}"));
                drop(dropped);
                assert_eq!(any.await.unwrap(), index);
                assert!(!first.is_set() && !second.is_set(), "it was taken");
            }
        });
        assert_is!(
            smol::block_on(CrossProcessEvent::awaited_any(&[])),
            Err(ebbtide::EventError::Count { count: 0, .. })
        );
    });
}

#[test]
fn deliveries_are_polled_for() {
    both(here!(), |place| {
        let segment = place.create();
        let flag = CrossProcessEvent::open(&segment, "flag").unwrap();
        let mut sets = flag.subscribe_from_now().unwrap();
        let mut child = place.agent(&segment);
        for _ in 0..3 {
            let notifier = sets.notifier().unwrap();
            assert!(!is_readable(&notifier));
            child.ask("set flag");
            until_readable(&notifier);
            assert_is!(sets.try_next().unwrap(), Some(ebbtide::Delivery::Set(_)));
            assert_eq!(sets.try_next().unwrap(), None);
        }
    });
}

fn waiters() -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .filter(|name| name.trim() == "ebbtide-waiter")
        .count()
}

fn counts_threads(child: &Child) {
    let segment: Segment = child.open();
    let runner = Runner::join(&segment, "counts").unwrap();
    assert_eq!(waiters(), 0, "none before it is needed");
    let mut futures: Vec<_> = (0..200)
        .map(|_| Box::pin(runner.shutdown_begun()))
        .collect();
    for future in &mut futures {
        assert!(poll_once(future.as_mut()).is_none());
    }
    // A new thread gives itself its name.
    support::until_true("one for all", || waiters() == 1);
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let waits: Vec<_> = (0..20)
        .map(|_| lock.acquire().pollable().unwrap())
        .collect();
    assert_eq!(waiters(), 1);
    drop((futures, waits));
    drop(lock.lock_timeout(HANG).unwrap());
    drop(lock);
    runner.leave();
    drop((runner, segment));
    assert_eq!(waiters(), 0, "none after the attachment");
    reply("done");
}

#[test]
fn one_thread_waits_for_all_and_ends_with_the_attachment() {
    both_with(here!(), &[("counts", counts_threads)], |place| {
        let segment = place.create();
        let mut child = support::Agent::spawn(place, "counts", Some(&segment));
        assert_eq!(child.reply("count"), "done");
        assert!(child.ended().success());
    });
}
