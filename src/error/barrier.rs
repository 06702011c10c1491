//! Errors of barriers.

use std::fmt;
use std::time::Duration;

use super::{CoordinationError, LockError, SegmentError, debug_as_display};

/// Who or what broke a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokenBy {
    /// A party died while it waited.
    Death {
        /// Its runner id or process slot, and its process id as it saw itself.
        who: String,
    },
    /// A party's timeout passed.
    Timeout {
        /// Its runner id or process slot, and its process id as it sees itself.
        who: String,
    },
    /// Somebody called `abort`.
    Abort {
        /// Its runner id or process slot, and its process id as it sees itself.
        who: String,
    },
    /// Somebody called `reset` while parties waited.
    Reset {
        /// Who, if that is still known.
        who: Option<String>,
    },
}

impl fmt::Display for BrokenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Death { who } => write!(f, "the death of {who}"),
            Self::Timeout { who } => write!(f, "the timeout of {who}"),
            Self::Abort { who } => write!(f, "an abort by {who}"),
            Self::Reset { who: Some(who) } => write!(f, "a reset by {who}"),
            Self::Reset { who: None } => write!(f, "a reset"),
        }
    }
}

/// Why a barrier call failed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The barrier is broken, for everybody, until it is reset.
    #[error("barrier {name:?} is broken by {by}; reset it to use it again")]
    BrokenBarrier {
        /// The name.
        name: String,
        /// Who or what broke it.
        by: BrokenBy,
    },
    /// The timeout of this call passed, and that broke the barrier.
    #[error("barrier {name:?}: only {arrived} of {parties} had arrived after {} ms; it is broken now", waited.as_millis())]
    TimedOut {
        /// The name.
        name: String,
        /// How long the call waited.
        waited: Duration,
        /// How many had arrived, the caller among them.
        arrived: usize,
        /// How many it takes.
        parties: usize,
    },
    /// A barrier has at least one party and at most as many as the limit.
    #[error("barrier {name:?} cannot have {asked} parties: 1 to {limit} are possible")]
    Parties {
        /// The name.
        name: String,
        /// What was asked for.
        asked: usize,
        /// The limit.
        limit: usize,
    },
    /// The barrier exists with another number of parties.
    #[error("barrier {name:?} has {there} parties, not {asked} as asked")]
    Mismatch {
        /// The name.
        name: String,
        /// How many it has.
        there: usize,
        /// What was asked for.
        asked: usize,
    },
    /// The name is refused, the table is full, the handle is stale, …
    #[error(transparent)]
    Lock(#[from] LockError),
}

debug_as_display!(BarrierError {
    BrokenBarrier,
    TimedOut,
    Parties,
    Mismatch,
} wraps { Lock });

impl From<CoordinationError> for BarrierError {
    fn from(error: CoordinationError) -> Self {
        Self::Lock(error.into())
    }
}

impl From<SegmentError> for BarrierError {
    fn from(error: SegmentError) -> Self {
        Self::Lock(error.into())
    }
}
