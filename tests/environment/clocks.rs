//! Time namespaces: every process has its own idea of the clock, and all agree about
//! deadlines.

use std::time::Duration;

use crate::hands::hands;
use crate::launch::{Inmate, Launch, refusal};
use crate::support::untested;
use crate::support::{
    self, Child, HANG, Place, Role, Shutdown, both_with, event, once_with, reply,
};
use ebbtide::{
    CrossProcessLock, LockError, Phase, Runner, Segment, SegmentError, ShutdownCoordinator,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm};

const ROLES: [(&str, Role); 2] = [("clock", clock), ("hands", hands)];

/// - `join ID`
/// - `left`: what is left of the phase, in microseconds.
/// - `try NAME MILLIS`: waits for a lock that is held, in vain.
/// - `run`
fn clock(child: &Child) {
    let segment = child.open();
    let mut runner: Option<Runner> = None;
    loop {
        let order = child.order();
        let words: Vec<&str> = order.split(' ').collect();
        match words[0] {
            "join" => {
                runner = Some(Runner::join(&segment, words[1]).unwrap());
                reply("ok");
            }
            "left" => {
                let left = runner.as_ref().unwrap().phase_remaining().unwrap();
                reply(&left.as_micros().to_string());
            }
            "try" => {
                let timeout = Duration::from_millis(words[2].parse().unwrap());
                let lock = CrossProcessLock::open(&segment, words[1]).unwrap();
                match lock.lock_timeout(timeout) {
                    Err(LockError::TimedOut { waited, .. }) => {
                        reply(&format!("in vain, not too soon: {}", waited >= timeout));
                    }
                    other => reply(&format!("{other:?}")),
                }
            }
            "run" => {
                let report = runner.take().unwrap().run_shutdown().unwrap();
                event(&format!("ran {}", support::summary(&report)));
            }
            "quit" => return,
            other => panic!("no such order: {other}"),
        }
    }
}

/// Seconds that our clock can be set back without being below zero, nearly.
fn since_boot() -> i64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    uptime.split('.').next().unwrap().parse::<i64>().unwrap()
}

/// A million seconds ahead of us, and as if the host had been started just now.
fn everywhen(place: &Place, segment: &Segment) -> Option<Vec<Inmate>> {
    let mut all = Vec::new();
    for ahead in [1_000_000, -since_boot()] {
        let launch = Launch::new().clocks_ahead(ahead);
        if let Some(why) = refusal(&launch) {
            untested(place.test(), why);
            return None;
        }
        all.push(launch.start(place, "clock", segment).unwrap());
    }
    Some(all)
}

#[test]
fn deadlines_are_the_same_instant_for_all() {
    const BUDGET: Duration = Duration::from_secs(600);
    both_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let Some(mut all) = everywhen(place, &segment) else {
            return;
        };
        for (index, one) in all.iter_mut().enumerate() {
            assert_eq!(one.agent.ask(&format!("join r{index}")), "ok");
        }
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(BUDGET);
        let left = || coordinator.status().unwrap().phase_remaining.unwrap();
        for one in &mut all {
            // What is left gets less; theirs is between two looks of ours.
            let before = left();
            let theirs: u64 = one.agent.ask("left").parse().unwrap();
            let theirs = Duration::from_micros(theirs);
            let after = left();
            assert!(
                before >= theirs && theirs >= after,
                "{before:?} {theirs:?} {after:?}"
            );
            assert!(before <= BUDGET);
        }
        for one in &mut all {
            one.agent.tell("run");
        }
        for one in &mut all {
            assert!(one.agent.event("ran").starts_with("Completed"));
        }
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Completed r0=Completed r1=Completed"
        );
        for mut one in all {
            one.agent.tell("quit");
            assert!(one.agent.ended().success());
        }
    });
}

#[test]
fn timeouts_end_in_time_whatever_the_clock_says() {
    const BUDGET: Duration = Duration::from_millis(400);
    both_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let Some(mut all) = everywhen(place, &segment) else {
            return;
        };
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let guard = lock.lock().unwrap();
        for (index, one) in all.iter_mut().enumerate() {
            assert_eq!(
                one.agent.ask("try device 50"),
                "in vain, not too soon: true"
            );
            assert_eq!(one.agent.ask(&format!("join r{index}")), "ok");
        }
        drop(guard);
        // A laggard in this namespace makes them force the phases at the deadline.
        let laggard = Runner::join(&segment, "laggard").unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(BUDGET);
        for one in &mut all {
            one.agent.tell("run");
        }
        for one in &mut all {
            assert!(one.agent.event("ran").starts_with("TimedOut"));
        }
        let report = coordinator.complete();
        assert!(
            report.total >= BUDGET && report.total < HANG,
            "{:?}",
            report.total
        );
        assert_eq!(laggard.phase(), Phase::Complete);
        for mut one in all {
            one.agent.tell("quit");
            assert!(one.agent.ended().success());
        }
    });
}

/// Start times are shown with the reader's own offset.
#[test]
fn a_process_is_the_same_one_for_every_clock() {
    once_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        for ahead in [1_000_000, -since_boot()] {
            let launch = Launch::new().clocks_ahead(ahead);
            if let Some(why) = refusal(&launch) {
                return untested(place.test(), why);
            }
            let mut there = launch.start(place, "hands", &segment).unwrap();
            assert_eq!(there.agent.ask("join there"), "ok");
            let here = place.runner(&segment, "here");
            // In both directions.
            assert_eq!(there.agent.ask("signal here"), "true");
            let process = coordinator.process("there").unwrap();
            assert!(process.signal(libc::SIGCONT).unwrap(), "it lives");
            there.kill();
            assert!(!process.signal(libc::SIGCONT).unwrap(), "it is dead");
            here.quit();
            segment.reap().unwrap();
        }
    });
}

/// Then the kernel shows the offset of its future children, not its own.
#[test]
fn a_process_that_cannot_know_its_clock_is_refused() {
    // In a forked child, whose one thread is the process for `/proc`.
    let unshared = |child: &Child| {
        // SAFETY: the child goes on in this one thread only, and allocates, which glibc
        // allows after a fork of a process with threads.
        match unsafe { nix::unistd::fork() }.unwrap() {
            ForkResult::Child => {
                alarm::set(2 * HANG.as_secs() as u32);
                // SAFETY: no memory is passed; it concerns children that are never made.
                if unsafe { libc::unshare(libc::CLONE_NEWTIME) } != 0 {
                    std::process::exit(2);
                }
                let told = child.options.open(Place::NAME).map(drop);
                let is_refused = matches!(told, Err(SegmentError::Clock { .. }));
                std::process::exit(i32::from(!is_refused));
            }
            ForkResult::Parent { child: forked } => match waitpid(forked, None).unwrap() {
                WaitStatus::Exited(_, code) => reply(&code.to_string()),
                other => reply(&format!("{other:?}")),
            },
        }
    };
    once_with(here!(), &[("unshared", unshared)], |place| {
        let segment = place.create();
        let mut child = support::Agent::spawn(place, "unshared", Some(&segment));
        match child.reply("open").as_str() {
            "0" => {}
            "2" => untested(place.test(), "the kernel refuses a time namespace"),
            other => panic!("{other}"),
        }
        assert!(child.ended().success());
    });
}
