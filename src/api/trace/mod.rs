//! Spans and events for the `tracing` crate, at the edge of the API: the algorithms below
//! know nothing of it. Without the feature every function here is empty and every type is
//! nothing, so the callers need no condition.

#[cfg(not(feature = "tracing"))]
mod off;
#[cfg(feature = "tracing")]
mod on;

#[cfg(not(feature = "tracing"))]
pub(crate) use off::*;
#[cfg(feature = "tracing")]
pub(crate) use on::*;
