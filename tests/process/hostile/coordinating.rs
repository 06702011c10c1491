//! The calls by which a group is shut down and left.

use std::time::Duration;

use ebbtide::{
    Mode, Phase, Runner, Scope, Segment, ShutdownCoordinator, ShutdownRequest, SystemdNotifier,
    Watchdog,
};

use super::{SHORT, trying};

/// A signal that does nothing to a process that did not ask for it (SIGURG).
const HARMLESS: i32 = 23;

pub fn try_coordinator(coordinator: &ShutdownCoordinator) {
    trying("status");
    let _ = coordinator.status().map(|status| format!("{status:?}"));
    let request = ShutdownRequest::new().timeout(SHORT).mode(Mode::Fast);
    for scope in [Scope::All, Scope::runner("a")] {
        trying("report");
        let report = coordinator.report(&scope);
        let _ = report.map(|report| format!("{report:?}"));
        let laggards = coordinator.laggards(&scope);
        let _ = laggards.map(|laggards| format!("{laggards:?}"));
        trying("initiate");
        let _ = coordinator.initiate_shutdown(&scope, &request);
        trying("extend a shutdown");
        let _ = coordinator.extend(&scope, SHORT);
        trying("wait");
        let _ = coordinator
            .wait_for_shutdown_complete(&scope, SHORT)
            .map_err(|error| error.to_string());
        trying("escalate");
        let _ = coordinator.escalate(&scope, Mode::Immediate);
        trying("end what remains");
        if let Ok(remaining) = coordinator.end_remaining(&scope, &request) {
            for runner in remaining {
                let _ = coordinator.wait_left(runner, SHORT);
            }
        }
        trying("cancel");
        let _ = coordinator.cancel_shutdown(&scope);
    }
    trying("runner by id");
    if let Ok(handle) = coordinator.runner("a") {
        let _ = coordinator.check_shutdown_signal(handle);
    }
    if let Ok(process) = coordinator.process("a") {
        let _ = process.signal(HARMLESS);
        let _ = process.descriptor();
    }
    trying("generation");
    let _ = coordinator.begin_generation();
    let _ = coordinator.wait_gone(1, SHORT);
}

pub fn try_runner(runner: &Runner) {
    trying("runner");
    let _ = (runner.id(), runner.generation());
    let (phase, mode) = (runner.phase(), runner.mode());
    let _ = (runner.is_shutting_down(), runner.in_flight());
    let _ = (runner.phase_remaining(), runner.should_abort());
    let _ = runner.begin().map(drop);
    runner.progress();
    runner.set_activity("trying");
    let _ = runner.set_last_words("still none");
    let _ = runner.extend(SHORT);
    trying("wait_for_shutdown");
    let _ = runner.wait_for_shutdown(Some(SHORT));
    trying("wait_for_change");
    let _ = runner.wait_for_change(phase, mode, Some(SHORT));
    trying("acknowledge");
    for phase in Phase::ACKNOWLEDGED {
        let _ = runner.acknowledge(phase);
    }
}

/// Tells a service manager until it is dropped, where there is one.
pub fn tell_manager(runner: &Runner) -> Option<SystemdNotifier> {
    trying("tell a service manager");
    SystemdNotifier::start(runner, Watchdog::WhileAlive)
        .ok()
        .flatten()
}

/// The ways out, each with a runner of its own.
pub fn try_endings(segment: &Segment, runner: &Runner) {
    let coordinator = ShutdownCoordinator::new(segment);
    trying("handlers");
    for phase in Phase::ACKNOWLEDGED {
        let _ = coordinator.register_shutdown_handler(phase, 1, "of all", |context| {
            drop(format!("{context:?}"));
        });
        let seen = coordinator.clone();
        let _ = runner.register_shutdown_handler(phase, 0, "of one", move |_| {
            let _ = seen.laggards(&Scope::All);
        });
    }
    trying("run_shutdown");
    run(&coordinator, runner);
    trying("leave");
    runner.leave();
    trying("shut_down");
    let _ = runner.shut_down(SHORT);
    trying("begin_generation");
    let _ = coordinator.begin_generation();
    trying("fail");
    if let Ok(failed) = Runner::join(segment, "failed") {
        failed.fail("tried");
    }
    trying("leave_forced");
    if let Ok(forced) = Runner::join(segment, "forced") {
        forced.leave_forced();
    }
    trying("drop a runner");
    drop(Runner::join(segment, "dropped"));
}

/// Runs a whole shutdown. It takes as long as the bytes say that it may; so it is asked
/// again and again to be quick, as anybody may ask.
fn run(coordinator: &ShutdownCoordinator, runner: &Runner) {
    let now = ShutdownRequest::new().timeout(SHORT).mode(Mode::Immediate);
    let hurry = || drop(coordinator.initiate_shutdown(&Scope::All, &now));
    hurry();
    let here = std::thread::current();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let report = runner.run_shutdown();
            let _ = report.map(|report| format!("{report:?}"));
            here.unpark();
        });
        while !running.is_finished() {
            std::thread::park_timeout(Duration::from_millis(20));
            hurry();
        }
    });
}
