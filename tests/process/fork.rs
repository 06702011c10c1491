//! A forked child has none of its parent's things: it never acknowledges, unlocks,
//! leaves or detaches for the parent, and does not make a dead parent look alive.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{self, Agent, Child, HANG, Shutdown, both_with, event, reply};
use ebbtide::{
    CoordinationError, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, EventError,
    LockError, Phase, Runner, Scope, SegmentError, SharedStateManager, ShutdownCoordinator,
    ShutdownRequest, SignalPolicy, StateError,
};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, alarm, fork};

#[test]
fn every_handle_in_a_forked_child_says_so_and_its_end_ends_nothing() {
    both_with(here!(), &[("forker", forker)], |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut forker = Agent::spawn(place, "forker", Some(&segment));
        assert_eq!(forker.ask("fork"), "ok");
        // As the parent left it: registered, working, holding its lock.
        let status = place.status();
        assert_eq!((status.phase, status.attached), (Phase::Running, 2));
        assert!(status.runners[0].alive);
        assert_eq!(status.runners[0].in_flight, 1);
        assert_eq!(status.runners[0].locks_held, ["device"]);
        assert_eq!(status.runners[0].last_words, "of the parent");
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        assert_is!(
            place.options.remove("group", false),
            Err(SegmentError::InUse { .. })
        );
        // Its own handles are as good as before.
        assert_eq!(forker.ask("go on"), "ok");
        drop(lock.lock_timeout(HANG).unwrap());
        coordinator.begin(HANG);
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Completed parent=Completed"
        );
        assert!(forker.ended().success());
    });
}

/// Forks. The forked child ends in time whatever happens: no pipe and no parent ends it.
fn fork_mortal() -> ForkResult {
    // SAFETY: the child goes on in this one thread only, and allocates, which glibc
    // allows after a fork of a process with threads.
    let result = unsafe { fork() }.unwrap();
    if matches!(result, ForkResult::Child) {
        alarm::set(2 * HANG.as_secs() as u32);
    }
    result
}

