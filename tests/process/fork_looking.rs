//! A forked child and what its parent had to look with, to signal with and to tell a
//! service manager with.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::fork_rest::told;
use crate::support::{Agent, Child, HANG, Shutdown, both_with, event, is_readable, reply, summary};
use ebbtide::{
    CrossProcessLock, DeadlockDetector, Mode, Phase, ProcessHandle, Runner, Scope,
    SharedStateManager, ShutdownCoordinator, SystemdNotifier, Watchdog,
};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork};

#[test]
fn a_look_from_outside_and_a_process_are_the_childs_too_and_the_rest_is_not() {
    both_with(here!(), &[("forker", forker)], |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let path = place.scratch("manager");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_read_timeout(Some(HANG)).unwrap();
        let mut command = Agent::command(place, "forker");
        command
            .env(ebbtide::Segment::VARIABLE, segment.token().to_string())
            .env("NOTIFY_SOCKET", &path);
        let mut forker = Agent::start("forker", command);
        forker.tell("fork");
        forker.event("waits");
        coordinator.begin(HANG);
        assert_eq!(forker.reply("fork"), "ok");
        // The parent's manager is told on, by the parent.
        assert_eq!(forker.ask("end"), "Completed parent=Completed");
        let mut buffer = [0; 4096];
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            assert!(!text.contains("of the child"), "{text}");
            if text.lines().any(|line| line == "STOPPING=1") {
                break;
            }
        }
        assert!(forker.ended().success());
        std::fs::remove_file(path).unwrap();
    });
}

fn forker(child: &Child) {
    let segment = child.open();
    let coordinator = ShutdownCoordinator::new(&segment);
    let runner = Runner::join(&segment, "parent").unwrap();
    let state = SharedStateManager::open(&segment).unwrap();
    state.set("key", "value").unwrap();
    let key = state.prepare("key").unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let guard = lock.lock().unwrap();
    let observer = child.options.observe("group").unwrap();
    let locks = DeadlockDetector::observing(child.options.observe("group").unwrap());
    // It ends with its standard input, whatever becomes of us.
    let mut other = Command::new("cat");
    let other = other.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut other = other.spawn().unwrap();
    let process = ProcessHandle::of_child(&other).unwrap();
    let itself = coordinator.process("parent").unwrap();
    let notifier = SystemdNotifier::start(&runner, Watchdog::WhileAlive).unwrap();
    assert!(notifier.is_some());
    let all = Scope::All;
    assert_eq!(child.order(), "fork");
    // SAFETY: the child goes on in this one thread only, and allocates, which glibc
    // allows after a fork of a process with threads.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            alarm::set(2 * HANG.as_secs() as u32);
            told("journal", segment.journal());
            told("timeline", segment.timeline());
            told("timeline_of", segment.timeline_of(&all));
            told("metrics", segment.metrics());
            told("check", segment.check());
            told("repair", segment.repair());
            told("reclaim", segment.reclaim());
            told("why", coordinator.why(None));
            told("why of one", coordinator.why(Some("parent")));
            told("process", coordinator.process("parent"));
            told("laggards", coordinator.laggards(&all));
            told("report", coordinator.report(&all));
            told("extend", coordinator.extend(&all, HANG));
            told("complete", coordinator.shutdown_complete(&all).map(drop));
            told("gone", smol::future::block_on(coordinator.gone(1)));
            let begun = runner.shutdown_begun();
            told("begun", smol::future::block_on(begun));
            let (phase, mode) = (Phase::Running, Mode::Graceful);
            let changed = runner.phase_changed(phase, mode);
            told("changed", smol::future::block_on(changed));
            told("change", runner.wait_for_change(phase, mode, Some(HANG)));
            told("shutdown", runner.shutdown_notifier());
            told("read", key.read(&mut [0; 16]).map(drop));
            told("get_into", key.get_into(&mut Vec::new()));
            told(
                "prepare",
                state
                    .prepare("key")
                    .and_then(|key| key.get_into(&mut Vec::new())),
            );
            told(
                "notifier",
                SystemdNotifier::start(&runner, Watchdog::WhileAlive),
            );
            // It has a copy of the handle, and none of the thread.
            drop(notifier);

            let status = observer.status().unwrap();
            is("status", status.phase == Phase::Running);
            is("runner", status.runners[0].alive);
            is("locks", status.runners[0].locks_held == ["device"]);
            is("owners", locks.owners().unwrap().len() == 1);
            is("journal", !observer.journal().records.is_empty());
            is("timeline", observer.timeline().unwrap().is_none());
            is("metrics", observer.metrics().is_ok());
            is("why", !observer.why(None).unwrap().sentences.is_empty());
            is("keys", observer.state_keys().len() == 1);
            is("check", observer.check().unwrap().is_sound());
            event("waits");
            let has_changed = observer.wait_for_change(Phase::Running, Mode::Graceful, HANG);
            is("change", has_changed.unwrap());
            is("its timeline", observer.timeline().unwrap().is_some());

            is("parent", itself.signal(Signal::SIGURG as i32).unwrap());
            is("other", process.signal(Signal::SIGKILL as i32).unwrap());
            drop((observer, locks, process, itself, guard, key, state));
            drop((runner, coordinator, segment));
            std::process::exit(0);
        }
        ForkResult::Parent { child: forked } => match waitpid(forked, None).unwrap() {
            WaitStatus::Exited(_, 0) => {}
            end => {
                reply(&format!("the forked child: {end:?}"));
                let _ = other.kill();
            }
        },
    }
    other.wait().unwrap();
    assert!(is_readable(&process.descriptor().unwrap()));
    assert!(!process.signal(Signal::SIGKILL as i32).unwrap());
    assert_eq!(observer.status().unwrap().phase, Phase::Signaling);
    assert!(!guard.previous_owner_died());
    reply("ok");
    assert_eq!(child.order(), "end");
    drop(guard);
    reply(&summary(&runner.run_shutdown().unwrap()));
}

/// Ends the forked child with a word to the parent's parent unless it is so.
#[track_caller]
fn is(what: &str, is_so: bool) {
    if !is_so {
        reply(&format!("{what} is another"));
        std::process::exit(1);
    }
}
