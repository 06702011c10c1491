//! Errors of the protocol.

use std::io;
use std::time::Duration;

use super::{SegmentError, debug_as_display};
use crate::phase::{Mode, Phase};

/// Why a coordination call was refused.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CoordinationError {
    /// The group is shutting down or has completed; nobody may join this generation.
    /// [`Runner::join_or_begin`](crate::Runner::join_or_begin) waits for its end, and begins
    /// or joins the next one.
    #[error("refused: {}; {NEXT}", why_refused(*phase, reason, *remaining))]
    ShuttingDown {
        /// The phase.
        phase: Phase,
        /// Why the group is shut down.
        reason: String,
        /// Until the overall deadline; zero when the phase is Complete.
        remaining: Duration,
    },
    /// A runner id, handler or lock name that is empty, too long or has control characters.
    #[error(
        "name {name:?} is refused: {problem} (allowed: 1 to 64 bytes without control characters or '/')"
    )]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A living runner has this id already.
    #[error("runner {id:?} is registered already by living pid {pid}")]
    DuplicateRunner {
        /// The runner's id.
        id: String,
        /// Its process id as it sees itself; 0 if unknown.
        pid: u32,
    },
    /// No runner of this id is or was registered here.
    #[error("no runner {id:?} in this segment")]
    NoSuchRunner {
        /// The runner's id.
        id: String,
    },
    /// There is no shutdown to wait for, escalate, cancel or extend.
    #[error("no shutdown is under way")]
    NotShuttingDown,
    /// The shutdown has passed the point where it could be cancelled.
    #[error("too late to cancel: phase {phase} is published")]
    TooLate {
        /// The phase.
        phase: Phase,
    },
    /// More time was asked without any progress since the last time.
    #[error(
        "no extension for {id:?}: its progress counter has stood at {progress} since the last one"
    )]
    NoProgress {
        /// The runner's id.
        id: String,
        /// Where the counter stands.
        progress: u64,
    },
    /// The overall cap leaves no more time to give, or the mode is Immediate, in which no
    /// phase gets more than its second.
    #[error("no extension: the overall cap of this shutdown is reached, or its mode is immediate")]
    CapReached,
    /// The runner has left (or was counted out as dead); its handle is spent.
    #[error("runner {id:?} has left")]
    Left {
        /// The runner's id.
        id: String,
    },
    /// Called in a handler, a drain, a cleanup or a force closure of a runner that the call
    /// would wait for: the closure would wait for itself until the deadline. Return from the
    /// closure, and call it outside; `run_shutdown` does the rest of the shutdown by itself.
    #[error(
        "{call} in a closure of runner {id:?} would wait for that closure; return from it, and call {call} outside"
    )]
    WithinShutdown {
        /// The runner whose closure it is.
        id: String,
        /// The call.
        call: &'static str,
    },
    /// New work is refused because the runner drains.
    #[error("runner {id:?} takes no new work in phase {phase}")]
    Draining {
        /// The runner's id.
        id: String,
        /// The phase.
        phase: Phase,
    },
    /// As many items are in flight as can be counted. Finish some before the next begins, or
    /// count a batch as one item.
    #[error(
        "runner {id:?} has {limit} items in flight, the most that can be counted; finish some first"
    )]
    TooManyItems {
        /// The runner's id.
        id: String,
        /// The most items at once.
        limit: u32,
    },
    /// Phases are acknowledged in order, and not before they are published.
    #[error("phase {phase} cannot be acknowledged now: {problem}")]
    OutOfOrder {
        /// The phase.
        phase: Phase,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The generation has not ended.
    #[error("generation {generation} is in phase {phase}; a new one begins only after Complete")]
    NotComplete {
        /// The generation.
        generation: u32,
        /// The phase.
        phase: Phase,
    },
    /// A runner of the old generation still lives; wait for it or end it.
    #[error("generation {generation} still has runner {id:?} (pid {pid}); wait until it is gone")]
    Occupied {
        /// The generation.
        generation: u32,
        /// The runner's id.
        id: String,
        /// Its process id as it sees itself; 0 if unknown.
        pid: u32,
    },
    /// The timeout of this call passed first.
    #[error("timed out after {waited:.2?} in {phase}: {}", told(*phase, laggards))]
    TimedOut {
        /// How long the call waited.
        waited: Duration,
        /// The phase.
        phase: Phase,
        /// Who was not done, and what each was doing.
        laggards: Vec<String>,
    },
    /// A mode can only become harder.
    #[error("mode is {mode} already; it never relaxes")]
    ModeHeld {
        /// Mode bits or mode found.
        mode: Mode,
    },
    /// Shares of a budget must sum to 1000 per mille.
    #[error("shares sum to {sum} per mille, they must sum to 1000")]
    Shares {
        /// What they sum to.
        sum: u32,
    },
    /// The system refused a signal handler or a thread.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The process-wide instance was not bound, or was bound twice.
    #[error("process-wide instance: {problem}")]
    Instance {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The segment itself is at fault.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

debug_as_display!(CoordinationError {
    ShuttingDown,
    WithinShutdown,
    InvalidName,
    DuplicateRunner,
    NoSuchRunner,
    NotShuttingDown,
    TooLate,
    NoProgress,
    CapReached,
    Left,
    Draining,
    TooManyItems,
    OutOfOrder,
    NotComplete,
    Occupied,
    TimedOut,
    ModeHeld,
    Shares,
    System,
    Instance,
} wraps { Segment });

/// What to do about a refused join.
const NEXT: &str =
    "Runner::join_or_begin waits for the next generation or begins it, as `ebbtide begin` does";

fn why_refused(phase: Phase, reason: &str, remaining: Duration) -> String {
    match phase {
        Phase::Complete => format!("the group is shut down ({reason})"),
        _ => {
            let remaining = remaining.as_millis();
            format!("the group is in phase {phase} ({reason}), {remaining} ms remain")
        }
    }
}

/// Who was not done, a sentence each.
fn told(phase: Phase, laggards: &[String]) -> String {
    match laggards {
        [] if phase == Phase::Running => "no shutdown is on".into(),
        [] => "nobody is waited for".into(),
        some => some.join(". "),
    }
}
