//! Tasks that wait for a condition: notified as threads are, and gone when dropped.

use std::pin::pin;
use std::time::{Duration, Instant};

use crate::support::{self, HANG, Place, both, on_each_runtime, poll_once};
use ebbtide::{
    CoordinationError, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, LockError,
    ProcessLockGuard, Segment, SegmentError,
};

/// What consumers and producers share; the agents' orders `consume` and `produce` use it.
struct Shared {
    lock: CrossProcessLock,
    changed: CrossProcessCondvar,
    full: CrossProcessEvent,
}

struct Task {
    stop: smol::channel::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Shared {
    fn open(segment: &Segment) -> Self {
        Self {
            lock: CrossProcessLock::open(segment, "box").unwrap(),
            changed: CrossProcessCondvar::open(segment, "changed").unwrap(),
            full: CrossProcessEvent::open(segment, "full").unwrap(),
        }
    }

    /// Takes the thing when it is there.
    async fn consume(&self) -> ProcessLockGuard {
        let mut guard = self.lock.acquire().await.unwrap();
        while !self.full.is_set() {
            guard = self.changed.awaited(guard).await.unwrap();
        }
        self.full.clear().unwrap();
        guard
    }

    /// A task that waits again and again, until it is dropped in the middle of something.
    fn task(&self) -> Task {
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let changed = self.changed.clone();
        let mut guard = smol::block_on(self.lock.acquire()).unwrap();
        let thread = std::thread::spawn(move || {
            smol::block_on(smol::future::or(
                async {
                    loop {
                        guard = changed.awaited(guard).await.unwrap();
                    }
                },
                async {
                    stopped.recv().await.unwrap();
                },
            ));
        });
        // It has begun.
        drop(self.lock.lock_timeout(HANG).unwrap());
        Task { stop, thread }
    }

    /// A wait that has begun: the lock is free again.
    fn asleep(&self) -> std::pin::Pin<Box<ebbtide::Wait<ProcessLockGuard>>> {
        let guard = smol::block_on(self.lock.acquire()).unwrap();
        let mut future = Box::pin(self.changed.awaited(guard));
        assert!(poll_once(future.as_mut()).is_none());
        drop(self.lock.lock_timeout(HANG).unwrap());
        future
    }
}

#[test]
fn a_task_is_notified_by_another_process() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let shared = Shared::open(&segment);
            let mut producer = place.agent(&segment);
            for _ in 0..10 {
                let consume = || async { drop(shared.consume().await) };
                let mut consumers = pin!(smol::future::zip(consume(), consume()));
                assert!(poll_once(consumers.as_mut()).is_none());
                let full = shared.full.clone();
                // Not here: what these tasks hold is given back when they are polled.
                let produces = std::thread::spawn(move || {
                    for _ in 0..2 {
                        producer.tell("produce");
                        assert_eq!(producer.event("produce"), "ok");
                        support::until_true("it is taken", || !full.is_set());
                    }
                    producer
                });
                consumers.await;
                producer = produces.join().unwrap();
            }
            producer.quit();
        });
    });
}

#[test]
fn a_task_notifies_and_is_told_who_died_inside() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let shared = Shared::open(&segment);
            let mut consumer = place.agent(&segment);
            consumer.tell("consume");
            consumer.event("waiting");
            let guard = shared.lock.acquire().await.unwrap();
            shared.full.set().unwrap();
            shared.changed.notify_one().unwrap();
            drop(guard);
            assert_eq!(consumer.event("consume"), "died=false");

            let mut guard = shared.lock.acquire().await.unwrap();
            let mut producer = place.agent(&segment);
            // It dies inside, before it notifies: the wait ends for no reason.
            producer.tell("produce and-die");
            while !shared.full.is_set() {
                guard = shared.changed.awaited(guard).await.unwrap();
            }
            assert!(guard.previous_owner_died());
            assert!(!producer.ended().success());
            guard.mark_consistent();
            shared.full.clear().unwrap();
        });
    });
}

#[test]
fn a_future_dropped_at_any_stage_holds_nothing() {
    both(here!(), |place| {
        let segment = place.create();
        let shared = Shared::open(&segment);
        let is_free = || drop(shared.lock.lock_timeout(HANG).unwrap());
        // Not polled: it holds the lock until then.
        let guard = smol::block_on(shared.lock.acquire()).unwrap();
        let unpolled = shared.changed.awaited(guard);
        assert_is!(shared.lock.try_lock(), Err(LockError::WouldBlock { .. }));
        drop(unpolled);
        is_free();
        // Asleep.
        drop(shared.asleep());
        is_free();
        for round in 0..50 {
            // About to take the lock again, or just having it, with another task behind.
            let (first, second) = (shared.task(), shared.task());
            let guard = shared.lock.lock_timeout(HANG).unwrap();
            shared.changed.notify_all().unwrap();
            first.stop.try_send(()).unwrap();
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            drop(guard);
            first.thread.join().unwrap();
            is_free();
            second.stop.try_send(()).unwrap();
            second.thread.join().unwrap();
            is_free();
        }
        // The answer was there, and nobody took it.
        let future = shared.asleep();
        shared.changed.notify_all().unwrap();
        support::until_true("it has the lock", || shared.lock.holder().is_some());
        drop(future);
        is_free();
    });
}

/// Whatever becomes of the task, the thread of another process gets its notification.
#[test]
fn a_dropped_task_and_a_waiting_process() {
    both(here!(), |place| {
        let segment = place.create();
        let shared = Shared::open(&segment);
        let mut consumer = place.agent(&segment);
        for _ in 0..20 {
            let task = shared.task();
            consumer.tell("consume");
            consumer.event("waiting");
            task.stop.try_send(()).unwrap();
            {
                let _guard = shared.lock.lock_timeout(HANG).unwrap();
                shared.full.set().unwrap();
                shared.changed.notify_one().unwrap();
            }
            assert_eq!(consumer.event("consume"), "died=false");
            task.thread.join().unwrap();
        }
    });
}

#[test]
fn a_timeout_gives_the_lock_back() {
    both(here!(), |place| {
        on_each_runtime(|| async {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let shared = Shared::open(&segment);
            let timeout = Duration::from_millis(30);
            let began = Instant::now();
            let mut guard = shared.lock.acquire().await.unwrap();
            loop {
                let (again, timed_out) = shared
                    .changed
                    .awaited_timeout(guard, timeout)
                    .await
                    .unwrap();
                guard = again;
                if timed_out {
                    break;
                }
            }
            assert!(began.elapsed() >= timeout);
            assert_is!(shared.lock.try_lock(), Err(LockError::WouldBlock { .. }));
            drop(guard);
            drop(shared.lock.try_lock().unwrap());
        });
    });
}

#[test]
fn an_awaited_guard_of_another_attachment_is_refused() {
    both(here!(), |place| {
        let segment = place.create();
        let apart = place.options.open(Place::NAME).unwrap();
        let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
        let lock = CrossProcessLock::open(&apart, "box").unwrap();
        let guard = smol::block_on(lock.acquire()).unwrap();
        assert_is!(
            smol::block_on(changed.awaited(guard)),
            Err(CoordinationError::Segment(SegmentError::Stale { .. }))
        );
        // The guard was spent, not leaked.
        drop(lock.lock_timeout(HANG).unwrap());
    });
}
