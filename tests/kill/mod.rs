//! The protocol under real kills: a child process runs one operation of the shipped
//! code on the killing memory and dies before its k-th shared access, for every k;
//! meanwhile a peer hammers, and afterwards a survivor must do everything.
//!
//! - [`memory`]: the memory that kills.
//! - [`child`]: starting the victim, which is this test binary run again.
//! - [`operation`]: the operations that victims die in.
//! - [`store`]: writes to the shared state, and what they must leave.
//! - [`rendezvous`]: events, semaphores and barriers, for victims and survivors.
//! - [`survivor`]: what must still work, and the peer.
//! - [`truth`]: what a result is made of.
//! - [`sweep`]: the tests.

mod child;
mod memory;
mod operation;
mod rendezvous;
mod store;
mod survivor;
mod sweep;
mod truth;

use std::sync::Arc;

use crate::api::core::Core;
use crate::layout::Layout;

use memory::Faulty;

/// An attachment on the killing memory.
type Attached = Arc<Core<Faulty>>;
type Tables = Layout<Faulty>;