fn forker(child: &Child) {
    let segment = child.open();
    let coordinator = ShutdownCoordinator::new(&segment);
    let runner = Runner::join(&segment, "parent").unwrap();
    runner.set_last_words("of the parent").unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let flag = CrossProcessEvent::open(&segment, "flag").unwrap();
    let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
    let state = SharedStateManager::open(&segment).unwrap();
    let mut watch = state.watch("key").unwrap();
    let handle = coordinator.runner("parent").unwrap();
    let item = runner.begin().unwrap();
    let guard = lock.lock().unwrap();
    assert_eq!(child.order(), "fork");

    match fork_mortal() {
        ForkResult::Child => {
            let told = |what: &str, result: Result<(), CoordinationError>| match result {
                Err(CoordinationError::Segment(SegmentError::ForkedHandle)) => {}
                other => {
                    reply(&format!("{what}: {other:?}"));
                    std::process::exit(1);
                }
            };
            let locked = |what: &str, result: Result<(), LockError>| match result {
                Err(LockError::Coordination(error)) => told(what, Err(error)),
                other => {
                    reply(&format!("{what}: {other:?}"));
                    std::process::exit(1);
                }
            };
            let (all, own) = (Scope::All, Scope::runner("parent"));
            let request = ShutdownRequest::new();
            told("join", Runner::join(&segment, "child").map(drop));
            told("begin", runner.begin().map(drop));
            told(
                "acknowledge",
                runner.acknowledge(Phase::Signaling).map(drop),
            );
            told("run_shutdown", runner.run_shutdown().map(drop));
            told(
                "wait_for_shutdown",
                runner.wait_for_shutdown(None).map(drop),
            );
            told("extend", runner.extend(Duration::ZERO).map(drop));
            told("set_last_words", runner.set_last_words("of the child"));
            told(
                "handler",
                runner.register_shutdown_handler(Phase::Closing, 0, "x", |_| {}),
            );
            for scope in [&all, &own] {
                told(
                    "initiate",
                    coordinator.initiate_shutdown(scope, &request).map(drop),
                );
                told(
                    "wait",
                    coordinator
                        .wait_for_shutdown_complete(scope, HANG)
                        .map(drop),
                );
                told(
                    "escalate",
                    coordinator.escalate(scope, ebbtide::Mode::Fast).map(drop),
                );
                told("cancel", coordinator.cancel_shutdown(scope));
            }
            told("status", coordinator.status().map(drop));
            told("report", coordinator.report(&own).map(drop));
            told("runner", coordinator.runner("parent").map(drop));
            told("process", coordinator.process("parent").map(drop));
            told("begin_generation", coordinator.begin_generation().map(drop));
            told("wait_gone", coordinator.wait_gone(1, HANG));
            told(
                "reap",
                segment.reap().map(drop).map_err(CoordinationError::from),
            );
            told("signals", SignalPolicy::for_runner(&runner).install());
            locked(
                "open lock",
                CrossProcessLock::open(&segment, "device").map(drop),
            );
            locked("lock", lock.lock().map(drop));
            locked("try_lock", lock.try_lock().map(drop));
            locked("lock_timeout", lock.lock_timeout(HANG).map(drop));
            locked(
                "open condvar",
                CrossProcessCondvar::open(&segment, "changed").map(drop),
            );
            locked("notify_one", changed.notify_one());
            locked("notify_all", changed.notify_all());
            let event = |name, result: Result<(), EventError>| {
                let result = result.map_err(|error| match error {
                    EventError::Lock(inner) => inner,
                    other => panic!("{name}: {other:?}"),
                });
                locked(name, result);
            };
            event(
                "open event",
                CrossProcessEvent::open(&segment, "flag").map(drop),
            );
            event("set", flag.set().map(drop));
            event("clear", flag.clear());
            event("latest", flag.latest().map(drop));
            event("wait", flag.wait(Some(HANG)).map(drop));
            event("subscribe", flag.subscribe().map(drop));
            let kept = |what: &str, result: Result<(), StateError>| match result {
                Err(StateError::Segment(error)) => told(what, Err(error.into())),
                other => {
                    reply(&format!("{what}: {other:?}"));
                    std::process::exit(1);
                }
            };
            kept("state", SharedStateManager::open(&segment).map(drop));
            kept("get", state.get("key").map(drop));
            kept("put", state.set("key", "of the child"));
            kept("watch", watch.wait(Some(HANG)).map(drop));
            // What has no error does nothing, and looking is allowed.
            runner.progress();
            runner.set_activity("of the child");
            runner.fail("by the child");
            runner.leave();
            assert!(!runner.is_shutting_down() && !coordinator.check_shutdown_signal(handle));
            guard.mark_consistent();
            drop((guard, item));
            drop((
                runner,
                coordinator,
                lock,
                flag,
                changed,
                state,
                watch,
                segment,
            ));
            std::process::exit(0);
        }
        ForkResult::Parent { child: forked } => match waitpid(forked, None).unwrap() {
            nix::sys::wait::WaitStatus::Exited(_, 0) => reply("ok"),
            other => reply(&format!("the forked child: {other:?}")),
        },
    }
    assert_eq!(child.order(), "go on");
    drop(item);
    drop(runner.begin().unwrap());
    assert!(!guard.previous_owner_died());
    drop(guard);
    reply("ok");
    runner.wait_for_shutdown(None).unwrap();
    runner.run_shutdown().unwrap();
}

/// Another thread of the parent is in the middle of its shutdown, with whatever locks
/// of the process that takes.
#[test]
fn a_child_forked_in_the_middle_of_a_shutdown_is_told_at_once() {
    both_with(here!(), &[("draining", draining)], |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut agent = Agent::spawn(place, "draining", Some(&segment));
        assert_eq!(agent.ask("join"), "ok");
        coordinator.begin(HANG);
        place.until_blocked_by(Phase::Draining, "parent");
        assert_eq!(agent.ask("fork"), "ok");
        assert_eq!(agent.ask("end"), "Completed parent=Completed");
        assert!(agent.ended().success());
    });
}

