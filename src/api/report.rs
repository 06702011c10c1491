//! What became of a shutdown: reports, as plain values.

use std::time::{Duration, SystemTime};

use crate::api::failure::FailureReport;
use crate::api::history::Predecessor;
use crate::api::resource::{Leak, ResourceReport};
use crate::api::text::time;
use crate::phase::{Mode, Phase, ReasonCode};

/// What became of one runner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It did every phase within the budget, or left with nothing left to do.
    Completed,
    /// The same, but a handler, drain or cleanup failed, panicked, was skipped or was left
    /// behind: see [`ShutdownReport::failures`].
    CompletedWithFailures,
    /// It went away in order in the middle: it left, was dropped or its process exited,
    /// without running what it had registered, or with items in flight.
    Abandoned,
    /// The overall deadline passed before it had done every phase.
    TimedOut,
    /// It died before it had done every phase.
    Died,
    /// Its supervisor ended it by force.
    Forced,
    /// It declared itself failed.
    Failed {
        /// What it gave as the cause.
        cause: String,
    },
}

impl Outcome {
    /// The name used by the command line and in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::CompletedWithFailures => "CompletedWithFailures",
            Self::Abandoned => "Abandoned",
            Self::TimedOut => "TimedOut",
            Self::Died => "Died",
            Self::Forced => "Forced",
            Self::Failed { .. } => "Failed",
        }
    }
}

/// What became of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownOutcome {
    /// Everybody completed.
    Completed,
    /// Everybody did every phase, somebody with failures.
    CompletedWithFailures,
    /// Somebody went away midway without doing what it had registered; nobody died or was
    /// late.
    Abandoned,
    /// Somebody died or failed; nobody missed the deadline.
    Died,
    /// The deadline passed while somebody had not finished.
    TimedOut,
    /// The shutdown was called off.
    Cancelled,
    /// It is not over yet.
    Running,
}

impl ShutdownOutcome {
    /// With what a shutdown that ran to its end may end, in the order of the counters in the
    /// segment: add at the end, never reorder.
    pub(crate) const ENDS: [Self; 5] = [
        Self::Completed,
        Self::Died,
        Self::TimedOut,
        Self::CompletedWithFailures,
        Self::Abandoned,
    ];

    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::CompletedWithFailures => "CompletedWithFailures",
            Self::Abandoned => "Abandoned",
            Self::Died => "Died",
            Self::TimedOut => "TimedOut",
            Self::Cancelled => "Cancelled",
            Self::Running => "Running",
        }
    }
}

/// Why a shutdown was asked for, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reason {
    /// Survives the initiator whatever happens.
    pub code: ReasonCode,
    /// The first initiator's text; empty if it gave none, or died or was stopped while writing it.
    pub text: String,
    /// The first initiator's process id as it sees itself; 0 if unknown.
    pub pid: u32,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// That a second initiator shortened the budget of a shutdown under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shortening {
    /// Process id of the one who did so last, as it sees itself.
    pub pid: u32,
    /// When, after the start; exact to four digits.
    pub after: Duration,
    /// The budget since then, from the start and without extensions.
    pub budget: Duration,
}

/// A clause: `the budget was shortened to 10.0 s by pid 17, 3.00 s after the start`.
impl std::fmt::Display for Shortening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (budget, after) = (time(self.budget), time(self.after));
        let pid = self.pid;
        write!(
            f,
            "the budget was shortened to {budget} by pid {pid}, {after} after the start"
        )
    }
}

/// What a runner is doing, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// For example `handler flush-cache`.
    pub text: String,
    /// For how long.
    pub since: Duration,
}

/// One runner in a [`Status`](crate::Status) or [`ShutdownReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunnerReport {
    /// The id it registered under.
    pub id: String,
    /// Its process id as it sees itself; informational.
    pub pid: u32,
    /// Whether its process lives now.
    pub alive: bool,
    /// Its process is dead, whether or not anybody has counted it out yet; false for one
    /// that left in order.
    pub dead: bool,
    /// Its process is stopped now (SIGSTOP, Ctrl-Z or a debugger) and has not done every phase,
    /// whether or not the shutdown went on without it; false where the kernel cannot be asked, as in another pid namespace.
    pub stopped: bool,
    /// When it left or was found dead, after the start; zero if that was before.
    pub ended: Option<Duration>,
    /// `None` while it runs.
    pub outcome: Option<Outcome>,
    /// The first phase it has not done, if a phase waits or went on without it.
    pub blocked_in: Option<Phase>,
    /// When it saw the shutdown, after the start.
    pub observed: Option<Duration>,
    /// When it acknowledged Signaling, Draining and Closing, after the start.
    pub acknowledged: [Option<Duration>; 3],
    /// Items being worked on.
    pub in_flight: u32,
    /// Its progress counter.
    pub progress: u64,
    /// What it is (or was last) doing.
    pub activity: Option<Activity>,
    /// Names of the locks its threads hold.
    pub locks_held: Vec<String>,
    /// Name of a lock that one of its threads waits for.
    pub lock_wanted: Option<String>,
    /// The first phase that went on without it, if it did the phase after all, or may.
    pub late: Option<Phase>,
    /// Handlers, drains, cleanups and force closures of it that failed, panicked, were
    /// skipped or were left behind, in the order it happened.
    pub failures: Vec<FailureReport>,
    /// How many more there were than are kept.
    pub untold_failures: u32,
    /// What it published as its last words; empty if nothing.
    pub last_words: String,
    /// The phase of its own shutdown, when it is shut down alone.
    pub own_phase: Phase,
    /// How many earlier runners of its id died since the segment was created, as far as their
    /// records were there when it joined.
    pub restarts: u64,
    /// When the last of those was found dead.
    pub last_death: Option<SystemTime>,
}

