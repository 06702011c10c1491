//! `ebbtide exec`: any program as a runner.
//!
//! This process is the runner; the program is its one item of work. Told of a shutdown,
//! it sends the signal and acknowledges Signaling; the program's end acknowledges
//! Draining; after that there is nothing left to close.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, Scope as Threads};
use std::time::{Duration, Instant};

use ebbtide::{
    CoordinationError, InFlight, Mode, Phase, ProcessHandle, Runner, Segment, SegmentOptions,
    ShutdownRequest, SignalPolicy, SystemdNotifier, Watchdog,
};
use nix::sys::signal::Signal;

use crate::args::Exec;
use crate::exit::{Code, Failure, chain};
use crate::output::complain;

/// A program that is killed is killed this long before Draining runs out, so that its
/// end still counts in the phase.
const LAST_CALL: Duration = Duration::from_millis(250);

/// The budget when `exec` itself is sent a signal: Draining's share of twice the grace
/// is longer than the grace.
const OWN_BUDGET: Duration = Duration::from_secs(30);

pub fn run(options: &SegmentOptions, args: &Exec) -> Result<u8, Failure> {
    let segment = options.open_or_create(&args.segment)?;
    // A second start begins the next generation; nothing is waited for.
    let runner = Runner::join_or_begin(&segment, &args.runner, Duration::ZERO)?;
    let budget = OWN_BUDGET.max(args.grace.saturating_mul(2));
    SignalPolicy::for_runner(&runner)
        .request(ShutdownRequest::new().timeout(budget))
        .install()?;
    let program = args.command.first().map(OsStr::new).unwrap_or_default();
    let name = program.to_string_lossy().into_owned();
    let mut child = spawn(&segment, program, args).map_err(|error| {
        let message = format!("cannot start {name}: {error}");
        runner.fail(&message);
        let code = match error.kind() {
            ErrorKind::NotFound => Code::NotFound,
            _ => Code::NotExecutable,
        };
        Failure::new(code, message)
    })?;
    let (process, _notifier) = watch_over(&runner, &child, args).inspect_err(|failure| {
        let _ = child.kill();
        let _ = child.wait();
        runner.fail(&failure.message);
    })?;
    let told = format!(
        "waiting for {name} (pid {}) since {}",
        child.id(),
        args.term_signal
    );
    runner.set_activity(&format!("running {name} (pid {})", child.id()));
    let status = thread::scope(|threads| {
        Watch {
            threads,
            runner: &runner,
            process: &process,
            args,
            told,
        }
        .run(child)
    })?;
    Ok(code_of(status))
}

/// A hand on the program, and who tells the service manager of it (until it is dropped): of
/// a foreign program nothing is seen but that it lives.
fn watch_over(
    runner: &Runner,
    child: &Child,
    args: &Exec,
) -> Result<(ProcessHandle, Option<SystemdNotifier>), Failure> {
    let process = ProcessHandle::of_child(child)
        .map_err(|error| Failure::because("no descriptor of the program", &error))?;
    let notifier = match args.notify {
        true => SystemdNotifier::start(runner, Watchdog::WhileAlive)?,
        false => None,
    };
    Ok((process, notifier))
}

fn spawn(segment: &Segment, program: &OsStr, args: &Exec) -> io::Result<Child> {
    let mut command = Command::new(program);
    if args.notify {
        // One voice.
        for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
    }
    // Absolute: the program may have another working directory.
    if let Some(directory) = segment.path().parent() {
        command.env("EBBTIDE_DIR", directory);
    }
    command
        .args(args.command.iter().skip(1))
        .env(Segment::VARIABLE, segment.token().to_string())
        // It must not join under somebody's id by itself.
        .env_remove("EBBTIDE_RUNNER")
        .spawn()
}

enum Event {
    Exited(io::Result<ExitStatus>),
    /// Phase or mode may be another than before.
    Changed,
}

/// The watch over one program.
struct Watch<'scope, 'env, 'a> {
    threads: &'scope Threads<'scope, 'env>,
    runner: &'scope Runner,
    process: &'a ProcessHandle,
    args: &'a Exec,
    /// The activity once it is told.
    told: String,
}

/// What is known of a program that was told.
struct Told {
    at: Instant,
    /// How long before the end of Draining it is killed, once Draining is on.
    last_call: Option<Duration>,
    is_killed: bool,
}

impl<'scope> Watch<'scope, '_, '_> {
    fn run(&self, mut child: Child) -> Result<ExitStatus, Failure> {
        let (events, inbox) = mpsc::channel();
        // The program is the item in flight. Refused: a shutdown is at Draining already.
        let item = self.runner.begin().ok();
        let exits = events.clone();
        self.threads
            .spawn(move || exits.send(Event::Exited(child.wait())));
        self.watch(&events);
        let (status, is_killed) = self.wait(&inbox);
        let result =
            status.map_err(|error| Failure::because("cannot wait for the program", &error));
        match &result {
            Ok(status) => self.conclude(*status, is_killed, item),
            Err(failure) => self.runner.fail(&failure.message),
        }
        // So that the watching thread ends, too.
        self.runner.leave();
        result
    }

    /// Waits for changes of phase and mode on a thread of its own.
    fn watch(&self, events: &Sender<Event>) {
        let (runner, events) = (self.runner, events.clone());
        self.threads.spawn(move || {
            loop {
                let (phase, mode) = (runner.phase(), runner.mode());
                // An error: it has left, so there is nobody to tell.
                if events.send(Event::Changed).is_err()
                    || runner.wait_for_change(phase, mode, None).is_err()
                {
                    return;
                }
            }
        });
    }

