//! Waits in a segment that is removed under them end with `Stale`: nobody finds it by its name
//! any more, so those who would have ended the wait may never come.

use std::thread;
use std::time::Duration;

use crate::support::{self, HANG, Place, Shutdown, both, until_readable};
use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, Mode, Observer, Phase, Runner, Scope, Segment, SharedStateManager,
    ShutdownCoordinator,
};

/// A wait that has no end but the removal. Returns the error's text.
type Wait = (&'static str, fn(&Observer, &Segment) -> String);

fn failed<T, E: std::fmt::Display>(result: Result<T, E>) -> String {
    result.err().expect("it fails").to_string()
}

fn event(segment: &Segment) -> CrossProcessEvent {
    CrossProcessEvent::open(segment, "go").unwrap()
}

const LONG: Duration = Duration::from_secs(3600);

const WAITS: &[Wait] = &[
    ("event", |_, segment| failed(event(segment).wait(None))),
    ("one of several events", |_, segment| {
        let other = CrossProcessEvent::open(segment, "other").unwrap();
        failed(CrossProcessEvent::wait_any(
            &[&event(segment), &other],
            None,
        ))
    }),
    ("delivery", |_, segment| {
        failed(event(segment).subscribe().unwrap().next(None))
    }),
    ("event, future", |_, segment| {
        failed(smol::block_on(event(segment).awaited()))
    }),
    ("lock", |_, segment| {
        let lock = CrossProcessLock::open(segment, "device").unwrap();
        failed(lock.lock())
    }),
    ("lock, future", |_, segment| {
        let lock = CrossProcessLock::open(segment, "device").unwrap();
        failed(smol::block_on(lock.acquire()))
    }),
    ("condition", |_, segment| {
        let lock = CrossProcessLock::open(segment, "free").unwrap();
        let ready = CrossProcessCondvar::open(segment, "ready").unwrap();
        failed(ready.wait_while(lock.lock().unwrap(), || true))
    }),
    ("semaphore", |_, segment| {
        let permits = CrossProcessSemaphore::open(segment, "permits", 1).unwrap();
        failed(permits.acquire())
    }),
    ("barrier", |_, segment| {
        let start = CrossProcessBarrier::open(segment, "start", 64).unwrap();
        failed(start.wait())
    }),
    ("barrier, future", |_, segment| {
        let start = CrossProcessBarrier::open(segment, "start", 64).unwrap();
        failed(smol::block_on(start.awaited()))
    }),
    ("state", |_, segment| {
        let mut watch = SharedStateManager::open(segment)
            .unwrap()
            .watch("key")
            .unwrap();
        failed(watch.wait(None))
    }),
    ("shutdown", |_, segment| {
        failed(Runner::join(segment, "b").unwrap().wait_for_shutdown(None))
    }),
    ("shutdown, future", |_, segment| {
        let runner = Runner::join(segment, "c").unwrap();
        failed(smol::block_on(runner.shutdown_begun()))
    }),
    ("shutdown, descriptor", |_, segment| {
        let runner = Runner::join(segment, "d").unwrap();
        let mut begun = runner.shutdown_begun().pollable().unwrap();
        until_readable(&begun);
        failed(begun.try_take().unwrap())
    }),
    ("end of a shutdown", |_, segment| {
        let coordinator = ShutdownCoordinator::new(segment);
        failed(coordinator.wait_for_shutdown_complete(&Scope::All, LONG))
    }),
    ("end of a generation", |observer, segment| {
        let generation = observer.status().unwrap().generation;
        failed(ShutdownCoordinator::new(segment).wait_gone(generation, LONG))
    }),
    ("change, by an observer", |observer, _| {
        failed(observer.wait_for_change(Phase::Running, Mode::Graceful, LONG))
    }),
];

#[test]
fn each_wait_ends_when_its_segment_is_removed() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let device = CrossProcessLock::open(&segment, "device").unwrap();
        let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
        let guard = device.lock().unwrap();
        let permit = permits.acquire().unwrap();
        let observer = place.observe();
        let joined = || place.status().runners.len();
        thread::scope(|scope| {
            let waits: Vec<_> = WAITS
                .iter()
                .map(|(what, wait)| {
                    let (observer, segment) = (&observer, &segment);
                    (what, scope.spawn(move || wait(observer, segment)))
                })
                .collect();
            support::until_true("the last runner has joined", || joined() == 4);
            place.options.remove(Place::NAME, true).unwrap();
            for (what, wait) in waits {
                let error = wait.join().unwrap_or_else(|_| panic!("{what}"));
                let is_named = error.contains(Place::NAME) && error.contains("was removed");
                assert!(is_named, "{what}: {error}");
            }
        });
        // What is held is given back all the same, and what does not wait goes on.
        drop((guard, permit));
        drop(device.try_lock().unwrap());
        drop(runner.begin().unwrap());
    });
}

/// The runners of a removed segment still have it: they shut down together.
#[test]
fn a_shutdown_under_way_ends_in_a_removed_segment() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(HANG * 4);
        a.tell("run");
        support::until_true("it has done what it can", || {
            let runners = place.status().runners;
            runners
                .iter()
                .any(|r| r.id == "a" && r.acknowledged[0].is_some())
        });
        place.options.remove(Place::NAME, true).unwrap();
        b.tell("run");
        let both = "Completed a=Completed b=Completed";
        assert_eq!(a.event("run"), both);
        assert_eq!(b.event("run"), both);
    });
}
