//! The operations that victims die in.
//!
//! An operation sets its scene in the victim and then acts; only the act is stepped. Its
//! peer, the survivor, arranges things before, does what ends a wait, and looks after the
//! particular thing afterwards.

mod lock;
mod phases;
mod rendezvous;
mod rest;
mod setup;
mod twin;

use crate::harness::peer::Peer;
use crate::harness::stage::{Act, Stage};

/// One operation.
#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    /// In the victim, before the first mark.
    pub scene: fn(&Stage) -> Act,
    /// In the survivor, before the victim is started.
    pub arrange: fn(&mut Peer),
    /// In the survivor, when the victim stands at its first mark.
    pub ready: fn(&mut Peer),
    /// In the survivor, when the victim sleeps: what ends its wait. May be asked again.
    pub asleep: fn(&mut Peer),
    /// In the survivor, when the victim is gone.
    pub after: fn(&mut Peer),
    /// A process that was killed before, holding something of everything.
    pub casualty: bool,
    /// Killed at its system calls and touches of the segment, not at every instruction.
    pub touches: bool,
    /// There is no segment before it, or need not be after it: the survivor attaches after
    /// each kill and removes the segment in the end.
    pub fresh: bool,
}

/// Without a peer's part.
const ALONE: Operation = Operation {
    name: "",
    scene: |_| unreachable!("every operation has a scene"),
    arrange: |_| {},
    ready: |_| {},
    asleep: |_| {},
    after: |_| {},
    casualty: false,
    touches: false,
    fresh: false,
};

/// All that must leave no trace.
pub fn all() -> impl Iterator<Item = &'static Operation> {
    [
        lock::ALL,
        rest::STORE,
        phases::ALL,
        rest::RESOURCES,
        rendezvous::ALL,
        setup::ALL,
    ]
    .into_iter()
    .flatten()
}

/// Broken on purpose: the harness must find them out.
pub fn twins() -> &'static [Operation] {
    twin::ALL
}

pub use rest::casualty;
