//! Errors of semaphores.

use std::time::Duration;

use super::{LockError, SegmentError, debug_as_display};

/// Why a semaphore call failed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SemaphoreError {
    /// The timeout passed; no permit was taken.
    #[error("no permit of semaphore {name:?} within {} ms; held by {}", waited.as_millis(), holders.join(", "))]
    TimedOut {
        /// The name.
        name: String,
        /// How long the call waited.
        waited: Duration,
        /// Who holds permits, one entry for each.
        holders: Vec<String>,
    },
    /// No permit is free now.
    #[error("no permit of semaphore {name:?} is free; held by {}", holders.join(", "))]
    WouldBlock {
        /// The name.
        name: String,
        /// Who holds permits, one entry for each.
        holders: Vec<String>,
    },
    /// A semaphore has at least one permit and at most as many as the limit.
    #[error("semaphore {name:?} cannot have {asked} permits: 1 to {limit} are possible")]
    Permits {
        /// The name.
        name: String,
        /// What was asked for.
        asked: usize,
        /// The limit.
        limit: usize,
    },
    /// The semaphore exists with another number of permits.
    #[error("semaphore {name:?} has {there} permits, not {asked} as asked")]
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

debug_as_display!(SemaphoreError {
    TimedOut,
    WouldBlock,
    Permits,
    Mismatch,
} wraps { Lock });

impl From<SegmentError> for SemaphoreError {
    fn from(error: SegmentError) -> Self {
        Self::Lock(error.into())
    }
}
