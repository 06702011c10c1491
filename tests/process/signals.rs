//! Termination signals as requests, for programs that ask for it.

use crate::support::{self, Agent, Child, HANG, Shutdown, both, both_with, once, reply};
use ebbtide::{
    CoordinationError, Mode, Phase, ReasonCode, Runner, Scope, ShutdownCoordinator, SignalPolicy,
};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn sigterm_shuts_the_runner_down_in_order_and_no_other() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        assert_eq!(a.ask("signals runner"), "ok");
        assert_eq!(a.ask("begin"), "ok");
        a.tell("run");
        a.signal(Signal::SIGTERM);
        support::until_true("it drains", || a.ask("phase") == "draining");
        assert!(a.ask("begin").starts_with("err Draining"));
        assert_eq!(b.ask("check"), "false false");
        assert_eq!(a.ask("end"), "ok");
        assert_eq!(a.event("run"), "Completed a=Completed");
        let report = coordinator.report(&Scope::runner("a")).unwrap();
        assert_eq!(report.reason.code, ReasonCode::Signal);
        assert_eq!(b.ask("check"), "false false");
        a.quit();
    });
}

#[test]
fn an_idle_runner_is_woken_by_its_signal() {
    both(here!(), |place| {
        let segment = place.create();
        for (signal, policy) in [
            (Signal::SIGTERM, "runner"),
            (Signal::SIGINT, "runner"),
            (Signal::SIGINT, "all"),
        ] {
            let mut runner = place.runner(&segment, "a");
            assert_eq!(runner.ask(&format!("signals {policy}")), "ok");
            runner.tell("wait 3600000");
            assert_eq!(runner.ask("check"), "false false");
            runner.signal(signal);
            assert_eq!(runner.event("wait"), "true");
            runner.tell("run");
            assert_eq!(runner.event("run"), "Completed a=Completed");
            runner.quit();
        }
    });
}

#[test]
fn each_further_signal_hardens_the_mode() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runner = place.runner(&segment, "a");
        assert_eq!(runner.ask("signals runner"), "ok");
        assert_eq!(runner.ask("begin"), "ok");
        assert_eq!(runner.ask("mode"), "graceful false");
        runner.tell("run");
        for mode in ["graceful false", "fast true", "immediate true"] {
            runner.signal(Signal::SIGTERM);
            support::until_true(mode, || {
                runner.ask("phase") != "running" && runner.ask("mode") == mode
            });
        }
        // Immediate does not wait for the item.
        let left = "CompletedWithFailures a=CompletedWithFailures";
        assert_eq!(runner.event("run"), left);
        runner.quit();
    });
}

#[test]
fn a_policy_for_all_shuts_everybody_down() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runners = place.runners(&segment, ["a", "b", "c"]);
        for runner in &mut runners {
            runner.tell("run");
        }
        let mut supervisor = place.agent(&segment);
        assert_eq!(supervisor.ask("signals all"), "ok");
        supervisor.signal(Signal::SIGTERM);
        for runner in &mut runners {
            assert_eq!(
                runner.event("run"),
                "Completed a=Completed b=Completed c=Completed"
            );
        }
        let report = coordinator.complete();
        assert_eq!(
            (report.reason.code, report.mode),
            (ReasonCode::Signal, Mode::Graceful)
        );
        supervisor.quit();
    });
}

#[test]
fn ctrl_c_on_the_whole_group_changes_nothing_for_those_who_ignore_it() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = Agent::spawn_leader(place, &segment);
        assert_eq!(runner.ask("join a"), "ok");
        assert_eq!(runner.ask("signals runner ignore"), "ok");
        let group = Pid::from_raw(runner.pid() as i32);
        killpg(group, Signal::SIGINT).unwrap();
        assert_eq!(runner.ask("check"), "false false");
        // Nor in the middle of a shutdown.
        assert_eq!(runner.ask("begin"), "ok");
        runner.tell("run");
        coordinator.begin(HANG);
        place.until_blocked_by(Phase::Draining, "a");
        for _ in 0..3 {
            killpg(group, Signal::SIGINT).unwrap();
        }
        assert_eq!(runner.ask("mode"), "graceful false");
        assert_eq!(place.status().phase, Phase::Draining);
        assert_eq!(runner.ask("end"), "ok");
        assert_eq!(runner.event("run"), "Completed a=Completed");
        runner.quit();
    });
}

#[test]
fn a_policy_that_leaves_sigint_alone_lets_it_kill() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runner = place.runner(&segment, "a");
        assert_eq!(runner.ask("signals runner leave"), "ok");
        runner.signal(Signal::SIGINT);
        assert!(!runner.ended().success());
        assert!(!place.status().runners[0].alive);
    });
}

