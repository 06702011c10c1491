//! A forked child and the parent's permits, places, resources and watchers.

use std::fmt::Debug;

use crate::support::{Agent, Child, HANG, both_with, reply, until_readable, until_true};
use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, DeadlockDetector, ResourceManager, ResourceOptions, ResourceState,
    ResourceType, Runner,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork};

#[test]
fn permits_places_and_resources_stay_the_parents() {
    both_with(here!(), &[("forker", forker)], |place| {
        let segment = place.create();
        let mut forker = Agent::spawn(place, "forker", Some(&segment));
        assert_eq!(forker.ask("fork"), "ok");
        let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
        assert_eq!(permits.available(), 0);
        let gate = CrossProcessBarrier::open(&segment, "gate", 2).unwrap();
        assert_eq!((gate.waiting(), gate.broken().unwrap()), (1, None));
        for name in ["device", "box"] {
            let lock = CrossProcessLock::open(&segment, name).unwrap();
            assert!(lock.holder().is_some(), "{name}");
        }
        let status = place.status();
        let queue = status.resources.iter().find(|r| r.name == "queue").unwrap();
        assert_eq!((queue.state, queue.leak), (ResourceState::Active, None));
        assert_eq!(forker.ask("go on"), "Closed");
        drop(permits.acquire_timeout(HANG).unwrap());
        forker.quit();
    });
}

fn forker(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "parent").unwrap();
    let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
    let gate = CrossProcessBarrier::open(&segment, "gate", 2).unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let flag = CrossProcessEvent::open(&segment, "flag").unwrap();
    let mut sets = flag.subscribe().unwrap();
    let notifier = flag.notifier().unwrap();
    let detector = DeadlockDetector::new(&segment);
    let manager = ResourceManager::new(&runner);
    let options = || ResourceOptions::new().cleanup(|_| Ok::<_, String>(()));
    let queue = manager
        .register_resource("queue", ResourceType::Queue, options())
        .unwrap();
    let permit = permits.acquire().unwrap();
    // The waiting thread of the parent exists and waits.
    let awaited = flag.awaited();
    let (held, changed) = (
        smol::block_on(CrossProcessLock::open(&segment, "box").unwrap().acquire()).unwrap(),
        CrossProcessCondvar::open(&segment, "changed").unwrap(),
    );
    let mut arrived = gate.awaited().pollable().unwrap();
    let mut polled = lock.acquire().pollable().unwrap();
    until_true("it has arrived", || gate.waiting() == 1);
    until_readable(&polled);
    assert_eq!(child.order(), "fork");
    // SAFETY: the child goes on in this one thread only, and allocates, which glibc
    // allows after a fork of a process with threads.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            alarm::set(2 * HANG.as_secs() as u32);
            told("acquire", permits.try_acquire());
            told("permit", smol::future::block_on(permits.permit()));
            told("gate", gate.wait_timeout(HANG));
            told("abort", gate.abort());
            told("lock, awaited", smol::future::block_on(lock.acquire()));
            told("condition", smol::future::block_on(changed.awaited(held)));
            told("place, awaited", smol::future::block_on(gate.awaited()));
            told("place, polled", arrived.try_take().unwrap());
            told("lock, polled", polled.try_take().unwrap());
            told("descriptor", lock.acquire().pollable());
            drop((arrived, polled, changed));
            told("next", sets.next(Some(HANG)));
            told("awaited", smol::future::block_on(flag.awaited()));
            told("notifier", flag.notifier());
            told("owners", detector.owners());
            told(
                "register",
                manager.register_resource("other", ResourceType::Queue, options()),
            );
            told("cleanup", manager.cleanup_resources(HANG));
            told("unregister", manager.unregister(&queue));
            drop((permit, awaited, notifier, sets));
            drop((
                manager, runner, permits, gate, lock, flag, detector, segment,
            ));
            std::process::exit(0);
        }
        ForkResult::Parent { child: forked } => match waitpid(forked, None).unwrap() {
            WaitStatus::Exited(_, 0) => reply("ok"),
            other => reply(&format!("the forked child: {other:?}")),
        },
    }
    assert_eq!(child.order(), "go on");
    drop((permit, awaited, held, arrived, polled));
    assert_eq!(gate.waiting(), 0);
    let report = manager.cleanup_resources(HANG).unwrap();
    reply(&format!("{:?}", report.resources[0].state));
    child.order();
}

/// Ends the forked child with a word to the parent's parent unless it is told.
pub fn told<T, E: Debug>(what: &str, result: Result<T, E>) {
    let text = match &result {
        Err(error) => format!("{error:?}"),
        Ok(_) => "no error".into(),
    };
    // What was answered belongs to the parent.
    std::mem::forget(result);
    if !text.contains("ForkedHandle") {
        reply(&format!("{what}: {text}"));
        std::process::exit(1);
    }
}
