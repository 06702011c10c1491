//! Programs started by a runner (vfork and exec), and threads that end while others live.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use crate::past::predecessors;
use crate::support::{self, Agent, Child, HANG, Place, Role, Shutdown, both_with, event, reply};
use ebbtide::{CrossProcessLock, CrossProcessSemaphore, Runner, ShutdownCoordinator};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const ROLES: [(&str, Role); 3] = [
    ("starter", starter),
    ("threads", threads),
    ("changeling", changeling),
];

/// Starts programs as most do, by `posix_spawn`, in whatever state it is.
fn starter(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "starter").unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
    let _guard = lock.lock().unwrap();
    let _permit = permits.acquire().unwrap();
    let _item = runner.begin().unwrap();
    let _waiting = runner.shutdown_notifier().unwrap();
    // While other threads attach, take locks and start more.
    let busy = |_| {
        let (segment, options) = (segment.clone(), child.options.clone());
        std::thread::spawn(move || {
            let other = CrossProcessLock::open(&segment, "other").unwrap();
            for _ in 0..50 {
                drop(other.lock_timeout(HANG).unwrap());
                drop(options.open_token(&segment.token()).unwrap());
                let status = Command::new("/bin/true").status().unwrap();
                assert!(status.success());
            }
        })
    };
    for thread in (0..3).map(busy).collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let mut program = Command::new("sleep").arg("600").spawn().unwrap();
    reply(&program.id().to_string());
    // Until it is killed.
    program.wait().unwrap();
}

#[test]
fn a_program_that_a_dead_runner_started_keeps_nothing_of_it() {
    both_with(here!(), &ROLES, |place| {
        nix::sys::prctl::set_child_subreaper(true).unwrap();
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut starter = Agent::spawn(place, "starter", Some(&segment));
        let program = Pid::from_raw(starter.reply("start").parse().unwrap());
        let descriptors = std::fs::read_dir(format!("/proc/{program}/fd")).unwrap();
        let theirs = descriptors
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok());
        for path in theirs {
            assert!(
                !path.starts_with(place.directory()),
                "{} is inherited",
                path.display()
            );
        }
        starter.kill();
        // It lives on, and what its starter had is free.
        kill(program, None).unwrap();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert!(lock.lock_timeout(HANG).unwrap().previous_owner_died());
        let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
        drop(permits.acquire_timeout(HANG).unwrap());
        coordinator.begin(HANG);
        let report = coordinator.complete();
        assert_eq!(support::summary(&report), "Completed");
        assert_eq!(predecessors(&report), ["starter"]);
        coordinator.wait_gone(1, HANG).unwrap();
        segment.reap().unwrap();
        assert_eq!(place.status().attached, 1);
        kill(program, Signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(program, None).unwrap();
    });
}

/// Becomes another program, with all it has: by the thread that holds it, or by another
/// while that one waits. None of them is the first of the process.
fn changeling(child: &Child) {
    let segment = child.open();
    let runner = Arc::new(Runner::join(&segment, "changeling").unwrap());
    let by_holder = child.order() == "holder";
    let (ready, is_ready) = mpsc::channel();
    let (held, go) = (Arc::clone(&runner), Arc::new(Barrier::new(2)));
    let told = Arc::clone(&go);
    std::thread::spawn(move || {
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let _guard = lock.lock().unwrap();
        let _item = held.begin().unwrap();
        ready.send(()).unwrap();
        told.wait();
        if by_holder {
            become_another();
        }
        loop {
            std::thread::park();
        }
    });
    is_ready.recv().unwrap();
    reply("ok");
    child.order();
    go.wait();
    if !by_holder {
        std::thread::spawn(become_another);
    }
    loop {
        std::thread::park();
    }
}

fn become_another() {
    let error = Command::new("sleep").arg("600").exec();
    panic!("{error}");
}

/// The pid goes on, the runner does not.
#[test]
fn a_runner_that_becomes_another_program_has_died() {
    both_with(here!(), &ROLES, |place| {
        for by in ["holder", "other"] {
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let coordinator = ShutdownCoordinator::new(&segment);
            let mut child = Agent::spawn(place, "changeling", Some(&segment));
            child.tell(by);
            assert_eq!(child.reply("join"), "ok");
            let mut waiter = place.runner(&segment, "waiter");
            waiter.tell("lock device 30000");
            waiter.until_asleep();
            waiter.tell("run");
            child.tell("exec");
            // Also where the kernel marks nothing.
            assert_eq!(waiter.event("lock"), "died=true", "by {by}");
            waiter.tell("consistent device");
            waiter.event("consistent");
            coordinator.begin(Duration::from_secs(3600));
            assert_eq!(waiter.event("run"), "Completed waiter=Completed", "by {by}");
            let report = coordinator.complete();
            assert_eq!(predecessors(&report), ["changeling"]);
            coordinator.wait_gone(1, HANG).unwrap();
            let comm = std::fs::read_to_string(format!("/proc/{}/comm", child.pid())).unwrap();
            assert_eq!(comm.trim(), "sleep", "it lives");
            segment.reap().unwrap();
            child.kill();
            waiter.quit();
            assert_eq!(place.status().attached, 1);
            drop((coordinator, segment));
            place.options.remove(Place::NAME, false).unwrap();
        }
    });
}

/// Threads that come, take something, and end without giving it back, also in the middle
/// of a wait of others.
fn threads(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "threads").unwrap();
    let leak = |name: &'static str| {
        let segment = segment.clone();
        let end = std::thread::spawn(move || {
            let lock = CrossProcessLock::open(&segment, name).unwrap();
            std::mem::forget(lock.lock_timeout(HANG).unwrap());
            let permits = CrossProcessSemaphore::open(&segment, "permits", 2).unwrap();
            std::mem::forget(permits.acquire_timeout(HANG).unwrap());
        });
        end.join().unwrap();
    };
    loop {
        match child.order().as_str() {
            "leak first" => leak("first"),
            "leak second" => leak("second"),
            "run" => {
                runner.wait_for_shutdown(None).unwrap();
                let report = runner.run_shutdown().unwrap();
                event(&format!("ran {}", support::summary(&report)));
                continue;
            }
            _ => return,
        }
        reply("ok");
    }
}

#[test]
fn a_thread_that_ends_gives_up_its_own_and_its_process_lives_on() {
    both_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut child = Agent::spawn(place, "threads", Some(&segment));
        for round in 0..20 {
            for name in ["first", "second"] {
                assert_eq!(child.ask(&format!("leak {name}")), "ok");
                let lock = CrossProcessLock::open(&segment, name).unwrap();
                let guard = lock.lock_timeout(HANG).unwrap();
                assert!(guard.previous_owner_died(), "round {round}");
                guard.mark_consistent();
            }
            let permits = CrossProcessSemaphore::open(&segment, "permits", 2).unwrap();
            let both = [(); 2].map(|()| permits.acquire_timeout(HANG).unwrap());
            drop(both);
            assert!(place.status().runners[0].alive);
        }
        child.tell("run");
        coordinator.begin(Duration::from_secs(3600));
        assert_eq!(child.event("ran"), "Completed threads=Completed");
        child.quit();
    });
}
