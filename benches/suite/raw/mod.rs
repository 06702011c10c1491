//! The system's own primitives, which limits and peers consist of. All unsafe code of the
//! benchmark but that of the shared page and of raw_sync is in here.

pub mod futex;
pub mod kernel;
pub mod pthread;
