//! Errors of the shared state.

use std::time::Duration;

use super::{SegmentError, debug_as_display};
use crate::limits::{KEY_BYTES, MAX_KEYS, VALUE_BYTES};

/// Why a call on the shared state failed. Nothing was changed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The key is empty, longer than 64 bytes, or has a control character.
    #[error(
        "key {key:?} is refused: {problem} (allowed: 1 to {KEY_BYTES} bytes without control characters)"
    )]
    InvalidKey {
        /// The key, cut if long.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The value is longer than a value may be. Split it, or keep it in shared memory of
    /// its own and its name here.
    #[error("value of key {key:?} has {length} bytes, at most {VALUE_BYTES} fit")]
    TooLong {
        /// The key.
        key: String,
        /// Length of the value.
        length: usize,
    },
    /// The table of keys is full. Delete some; the room of keys that a transaction
    /// deletes is there after it, not within it.
    #[error("shared state is full: {MAX_KEYS} keys; no room for {}", keys.join(", "))]
    Full {
        /// The keys that were to be written.
        keys: Vec<String>,
    },
    /// The value is not of the size of the type asked for: another type was written, or
    /// another release of it.
    #[error("value of key {key:?} has {found} bytes, the type {wanted} has {expected}")]
    WrongSize {
        /// The key.
        key: String,
        /// Bytes of the value.
        found: usize,
        /// Bytes of the type.
        expected: usize,
        /// The type.
        wanted: &'static str,
    },
    /// The value does not fit into the caller's memory. 1024 bytes are always enough.
    #[error("value of key {key:?} has {length} bytes, there is room for {room}")]
    NoRoom {
        /// The key.
        key: String,
        /// Length of the value.
        length: usize,
        /// Bytes there were.
        room: usize,
    },
    /// Another writer kept the store for the whole time: it is stopped, or runs a slow
    /// closure in a transaction.
    #[error("shared state not writable within {} ms; a transaction of {holder} is on", waited.as_millis())]
    TimedOut {
        /// How long the call waited.
        waited: Duration,
        /// Who writes.
        holder: String,
    },
    /// A write from within a transaction or update of the same thread, which would wait
    /// for itself. Use the transaction's own methods.
    #[error("called within a transaction of the same thread; use the transaction's own methods")]
    Nested,
    /// The segment itself is at fault.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

debug_as_display!(StateError {
    InvalidKey,
    TooLong,
    Full,
    WrongSize,
    NoRoom,
    TimedOut,
    Nested,
} wraps { Segment });
