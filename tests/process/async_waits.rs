//! Every wait as a future, on any runtime, and as a descriptor.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ebbtide::{
    CrossProcessEvent, CrossProcessLock, CrossProcessSemaphore, EventOptions, LockError, Mode,
    Reset, Runner, Scope, Segment, SharedStateManager, ShutdownCoordinator,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::support::{self, Child, HANG, Place, Shutdown, both, both_with, reply};

/// Runs a future on tokio, then (a new one) on smol.
fn on_each_runtime<T>(mut future: impl FnMut() -> T)
where
    T: Future<Output = ()>,
{
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future());
    smol::block_on(future());
}

/// Polls once; for futures that must not be ready.
fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    let waker = Waker::from(Arc::new(Idle));
    match future.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn is_readable(notifier: &impl AsFd, timeout: PollTimeout) -> bool {
    let mut polled = [PollFd::new(notifier.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, timeout).unwrap() == 1
}

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
        assert!(!is_readable(&notifier, PollTimeout::ZERO));
        coordinator.begin(HANG);
        let limit = PollTimeout::try_from(HANG).unwrap();
        assert!(is_readable(&notifier, limit));
        assert!(is_readable(&notifier, limit));
        // One that comes late is told at once.
        assert!(is_readable(&runner.shutdown_notifier().unwrap(), limit));
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
            assert!(!is_readable(&notifier, PollTimeout::ZERO));
            other.set("level", "high").unwrap();
            changed.await.unwrap();
            assert!(is_readable(&notifier, PollTimeout::try_from(HANG).unwrap()));
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
            assert!(!is_readable(&notifier, PollTimeout::ZERO));
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
            assert!(is_readable(&notifier, PollTimeout::try_from(HANG).unwrap()));
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
    drop(futures);
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
