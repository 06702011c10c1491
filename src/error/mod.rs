//! Error vocabulary: one enum per family of operations.

mod barrier;
mod coordination;
mod debug;
mod event;
mod lock;
mod resource;
mod segment;
mod semaphore;
mod state;

use debug::debug_as_display;

pub use barrier::{BarrierError, BrokenBy};
pub use coordination::CoordinationError;
pub use event::EventError;
pub use lock::{LockError, LockThread, WaitEdge};
pub use resource::ResourceError;
pub use segment::{Holder, SegmentError};
pub use semaphore::SemaphoreError;
pub use state::StateError;

/// Any error of the library.
#[derive(thiserror::Error)]
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
    /// From an event.
    #[error(transparent)]
    Event(EventError),
    /// From a semaphore.
    #[error(transparent)]
    Semaphore(SemaphoreError),
    /// From a barrier.
    #[error(transparent)]
    Barrier(BarrierError),
    /// From a resource.
    #[error(transparent)]
    Resource(ResourceError),
}

debug_as_display!(Error {} wraps { Segment, Coordination, Lock, State, Event, Semaphore, Barrier, Resource });

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

impl From<EventError> for Error {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Lock(inner) => inner.into(),
            other => Self::Event(other),
        }
    }
}

impl From<SemaphoreError> for Error {
    fn from(error: SemaphoreError) -> Self {
        match error {
            SemaphoreError::Lock(inner) => inner.into(),
            other => Self::Semaphore(other),
        }
    }
}

impl From<BarrierError> for Error {
    fn from(error: BarrierError) -> Self {
        match error {
            BarrierError::Lock(inner) => inner.into(),
            other => Self::Barrier(other),
        }
    }
}

impl From<ResourceError> for Error {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Coordination(inner) => inner.into(),
            other => Self::Resource(other),
        }
    }
}
