//! Closures that run in a phase of a shutdown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{self, Shutdown, both, once};
use ebbtide::{
    CoordinationError, HandlerOutcome, Phase, Runner, Scope, ShutdownCoordinator, ShutdownOutcome,
    ShutdownRequest,
};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn handlers_run_in_their_phase_by_priority_then_by_age() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        let ran = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let ran = Arc::clone(&ran);
            move |context: &ebbtide::HandlerContext| {
                assert_eq!(context.runner, "a");
                assert!(context.deadline > std::time::Instant::now());
                ran.lock().unwrap().push((context.phase, name));
            }
        };
        let of_runner = |phase, priority, name| {
            runner
                .register_shutdown_handler(phase, priority, name, note(name))
                .unwrap();
        };
        of_runner(Phase::Closing, 0, "close-1");
        of_runner(Phase::Closing, 5, "close-first");
        of_runner(Phase::Closing, 0, "close-2");
        of_runner(Phase::Closing, -5, "close-last");
        of_runner(Phase::Signaling, 0, "told");
        coordinator
            .register_shutdown_handler(Phase::Draining, 0, "drain", note("drain"))
            .unwrap();
        coordinator
            .register_shutdown_handler(Phase::Closing, 5, "close-second", note("close-second"))
            .unwrap();
        coordinator.begin(FOREVER);
        let report = runner.run_shutdown().unwrap();
        assert_eq!(report.outcome, ShutdownOutcome::Completed);
        let expected = [
            (Phase::Signaling, "told"),
            (Phase::Draining, "drain"),
            (Phase::Closing, "close-first"),
            (Phase::Closing, "close-second"),
            (Phase::Closing, "close-1"),
            (Phase::Closing, "close-2"),
            (Phase::Closing, "close-last"),
        ];
        assert_eq!(*ran.lock().unwrap(), expected);
        let reported: Vec<_> = report
            .handlers
            .iter()
            .map(|h| (h.phase, h.name.as_str()))
            .collect();
        assert_eq!(reported, expected);
        assert!(
            report
                .handlers
                .iter()
                .all(|h| h.outcome == HandlerOutcome::Finished)
        );
    });
}

#[test]
fn a_panicking_handler_is_recorded_and_the_next_one_runs() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        assert_eq!(a.ask("handler draining 1 cache panic"), "ok");
        assert_eq!(a.ask("handler draining 0 log note"), "ok");
        a.tell("run");
        b.tell("run");
        coordinator.begin(FOREVER);
        assert_eq!(
            a.event("handled"),
            "draining cache Panicked(\"cache went wrong\")"
        );
        assert_eq!(a.event("handled"), "draining log Finished");
        assert_eq!(
            a.event("run"),
            "CompletedWithFailures a=CompletedWithFailures b=Completed"
        );
    });
}

#[test]
fn a_handler_that_overruns_is_abandoned_by_name_and_the_phase_goes_on() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut stuck, mut well] = place.runners(&segment, ["stuck", "well"]);
        assert_eq!(stuck.ask("handler signaling 1 slow-cache hang"), "ok");
        assert_eq!(stuck.ask("handler signaling 0 too-late note"), "ok");
        assert_eq!(stuck.ask("handler closing 0 in-time note"), "ok");
        stuck.tell("run");
        well.tell("run");
        let request = ShutdownRequest::new()
            .timeout(Duration::from_secs(40))
            .shares([50, 10, 940])
            .unwrap();
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        stuck.event("handler");
        // Named while it is stuck, from outside.
        let status = place.until_blocked_by(Phase::Signaling, "stuck");
        let doing = status.laggards[0].activity.as_ref();
        assert!(
            doing.is_some_and(|activity| activity.text.contains("slow-cache")),
            "{doing:?}"
        );
        assert_eq!(stuck.event("handled"), "signaling slow-cache Abandoned");
        assert_eq!(stuck.event("handled"), "signaling too-late Skipped");
        assert_eq!(stuck.event("handled"), "closing in-time Finished");
        let expected = "CompletedWithFailures stuck=CompletedWithFailures well=Completed";
        assert_eq!(stuck.event("run"), expected);
        assert_eq!(well.event("run"), expected);
        let report = coordinator.complete();
        assert_eq!(support::summary(&report), expected);
        assert!(
            report.total < Duration::from_secs(40),
            "only its phase was forced"
        );
        stuck.quit();
    });
}

#[test]
fn handlers_are_named_and_of_an_acknowledged_phase() {
    once(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        for phase in [Phase::Running, Phase::Complete] {
            let error = runner
                .register_shutdown_handler(phase, 0, "x", |_| {})
                .unwrap_err();
            assert_is!(error, CoordinationError::OutOfOrder { .. });
        }
        let error = runner
            .register_shutdown_handler(Phase::Closing, 0, "", |_| {})
            .unwrap_err();
        assert_is!(error, CoordinationError::InvalidName { .. });
        let error = coordinator
            .register_shutdown_handler(Phase::Closing, 0, "a\n", |_| {})
            .unwrap_err();
        assert_is!(error, CoordinationError::InvalidName { .. });
    });
}

/// A runner's own handlers are not run for another runner of the same process.
#[test]
fn handlers_of_one_runner_are_not_run_for_another() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let a = Runner::join(&segment, "a").unwrap();
        let b = Runner::join(&segment, "b").unwrap();
        let ran = Arc::new(Mutex::new(Vec::new()));
        for (runner, name) in [(&a, "of-a"), (&b, "of-b")] {
            let ran = Arc::clone(&ran);
            let body = move |_: &ebbtide::HandlerContext| ran.lock().unwrap().push(name);
            runner
                .register_shutdown_handler(Phase::Closing, 0, name, body)
                .unwrap();
        }
        let request = ShutdownRequest::new().timeout(FOREVER);
        coordinator
            .initiate_shutdown(&Scope::runner("a"), &request)
            .unwrap();
        let report = a.run_shutdown().unwrap();
        assert_eq!(report.handlers.len(), 1);
        assert_eq!(*ran.lock().unwrap(), ["of-a"]);
        assert!(!b.is_shutting_down());
    });
}
