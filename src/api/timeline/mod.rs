//! One shutdown from its start to its end, as plain values: what happened when, and what
//! it took its time for.

mod build;
mod critical;
mod lines;
mod spans;

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::api::failure::FailureReport;
use crate::api::history::Predecessor;
use crate::api::report::{Outcome, Reason, Shortening, ShutdownOutcome};
use crate::phase::{Mode, Phase};

/// The present or last shutdown of a group, or of one runner alone. All times are counted from its start.
///
/// Put together from the tables, which are exact, and from the journal, which may have
/// forgotten (see [`lost`](Self::lost)). Works on a segment of which everybody is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeline {
    /// Name of the segment.
    pub segment: String,
    /// The runner that is or was shut down alone; `None` if it is about the group.
    pub runner: Option<String>,
    /// The generation that is or was shut down.
    pub generation: u32,
    /// How it ended; `Running` while it is on.
    pub outcome: ShutdownOutcome,
    /// The hardest mode it reached.
    pub mode: Mode,
    /// Why it was asked for.
    pub reason: Reason,
    /// When it began, on the monotonic clock of the host.
    pub started: Duration,
    /// The same by the wall clock; see [`ShutdownReport::began`](crate::ShutdownReport::began).
    pub began: SystemTime,
    /// When it was complete, or was cancelled, likewise; `None` while it is on.
    pub ended: Option<SystemTime>,
    /// Who shortened the budget of the first initiator, if anybody did.
    pub shortened: Option<Shortening>,
    /// How long everything may take, extensions included.
    pub budget: Duration,
    /// How long it took, or has taken until now.
    pub total: Duration,
    /// The phases that were entered, in order.
    pub phases: Vec<TimelinePhase>,
    /// Everybody who was in it, by slot.
    pub runners: Vec<TimelineRunner>,
    /// Runners that had died before it began, or were replaced under their id.
    pub predecessors: Vec<Predecessor>,
    /// What happened besides, in order.
    pub marks: Vec<TimelineMark>,
    /// What the time was spent on, in order: each step ends where the next one begins or
    /// a phase ended.
    pub critical_path: Vec<CriticalStep>,
    /// How many records the journal has lost that may be of it; then handlers, resources and
    /// marks may be missing.
    pub lost: u64,
}

/// One phase of a [`Timeline`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimelinePhase {
    /// Which.
    pub phase: Phase,
    /// When it was entered.
    pub from: Duration,
    /// When it was left; `None` if it is the present one.
    pub until: Option<Duration>,
    /// When it is forced, as things stood at last.
    pub deadline: Duration,
    /// It went on without somebody who was late.
    pub forced: bool,
}

/// One runner of a [`Timeline`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimelineRunner {
    /// Its id.
    pub id: String,
    /// Its process id as it saw itself; 0 if not known any more.
    pub pid: u32,
    /// How it ended; `None` while it runs, or if its record is another's by now.
    pub outcome: Option<Outcome>,
    /// When it saw the shutdown.
    pub observed: Option<Duration>,
    /// When it acknowledged Signaling, Draining and Closing.
    pub acknowledged: [Option<Duration>; 3],
    /// When it left, or was found dead and counted out; zero if that was before.
    pub ended: Option<Duration>,
    /// The last that is known of it before its end: when it saw the shutdown, acknowledged,
    /// or began or ended a handler or a resource. One that [`died`](Self::died) did so after
    /// this, and before it was found.
    pub last_sign: Option<Duration>,
    /// Its process lives now.
    pub alive: bool,
    /// It died before the end, whether or not anybody has counted it out yet.
    pub died: bool,
    /// The first phase it has not done, if one waits or went on without it.
    pub blocked_in: Option<Phase>,
    /// The first phase that went on without it, if it did the phase after all, or may.
    pub late: Option<Phase>,
    /// What of it failed, panicked, was skipped or was left behind.
    pub failures: Vec<FailureReport>,
    /// Handlers that it ran, and resources that it closed, by their beginnings.
    pub spans: Vec<TimelineSpan>,
}

/// What a runner was busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanKind {
    /// A handler.
    Handler,
    /// A resource that waits to be closed: its drain closure runs, or others need it.
    Draining,
    /// The cleanup of a resource.
    Closing,
}

impl SpanKind {
    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Draining => "draining",
            Self::Closing => "closing",
        }
    }
}

/// One handler run, or one step of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimelineSpan {
    /// What it is.
    pub kind: SpanKind,
    /// Of the handler or resource.
    pub name: String,
    /// When it began.
    pub from: Duration,
    /// When it ended; `None` if it has not, or its process did not live to see it.
    pub until: Option<Duration>,
    /// How it ended: `Finished`, `Panicked`, `Abandoned`, `Skipped`, or the state that the
    /// resource came to.
    pub end: Option<&'static str>,
}

impl TimelineSpan {
    /// Whether it came to a good end, or has not ended.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(
            self.end,
            None | Some("Finished" | "Closed" | "Closing" | "Active")
        )
    }
}

/// Something that happened at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimelineMark {
    /// When.
    pub at: Duration,
    /// Whom it is about.
    pub runner: Option<String>,
    /// The name of the kind of event, as [`JournalEvent::name`](crate::JournalEvent::name).
    pub kind: &'static str,
    /// In words.
    pub text: String,
}

/// One step of what a shutdown's time was spent on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CriticalStep {
    /// The phase.
    pub phase: Phase,
    /// Who was waited for; `None` if the phase was over its time, or nobody was there.
    pub runner: Option<String>,
    /// What it did, for example `closing kv-cache`.
    pub doing: String,
    /// When that began, or when it began to matter.
    pub from: Duration,
    /// When it ended.
    pub until: Duration,
    /// Whom it had waited for before it could begin.
    pub waited_for: Option<String>,
}

impl CriticalStep {
    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// Who did what, and whom that had waited for: `runner-2 closing kv-cache, which waited for
/// runner-1`.
impl fmt::Display for CriticalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(runner) = &self.runner {
            write!(f, "{runner} ")?;
        }
        f.write_str(&self.doing)?;
        match &self.waited_for {
            Some(other) => write!(f, ", which waited for {other}"),
            None => Ok(()),
        }
    }
}
