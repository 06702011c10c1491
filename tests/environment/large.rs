//! Large things: a process with a gigabyte, and a thousand runners.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::past::predecessors;
use crate::support::untested;
use crate::support::{self, Agent, Child, HANG, Role, Shutdown, both_with, event, reply};
use ebbtide::{CrossProcessLock, ProcessHandle, Runner, ShutdownCoordinator, ShutdownOutcome};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const ROLES: [(&str, Role); 2] = [("giant", giant), ("crowd", crowd)];
const RESIDENT: usize = 1 << 30;

fn giant(child: &Child) {
    let segment = child.open();
    let memory = vec![1_u8; RESIDENT];
    let _runner = Runner::join(&segment, "giant").unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let _guard = lock.lock().unwrap();
    reply("ok");
    child.order();
    drop(memory);
}

fn available() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let words = line.unwrap_or_default().trim().trim_end_matches(" kB");
    words.parse::<u64>().unwrap_or_default() * 1024
}

/// Tells a measurement past the test runner. No test is about speed.
fn measured(test: &str, what: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "measured {test}: {what}");
}

/// The kernel tells of the death before it takes the memory down, and of the end after.
#[test]
fn the_death_of_a_process_with_a_gigabyte_is_noticed_and_its_lock_handed_on() {
    both_with(here!(), &ROLES, |place| {
        if available() < 3 * RESIDENT as u64 {
            return untested(place.test(), "there is too little memory to spare");
        }
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut giant = Agent::spawn(place, "giant", Some(&segment));
        assert_eq!(giant.reply("join"), "ok");
        let process = coordinator.process("giant").unwrap();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (had, gone) = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                ready.send(()).unwrap();
                let guard = lock.lock_timeout(HANG).unwrap();
                assert!(guard.previous_owner_died());
                guard.mark_consistent();
                Instant::now()
            });
            let poller = scope.spawn(|| is_gone(&process));
            is_ready.recv().unwrap();
            support::until_asleep(std::process::id());
            let killed = Instant::now();
            giant.shoot();
            (
                waiter.join().unwrap() - killed,
                poller.join().unwrap() - killed,
            )
        });
        measured(
            place.test(),
            format!(
                "{:?}: lock handed on after {had:?}, pidfd after {gone:?}",
                place.liveness
            ),
        );
        coordinator.begin(HANG);
        let report = coordinator.complete();
        assert_eq!(support::summary(&report), "Completed");
        assert_eq!(predecessors(&report), ["giant"]);
        giant.ended();
        coordinator.wait_gone(1, HANG).unwrap();
        assert_eq!(
            segment.reap().unwrap() + segment.reap().unwrap(),
            usize::from(true)
        );
    });
}

fn is_gone(process: &ProcessHandle) -> Instant {
    let mut polled = [PollFd::new(
        process.descriptor().unwrap(),
        PollFlags::POLLIN,
    )];
    poll(&mut polled, PollTimeout::from(HANG.as_millis() as u16)).unwrap();
    Instant::now()
}

const PROCESSES: usize = 20;
const EACH: usize = 50;

/// Many runners of one process, each with a thread that goes through its shutdown.
fn crowd(child: &Child) {
    let segment = child.open();
    let of = child.order();
    let join = |index| Arc::new(Runner::join(&segment, &format!("r{of}-{index}")).unwrap());
    let runners: Vec<_> = (0..EACH).map(join).collect();
    let run = |runner: Arc<Runner>| {
        let drive = move || {
            runner.wait_for_shutdown(None).unwrap();
            runner.run_shutdown().unwrap().outcome
        };
        let thread = std::thread::Builder::new().stack_size(256 * 1024);
        thread.spawn(drive).unwrap()
    };
    let threads: Vec<_> = runners.into_iter().map(run).collect();
    reply("ok");
    for thread in threads {
        assert_eq!(thread.join().unwrap(), ShutdownOutcome::Died);
    }
    event("ran");
}

#[test]
fn a_thousand_runners_of_whom_a_hundred_are_killed_complete() {
    both_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut crowds: Vec<_> = (0..PROCESSES)
            .map(|index| {
                let mut crowd = Agent::spawn(place, "crowd", Some(&segment));
                crowd.tell(&index.to_string());
                crowd
            })
            .collect();
        for crowd in &mut crowds {
            assert_eq!(crowd.reply("join"), "ok");
        }
        assert_eq!(place.status().runners.len(), PROCESSES * EACH);
        // One that is dead already, and one that dies meanwhile.
        let mut first = crowds.pop().unwrap();
        let mut second = crowds.pop().unwrap();
        first.kill();
        // It takes no part by itself any more.
        second.stop();
        let began = Instant::now();
        coordinator.begin(Duration::from_secs(3600));
        second.kill();
        let report = coordinator.complete();
        let what = format!("{} runners in {:?}", PROCESSES * EACH, began.elapsed());
        measured(place.test(), what);
        assert_eq!(report.outcome, ShutdownOutcome::Died);
        let count = |name: &str| {
            let named = |one: &&ebbtide::RunnerReport| {
                one.outcome
                    .as_ref()
                    .is_some_and(|outcome| outcome.name() == name)
            };
            report.runners.iter().filter(named).count()
        };
        // Those of the first had died before it began.
        assert_eq!((count("Died"), report.predecessors.len()), (EACH, EACH));
        assert_eq!(count("Completed"), (PROCESSES - 2) * EACH);
        for crowd in &mut crowds {
            crowd.event("ran");
            assert!(crowd.ended().success());
        }
    });
}
