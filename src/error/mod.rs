//! Error vocabulary: one enum per family of operations.

mod coordination;
mod lock;
mod resource;
mod segment;

pub use coordination::CoordinationError;
pub use lock::LockError;
pub use resource::ResourceError;
pub use segment::{Holder, SegmentError};

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
    /// From a resource.
    #[error(transparent)]
    Resource(ResourceError),
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

impl From<ResourceError> for Error {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Coordination(inner) => inner.into(),
            other => Self::Resource(other),
        }
    }
}
