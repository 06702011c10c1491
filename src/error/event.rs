//! Errors of events.

use super::{CoordinationError, LockError, SegmentError, debug_as_display};

/// Why an event call failed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The event exists and resets in another way. Open it without asking for one, or
    /// choose another name.
    #[error("event {name:?} is {there}-reset, not {asked}-reset as asked")]
    Reset {
        /// The name.
        name: String,
        /// How it resets.
        there: &'static str,
        /// What was asked for.
        asked: &'static str,
    },
    /// The payload is too long. Put it into a file and its path into the payload.
    #[error("a payload of {length} bytes is too long: at most {limit}")]
    Payload {
        /// Its length in bytes.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// One wait can watch only so many events, and at least one. Use fewer.
    #[error("cannot wait for {count} events at once: 1 to {limit} are possible")]
    Count {
        /// How many were given.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The name is refused, the table is full, another setter is stopped in the middle
    /// of a set, the handle is stale, …
    #[error(transparent)]
    Lock(#[from] LockError),
}

debug_as_display!(EventError {
    Reset,
    Payload,
    Count,
} wraps { Lock });

impl From<CoordinationError> for EventError {
    fn from(error: CoordinationError) -> Self {
        Self::Lock(error.into())
    }
}

impl From<SegmentError> for EventError {
    fn from(error: SegmentError) -> Self {
        Self::Lock(error.into())
    }
}
