//! Errors of locks.

use std::time::Duration;

use super::{CoordinationError, SegmentError};

/// Why a lock or condition variable call failed.
#[derive(Debug, thiserror::Error)]
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
    /// The name is refused, the table is full, the handle is stale, …
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
}

impl From<SegmentError> for LockError {
    fn from(error: SegmentError) -> Self {
        Self::Coordination(error.into())
    }
}
