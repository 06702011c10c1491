//! Errors of locks.

use std::fmt;
use std::time::Duration;

use super::{CoordinationError, SegmentError, debug_as_display};

/// Why a lock or condition variable call failed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The timeout passed; the lock was not taken.
    #[error("lock {name:?} not acquired within {} ms; held by {holder}", waited.as_millis())]
    TimedOut {
        /// The name.
        name: String,
        /// How long the call waited.
        waited: Duration,
        /// Who holds it.
        holder: String,
    },
    /// Somebody holds the lock now.
    #[error("lock {name:?} is held by {holder}")]
    WouldBlock {
        /// The name.
        name: String,
        /// Who holds it.
        holder: String,
    },
    /// This very thread holds it already; waiting would never end.
    #[error("lock {name:?} is held by this thread already")]
    Recursive {
        /// The name.
        name: String,
    },
    /// This thread was chosen to give up, so that the others of a deadlock go on. It does
    /// not have the lock; what it holds it still holds. Give that back, and try again.
    #[error("deadlock at lock {name:?}: {}", told(cycle))]
    Deadlock {
        /// The name of the lock that this thread wanted.
        name: String,
        /// Who waits for whom: each holder is the next one's waiter, the last one's holder
        /// the first one's waiter.
        cycle: Vec<WaitEdge>,
    },
    /// Other threads take these locks in another order, so this could deadlock; only
    /// with [`deny_disorder`](crate::CrossProcessLock::deny_disorder). Take the locks in
    /// one order everywhere.
    #[error(
        "lock {wanted:?} must not be waited for while {held:?} is held: the order so far is {}",
        cycle.join(" before ")
    )]
    OrderViolation {
        /// A lock that this thread holds.
        held: String,
        /// The lock it wanted. It was not taken.
        wanted: String,
        /// The orders taken so far that this closes to a circle: from `wanted` to `held`.
        cycle: Vec<String>,
    },
    /// The name is refused, the table is full, the handle is stale, …
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
}

debug_as_display!(LockError {
    TimedOut,
    WouldBlock,
    Recursive,
    Deadlock,
    OrderViolation,
} wraps { Coordination });

impl From<SegmentError> for LockError {
    fn from(error: SegmentError) -> Self {
        Self::Coordination(error.into())
    }
}

/// A thread that holds or waits for locks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LockThread {
    /// Id of the runner its process is registered as, if it is.
    pub runner: Option<String>,
    /// Its process, as that sees itself.
    pub pid: u32,
    /// Its slot in the segment's table of threads: tells threads of one process apart.
    pub slot: usize,
}

impl fmt::Display for LockThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(runner) = &self.runner {
            write!(f, "{runner:?} ")?;
        }
        write!(f, "(pid {}, thread {})", self.pid, self.slot)
    }
}

/// One thread waits for a lock that another holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WaitEdge {
    /// Who waits.
    pub waiter: LockThread,
    /// For which lock.
    pub lock: String,
    /// Who holds that.
    pub holder: LockThread,
}

impl fmt::Display for WaitEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            waiter,
            lock,
            holder,
        } = self;
        write!(f, "{waiter} waits for {lock:?} held by {holder}")
    }
}

fn told(cycle: &[WaitEdge]) -> String {
    let edges: Vec<_> = cycle.iter().map(ToString::to_string).collect();
    edges.join("; ")
}
