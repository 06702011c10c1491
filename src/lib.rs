//! Ordered, crash-proof shutdown of cooperating processes on one host.
//!
//! Processes attach to a named shared-memory [`Segment`] and register as [`Runner`]s. Any
//! of them (or a bystander) begins a shutdown through a [`ShutdownCoordinator`]; then
//! every runner is told, stops taking work, finishes what is in flight and closes its
//! resources, in phases that all go through together: [`Phase`]. There is no
//! coordinator process: whoever makes the next step possible performs it, so the
//! survivors finish whatever is killed. Deaths are noticed by the kernel's own notice, and
//! whoever holds a phase up is named: [`Status`].
//!
//! The README shows a whole program; `docs/design.md` has the words, invariants and proofs.
#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]
#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]

mod api;
mod error;
mod graph;
mod layout;
pub mod limits;
mod note;
mod os;
mod phase;
mod segment;
mod sync;
mod table;
mod width;

pub use api::*;
pub use error::{
    BarrierError, BrokenBy, CoordinationError, Error, EventError, Holder, LockError, LockThread,
    ResourceError, SegmentError, SemaphoreError, StateError, WaitEdge,
};
pub use phase::{Mode, Phase, ReasonCode};
pub use segment::Token;

#[cfg(all(test, feature = "loom"))]
#[path = "../loom_tests/mod.rs"]
mod loom_tests;

#[cfg(test)]
#[path = "../search_tests/mod.rs"]
mod search_tests;

#[cfg(test)]
#[path = "../tests/kill/mod.rs"]
mod kill;

/// The README's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// So are the guide's.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
mod guide {}
