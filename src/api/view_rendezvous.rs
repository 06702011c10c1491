//! The semaphores and barriers of a segment, as seen from outside.

use crate::api::barrier::named;
use crate::api::names::describe_in;
use crate::api::view::View;
use crate::error::BrokenBy;
use crate::sync::{Env, Pulse, Real};

/// A look at one semaphore. Taking it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStatus {
    /// Its name.
    pub name: String,
    /// How many permits there are.
    pub permits: usize,
    /// Who holds permits and lives, one entry for each permit.
    pub holders: Vec<String>,
}

/// A look at one barrier. Taking it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarrierStatus {
    /// Its name.
    pub name: String,
    /// How many pass together.
    pub parties: usize,
    /// How many have arrived and wait.
    pub waiting: usize,
    /// Who or what broke it, if it is broken.
    pub broken: Option<BrokenBy>,
}

impl<E: Env<Real>> View<'_, E> {
    /// Every semaphore, in the order of their first openings.
    pub(super) fn semaphores(&self) -> Vec<SemaphoreStatus> {
        let names = &self.tables.semaphore_names;
        if !names.is_used() {
            return Vec::new();
        }
        let lives = |owner: &_| matches!(self.env.thread_pulse(*owner), Pulse::Alive(_));
        names
            .all()
            .filter_map(|(index, name)| Some((self.tables.semaphores.get(index)?, name)))
            .map(|(semaphore, name)| SemaphoreStatus {
                name,
                permits: semaphore.permits(),
                holders: semaphore
                    .holders()
                    .filter(lives)
                    .map(|owner| describe_in(self.tables, owner))
                    .collect(),
            })
            .collect()
    }

    /// Every barrier, in the order of their first openings.
    pub(super) fn barriers(&self) -> Vec<BarrierStatus> {
        let names = &self.tables.barrier_names;
        if !names.is_used() {
            return Vec::new();
        }
        names
            .all()
            .filter_map(|(index, name)| Some((self.tables.barriers.get(index)?, name)))
            .map(|(barrier, name)| BarrierStatus {
                name,
                parties: barrier.parties(),
                waiting: barrier.arrived(),
                // Strange bytes are told to who uses it.
                broken: barrier
                    .broken()
                    .ok()
                    .flatten()
                    .map(|broken| named(self.tables, broken)),
            })
            .collect()
    }
}
