//! Error vocabulary: one enum per family of operations.

mod coordination;
mod lock;
mod segment;
mod state;

pub use coordination::CoordinationError;
pub use lock::{LockError, LockThread, WaitEdge};
pub use segment::{Holder, SegmentError};
pub use state::StateError;

/// Any error of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// From the segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// From the protocol.
    #[error(transparent)]
    Coordination(CoordinationError),
    /// From a lock.
    #[error(transparent)]
    Lock(LockError),
    /// From the shared state.
    #[error(transparent)]
    State(StateError),
}

impl From<CoordinationError> for Error {
    fn from(error: CoordinationError) -> Self {
        match error {
            CoordinationError::Segment(inner) => Self::Segment(inner),
            other => Self::Coordination(other),
        }
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Coordination(inner) => inner.into(),
            other => Self::Lock(other),
        }
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Segment(inner) => Self::Segment(inner),
            other => Self::State(other),
        }
    }
}
