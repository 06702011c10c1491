//! Everything that models call of the shipped code, in one place: a change of a signature
//! changes this file.

use std::rc::Rc;

use super::memory::Searched;
use super::world::{Actor, World};
use crate::phase::{Mode, Phase, ReasonCode};
use crate::sync::{Env, Pulse};
use crate::table::control::{Ask, Control};
use crate::table::request::Terms;
use crate::table::scope::{Cancelled, Initiated, Scope};

/// Faults that the shipped code still has: their models must be found.
pub(super) const OPEN: &[&str] = &["F2", "F3", "F4", "F5", "F6", "F7", "F9", "F12", "F1"];

/// An epoch, as the shipped code has it.
pub(super) type Epoch = u32;

/// Names of a scope's words, in the order in which they are made.
const SCOPE: [&str; 10] = [
    "control",
    "signaling",
    "draining",
    "closing",
    "complete",
    "extension",
    "tag",
    "shares",
    "cap",
    "pid",
];

/// A graceful shutdown within so many milliseconds.
pub(super) fn ask(budget_millis: u32) -> Ask {
    Ask {
        mode: Mode::Graceful,
        code: ReasonCode::Requested,
        budget_millis,
    }
}

/// A scope, and what belongs to its shutdowns.
pub(super) struct Shutdowns {
    pub(super) scope: Scope<Searched>,
}

impl Shutdowns {
    pub(super) fn new(world: &mut World) -> Rc<Self> {
        world.table("scope", &SCOPE, || Self {
            scope: Scope::default(),
        })
    }

    /// The terms that an initiator of this process proposes.
    fn terms_of(process: usize) -> Terms {
        let first = 100 + process as u16;
        Terms {
            shares: [first, 500 - first, 500],
            cap_millis: 1000 + process as u64,
            pid: 100 + process as u32,
        }
    }

    /// Proposes terms for the epoch of `seen`, as `api/coordinator.rs` does.
    pub(super) fn propose(&self, seen: Control, process: usize, me: &Actor) {
        let is_alive = |process| matches!(me.process_pulse(process), Pulse::Alive(_));
        let terms = Self::terms_of(process);
        let request = &self.scope.request;
        request.propose(seen.epoch(), process, terms, is_alive, || ());
    }

    /// Whether an initiator has published its terms for an epoch.
    pub(super) fn has_terms(&self, epoch: Epoch) -> bool {
        self.scope.request.is_ready(epoch)
    }

    /// Whether what is read as the terms of an epoch is what one initiator proposed.
    pub(super) fn terms_are_of_one(&self, epoch: Epoch) -> bool {
        let terms = self.scope.request.terms(epoch);
        let process = terms.pid.checked_sub(100);
        process.is_some_and(|process| terms == Self::terms_of(process as usize))
    }

    pub(super) fn initiate(&self, budget_millis: u32, me: &Actor) -> Initiated {
        self.scope.initiate(ask(budget_millis), me.now()).unwrap()
    }

    /// A helper's look at the shutdown of `epoch`, in Signaling: stamps it where that is due.
    pub(super) fn settle(&self, epoch: Epoch, me: &Actor) {
        self.scope.settle(Phase::Signaling, epoch, || me.now());
    }

    /// When the shutdown of an epoch began, for one who may stamp it.
    pub(super) fn started(&self, epoch: Epoch, me: &Actor) -> u64 {
        self.scope.started(epoch, me.now())
    }

    /// When the shutdown that is on began, for one who only reads.
    pub(super) fn began(&self) -> Option<u64> {
        let epoch = self.scope.control().epoch();
        self.scope.entered(Phase::Signaling, epoch)
    }

    pub(super) fn cancel(&self) -> bool {
        self.scope.cancel().unwrap() == Cancelled::Done
    }
}
