//! Errors of resources.

use super::{CoordinationError, SegmentError, debug_as_display};

/// Why a resource call was refused.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// The handle is of a resource that was unregistered (its place may be another's by
    /// now), or of another manager.
    #[error("the handle of resource {name:?} is stale: it is not registered here any more")]
    Stale {
        /// `runner/name` as it was registered.
        name: String,
    },
    /// This runner has an open resource of this name.
    #[error("resource {name:?} is registered already; unregister it first")]
    Duplicate {
        /// `runner/name`.
        name: String,
    },
    /// What it depends on is being closed, or is closed; nothing new may depend on it.
    #[error("resource {name:?} depends on {dependency:?}, which is closing or closed")]
    DependencyClosing {
        /// `runner/name` of what was to be registered.
        name: String,
        /// `runner/name` of what it depends on.
        dependency: String,
    },
    /// Nothing could be closed first.
    #[error("dependencies form a cycle: {}", cycle.join(" -> "))]
    Cycle {
        /// `runner/name` of each, the first repeated at the end.
        cycle: Vec<String>,
    },
    /// More dependencies than a record holds; put a resource between.
    #[error("resource {name:?} has more than {limit} dependencies; chain them")]
    TooManyDependencies {
        /// `runner/name`.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// The segment or the protocol refuses: the table is full, the runner has left, …
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
}

debug_as_display!(ResourceError {
    Stale,
    Duplicate,
    DependencyClosing,
    Cycle,
    TooManyDependencies,
} wraps { Coordination });

impl From<SegmentError> for ResourceError {
    fn from(error: SegmentError) -> Self {
        Self::Coordination(error.into())
    }
}