    fn wait(&self, inbox: &Receiver<Event>) -> (io::Result<ExitStatus>, bool) {
        let mut told: Option<Told> = None;
        loop {
            let event = match told.as_ref().and_then(|told| self.time_to_look(told)) {
                Some(left) => inbox.recv_timeout(left),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if let Ok(Event::Exited(status)) = event {
                return (status, told.is_some_and(|told| told.is_killed));
            }
            match &mut told {
                None if self.is_told() => told = Some(self.tell()),
                None => {}
                Some(_) if self.is_called_off() => {
                    told = None;
                    self.runner
                        .set_activity(&format!("{}; called off", self.told));
                }
                Some(known) => self.look(known),
            }
        }
    }

    /// Until when nothing is to be done, unless something changes: `None` for ever.
    fn time_to_look(&self, told: &Told) -> Option<Duration> {
        if told.is_killed || self.runner.mode() != Mode::Immediate {
            return None;
        }
        let grace = self.args.grace.saturating_sub(told.at.elapsed());
        let left = self.runner.phase_remaining();
        let last_call = left.map(|left| left.saturating_sub(told.last_call.unwrap_or_default()));
        // At least a millisecond: a kill that found nobody is followed by the exit.
        Some(
            last_call
                .map_or(grace, |last| last.min(grace))
                .max(Duration::from_millis(1)),
        )
    }

    /// Whether a shutdown is on. Only a look: Signaling is done when the program was told.
    fn is_told(&self) -> bool {
        self.runner.phase() != Phase::Running
    }

    fn tell(&self) -> Told {
        self.runner.set_activity(&self.told);
        if let Err(error) = self.process.signal(self.args.term_signal as i32) {
            complain(&format!("cannot signal the program: {error}"));
        }
        let _ = self.is_called_off();
        Told {
            at: Instant::now(),
            last_call: None,
            is_killed: false,
        }
    }

    /// Acknowledges Signaling, for the first time or again (a shutdown that was called off
    /// may have been followed by another between two looks).
    fn is_called_off(&self) -> bool {
        match self.runner.acknowledge(Phase::Signaling) {
            Ok(_) => false,
            Err(CoordinationError::OutOfOrder { .. }) => !self.is_told(),
            Err(error) => {
                complain(&chain(&error));
                false
            }
        }
    }

    /// Kills the program if that was asked for and its time is up.
    fn look(&self, told: &mut Told) {
        let mut is_due = told.at.elapsed() >= self.args.grace;
        let left = self.runner.phase_remaining();
        if let (true, Some(left)) = (self.runner.phase() >= Phase::Draining, left) {
            let last_call = *told.last_call.get_or_insert(LAST_CALL.min(left / 4));
            is_due |= left <= last_call;
        }
        if is_due && !told.is_killed && self.runner.mode() == Mode::Immediate {
            told.is_killed = self.process.signal(Signal::SIGKILL as i32).unwrap_or(false);
        }
    }

    /// The program is gone: does what is left of the shutdown, or leaves.
    fn conclude(&self, status: ExitStatus, is_killed: bool, item: Option<InFlight<'_>>) {
        let words = describe(status);
        self.runner.set_activity("");
        // An error means that the handle is spent; then nobody waits for us.
        let _ = self.runner.set_last_words(&words);
        drop(item);
        let is_told = self.is_told();
        let is_over = self.runner.phase() == Phase::Complete;
        let is_clean = is_clean(status, is_told.then_some(self.args.term_signal));
        if is_killed && status.signal() == Some(Signal::SIGKILL as i32) {
            // Also after the deadline: a program that was killed did not complete.
            self.runner.leave_forced();
        } else if is_over {
            // The outcome stays: it was too late, however it ended then.
            let _ = self.runner.run_shutdown();
        } else if !is_clean {
            self.runner.fail(&words);
        } else if is_told && let Err(error) = self.runner.run_shutdown() {
            match error {
                // Called off just now.
                CoordinationError::NotShuttingDown => {}
                error => complain(&chain(&error)),
            }
        }
    }
}

/// Whether a program ended as it should: with status 0, or, during a shutdown, by the
/// signal it was told with (or by what Ctrl-C and `kill` send to all of a group).
fn is_clean(status: ExitStatus, told_by: Option<Signal>) -> bool {
    let is_telling = |number: i32| {
        told_by.is_some_and(|told_by| {
            [told_by, Signal::SIGTERM, Signal::SIGINT]
                .iter()
                .any(|signal| *signal as i32 == number)
        })
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => code == 0 || is_telling(code - 128),
        (None, Some(signal)) => is_telling(signal),
        (None, None) => false,
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_judged_by_whether_it_was_asked_for() {
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        let killed = ExitStatus::from_raw;
        assert!(is_clean(exited(0), None));
        assert!(!is_clean(exited(3), Some(Signal::SIGTERM)));
        assert!(!is_clean(killed(15), None));
        assert!(is_clean(killed(15), Some(Signal::SIGTERM)));
        assert!(is_clean(exited(143), Some(Signal::SIGTERM)));
        assert!(is_clean(killed(10), Some(Signal::SIGUSR1)));
        assert!(!is_clean(killed(11), Some(Signal::SIGTERM)));
        assert_eq!(code_of(exited(7)), 7);
        assert_eq!(code_of(killed(9)), 137);
        assert_eq!(describe(killed(15)), "killed by signal 15");
    }
}