/// One phase in a [`ShutdownReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseReport {
    /// Which.
    pub phase: Phase,
    /// How long it took.
    pub duration: Duration,
}

/// How a handler ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandlerOutcome {
    /// It returned.
    Finished,
    /// It panicked, with this message; the next handler ran all the same.
    Panicked(String),
    /// It overran its deadline. It may still be running; the phase went on without it.
    Abandoned,
    /// Its phase had no time left; it was not started.
    Skipped,
}

impl HandlerOutcome {
    pub(crate) const fn bits(&self) -> u8 {
        match self {
            Self::Finished => 0,
            Self::Panicked(_) => 1,
            Self::Abandoned => 2,
            Self::Skipped => 3,
        }
    }
}

/// One handler run of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerReport {
    /// The name it was registered under.
    pub name: String,
    /// Its phase.
    pub phase: Phase,
    /// How it ended.
    pub outcome: HandlerOutcome,
    /// How long it ran (or was waited for).
    pub duration: Duration,
}

/// What became of a shutdown. Ask again and get the same answer, until the next
/// generation begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Name of the segment.
    pub segment: String,
    /// The generation that was shut down.
    pub generation: u32,
    /// The whole in one word.
    pub outcome: ShutdownOutcome,
    /// The hardest mode it reached.
    pub mode: Mode,
    /// Why it was asked for.
    pub reason: Reason,
    /// When it began, by the wall clock; `None` if none was begun. The segment counts on the
    /// monotonic clock: a wall clock that was set, or a machine that was suspended, since then
    /// moves this time.
    pub began: Option<SystemTime>,
    /// When it was complete, likewise; `None` while it is on.
    pub ended: Option<SystemTime>,
    /// Who shortened the budget of the first initiator, if anybody did.
    pub shortened: Option<Shortening>,
    /// From the start to Complete (or until now).
    pub total: Duration,
    /// The phases entered so far.
    pub phases: Vec<PhaseReport>,
    /// Everybody in scope; in what `run_shutdown` returns, that runner alone (ask the
    /// coordinator for the others).
    pub runners: Vec<RunnerReport>,
    /// Runners that had died before the shutdown began, or were replaced under their id; they
    /// are no part of the outcome. Empty in the report of one runner's own shutdown.
    pub predecessors: Vec<Predecessor>,
    /// Handlers run by this process; empty for a mere waiter.
    pub handlers: Vec<HandlerReport>,
    /// Registered resources of those runners, and what the dead left.
    pub resources: Vec<ResourceReport>,
}

impl ShutdownReport {
    /// Resources that nobody closed, and why.
    pub fn leaks(&self) -> impl Iterator<Item = (&ResourceReport, Leak)> {
        self.resources
            .iter()
            .filter_map(|resource| Some((resource, resource.leak?)))
    }

    /// What failed, panicked, was skipped or was left behind, of the runners in
    /// [`runners`](Self::runners); at most 16 of one runner and 256 of all, with
    /// [`untold_failures`](Self::untold_failures) more.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use ebbtide::{FailureKind, Phase, Runner, SegmentOptions, ShutdownOutcome};
    ///
    /// # let scratch = tempfile::tempdir()?;
    /// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
    /// let segment = options.create("job")?;
    /// let runner = Runner::join(&segment, "worker")?;
    /// runner.register_shutdown_handler(Phase::Closing, 0, "flush", |_| panic!("disk full"))?;
    /// let report = runner.shut_down(Duration::from_secs(10))?;
    /// assert_eq!(report.outcome, ShutdownOutcome::CompletedWithFailures);
    /// let failure = report.failures().next().unwrap();
    /// assert_eq!((failure.name.as_str(), failure.kind), ("flush", FailureKind::Panicked));
    /// assert_eq!(failure.cause, "disk full");
    /// # Ok(())
    /// # }
    /// ```
    pub fn failures(&self) -> impl Iterator<Item = &FailureReport> {
        self.runners.iter().flat_map(|runner| &runner.failures)
    }

    /// How many failures found no place in the segment.
    #[must_use]
    pub fn untold_failures(&self) -> u32 {
        self.runners
            .iter()
            .map(|runner| runner.untold_failures)
            .sum()
    }

    /// Those who were not finished when their time was up.
    pub fn laggards(&self) -> impl Iterator<Item = &RunnerReport> {
        self.runners
            .iter()
            .filter(|runner| matches!(runner.outcome, Some(Outcome::TimedOut | Outcome::Forced)))
    }
}