#[test]
fn nothing_is_installed_unless_asked_and_the_last_policy_is_in_effect() {
    once(here!(), |place| {
        let segment = place.create();
        let mut plain = place.runner(&segment, "plain");
        plain.signal(Signal::SIGTERM);
        assert!(!plain.ended().success());
        let mut twice = place.runner(&segment, "twice");
        for policy in ["all", "runner", "all", "runner ignore", "runner"] {
            assert_eq!(twice.ask(&format!("signals {policy}")), "ok");
        }
        // The runner alone, with one handler for both signals.
        twice.signal(Signal::SIGINT);
        support::until_true("it is told", || twice.ask("check") == "true true");
        assert_eq!(place.status().phase, Phase::Running);
        twice.quit();
        let unused = ebbtide::SignalPolicy::for_all(&segment);
        assert_eq!(unused.scope(), Scope::All);
        assert_is!(
            ShutdownCoordinator::new(&segment).cancel_shutdown(&Scope::All),
            Err(CoordinationError::NotShuttingDown)
        );
    });
}

#[test]
fn a_signal_after_the_runner_has_left_does_what_it_did_before() {
    both(here!(), |place| {
        let segment = place.create();
        for (signal, policy) in [
            (Signal::SIGTERM, "runner"),
            (Signal::SIGINT, "runner"),
            (Signal::SIGINT, "runner ignore"),
        ] {
            let mut runner = place.runner(&segment, "a");
            assert_eq!(runner.ask(&format!("signals {policy}")), "ok");
            assert_eq!(runner.ask("leave"), "ok");
            runner.signal(signal);
            let status = runner.ended();
            assert_eq!(status.signal(), Some(signal as i32), "{policy}: {status}");
        }
    });
}

/// Installed over the policy's handler, which it calls, as libraries that chain handlers do.
static CHAINED: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

extern "C" fn chained(number: libc::c_int) {
    CHAINED[0].fetch_add(1, Ordering::SeqCst);
    let earlier = CHAINED[1].load(Ordering::SeqCst) as *const ();
    // SAFETY: it is the handler that was in effect before this one.
    let earlier: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(earlier) };
    earlier(number);
}

fn chains(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "a").unwrap();
    SignalPolicy::for_runner(&runner).install().unwrap();
    // SAFETY: a valid action is read and set, and the handler touches atomics only.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGTERM, std::ptr::null(), &raw mut action);
        CHAINED[1].store(action.sa_sigaction, Ordering::SeqCst);
        action.sa_sigaction = chained as *const () as libc::sighandler_t;
        libc::sigaction(libc::SIGTERM, &raw const action, std::ptr::null_mut());
    }
    let raise = || nix::sys::signal::raise(Signal::SIGTERM).unwrap();
    raise();
    let is_on = runner.is_shutting_down();
    runner.leave();
    raise();
    let came = CHAINED[0].load(Ordering::SeqCst);
    reply(&format!("{is_on} {came}"));
}

#[test]
fn a_handler_that_calls_the_policys_one_is_called_once_for_each_signal() {
    both_with(here!(), &[("chains", chains)], |place| {
        let segment = place.create();
        let mut child = Agent::spawn(place, "chains", Some(&segment));
        assert_eq!(child.reply("chains"), "true 2");
        assert!(child.ended().success());
    });
}

#[test]
fn a_process_that_joins_again_obeys_its_signals_again() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut a = place.agent(&segment);
        for generation in 1..=4 {
            assert_eq!(a.ask("start 0 a"), "ok");
            // Of itself under the same id; and installed again at will.
            if generation % 2 == 1 {
                assert_eq!(a.ask("signals runner"), "ok");
            }
            a.tell("wait 3600000");
            a.signal(Signal::SIGTERM);
            assert_eq!(a.event("wait"), "true");
            // The first signal of this generation.
            assert_eq!(a.ask("mode"), "graceful false");
            a.tell("run");
            assert_eq!(a.event("run"), "Completed a=Completed");
            coordinator.begin(HANG);
            coordinator.complete();
            assert_eq!(place.status().generation, generation);
        }
        // Under another id it is another runner.
        assert_eq!(a.ask("start 0 b"), "ok");
        a.signal(Signal::SIGTERM);
        assert!(!a.ended().success());
    });
}

#[test]
fn a_policy_for_all_counts_the_signals_of_each_generation() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut supervisor = place.agent(&segment);
        assert_eq!(supervisor.ask("signals all"), "ok");
        for _ in 0..3 {
            let mut a = place.agent(&segment);
            assert_eq!(a.ask("start 0 a"), "ok");
            a.tell("run");
            supervisor.signal(Signal::SIGTERM);
            assert_eq!(a.event("run"), "Completed a=Completed");
            assert_eq!(coordinator.complete().mode, Mode::Graceful);
            a.quit();
        }
        supervisor.quit();
    });
}

/// A process can be signalled by identity, never by a pid that may be another's.
#[test]
fn a_runners_process_is_signalled_by_identity() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        let handle = coordinator.process("a").unwrap();
        assert!(handle.signal(Signal::SIGKILL as i32).unwrap());
        runner.ended();
        assert!(!handle.signal(Signal::SIGKILL as i32).unwrap());
        assert!(handle.signal(12345).is_err());
        segment.reap().unwrap();
        assert_is!(
            coordinator.process("a"),
            Err(CoordinationError::NoSuchRunner { .. })
        );
    });
}