fn draining(child: &Child) {
    let segment = child.open();
    let runner = Arc::new(Runner::join(&segment, "parent").unwrap());
    let item = runner.begin().unwrap();
    let driven = Arc::clone(&runner);
    let driver = std::thread::spawn(move || {
        driven.wait_for_shutdown(None).unwrap();
        driven.run_shutdown().unwrap()
    });
    child.order();
    reply("ok");
    child.order();
    match fork_mortal() {
        ForkResult::Child => {
            let told = runner.run_shutdown();
            let is_told = matches!(
                told,
                Err(CoordinationError::Segment(SegmentError::ForkedHandle))
            );
            runner.set_activity("of the child");
            runner.fail("by the child");
            runner.leave();
            drop((item, segment));
            std::process::exit(i32::from(!is_told));
        }
        ForkResult::Parent { child: forked } => match waitpid(forked, None).unwrap() {
            nix::sys::wait::WaitStatus::Exited(_, 0) => reply("ok"),
            other => reply(&format!("the forked child: {other:?}")),
        },
    }
    child.order();
    drop(item);
    reply(&support::summary(&driver.join().unwrap()));
}

#[test]
fn a_dead_parent_is_dead_although_its_forked_child_lives_on() {
    both_with(here!(), &[("ancestor", ancestor)], |place| {
        // So that the orphan comes to us, and is waited for.
        prctl::set_child_subreaper(true).unwrap();
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut well = place.runner(&segment, "well");
        let mut ancestor = Agent::spawn(place, "ancestor", Some(&segment));
        let orphan = Orphan(Pid::from_raw(ancestor.ask("fork").parse().unwrap()));
        assert_eq!(ancestor.event("forked"), orphan.0.to_string());
        well.tell("run");
        coordinator.begin(Duration::from_secs(3600));
        place.until_blocked_by(Phase::Signaling, "ancestor");
        ancestor.kill();
        // Not alive by what the child inherited.
        assert_eq!(well.event("run"), "Died ancestor=Died well=Completed");
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Died ancestor=Died well=Completed"
        );
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert!(lock.lock_timeout(HANG).unwrap().previous_owner_died());
        drop(lock);
        coordinator.wait_gone(1, HANG).unwrap();
        assert!(segment.reap().unwrap() <= 1);
        assert_eq!(segment.reap().unwrap(), 0);
        well.quit();
        assert_eq!(place.status().attached, 1);

        // It may come in by itself, as a process of its own.
        assert_eq!(coordinator.begin_generation().unwrap(), 2);
        kill(orphan.0, Signal::SIGUSR1).unwrap();
        assert_eq!(ancestor.event("joined"), "ok");
        let status = place.status();
        assert_eq!((status.attached, status.runners.len()), (2, 1));
        assert_eq!(status.runners[0].pid, orphan.0.as_raw() as u32);
        coordinator.begin(Duration::from_secs(3600));
        assert_eq!(ancestor.event("ran"), "Completed heir=Completed");
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Completed heir=Completed"
        );
        orphan.end();
        drop(coordinator);
        drop(segment);
        // Also without force: nobody is attached.
        place.options.remove("group", false).unwrap();
    });
}

struct Orphan(Pid);

impl Orphan {
    fn end(self) {}
}

impl Drop for Orphan {
    fn drop(&mut self) {
        // It is our child by now, or still its parent's; then that one's end is ours.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

fn ancestor(child: &Child) {
    // Waited for by the forked child, which has no thread that reads orders.
    let mut wake = nix::sys::signal::SigSet::empty();
    wake.add(Signal::SIGUSR1);
    wake.thread_block().unwrap();
    let segment = child.open();
    let runner = Arc::new(Runner::join(&segment, "ancestor").unwrap());
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let _guard = lock.lock().unwrap();
    let token = segment.token();
    assert_eq!(child.order(), "fork");
    match fork_mortal() {
        ForkResult::Child => {
            event(&format!("forked {}", std::process::id()));
            wake.wait().unwrap();
            let again = child.options.open_token(&token).unwrap();
            let heir = Runner::join(&again, "heir").unwrap();
            let lock = CrossProcessLock::open(&again, "device").unwrap();
            drop(lock.lock_timeout(HANG).unwrap());
            // The inherited handles are as spent as before.
            assert!(matches!(
                runner.begin(),
                Err(CoordinationError::Segment(SegmentError::ForkedHandle))
            ));
            event("joined ok");
            heir.wait_for_shutdown(None).unwrap();
            let report = heir.run_shutdown().unwrap();
            event(&format!("ran {}", support::summary(&report)));
            drop((heir, lock, again));
            loop {
                std::thread::park();
            }
        }
        ForkResult::Parent { child: forked } => {
            reply(&forked.to_string());
            loop {
                child.order();
            }
        }
    }
}
