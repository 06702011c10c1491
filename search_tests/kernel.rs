//! The kernel's part in a step: sleepers and the dead.

use super::automaton::Next;
use super::memory::thread_id;
use super::run::{Access, Id};
use super::state::{Actor, Failure, Standing, State, Taken};
use super::system::System;
use crate::sync::life;

impl State {
    /// When the sleep of a sleeping actor ends, and what it sleeps on.
    pub(super) fn sleep<'s>(
        &self,
        actor: usize,
        system: &'s System,
    ) -> Option<(u64, &'s [(Id, u32)])> {
        let Actor { node, standing } = self.actors[actor];
        match system.automata[actor].at(node) {
            Next::Access {
                access: Access::Wait { cells, until },
                ..
            } if standing == Standing::Asleep => Some((*until, cells)),
            _ => None,
        }
    }

    pub(super) fn sleepers(&self, cell: Id, system: &System) -> Vec<usize> {
        let sleeps_on = |actor: &usize| {
            let sleep = self.sleep(*actor, system);
            sleep.is_some_and(|(_, cells)| cells.iter().any(|(id, _)| *id == cell))
        };
        (0..self.actors.len()).filter(sleeps_on).collect()
    }

    /// Wakes sleepers of a word: all, or the one that `variant` says.
    pub(super) fn wake(
        &mut self,
        cell: Id,
        count: u32,
        variant: u8,
        system: &mut System,
        taken: &mut Taken,
    ) -> Result<(), Failure> {
        let sleepers = self.sleepers(cell, system);
        let woken = match (count, sleepers.get(usize::from(variant))) {
            (0, _) | (_, None) => &[][..],
            (1, Some(one)) => &[*one],
            (count, _) if count as usize >= sleepers.len() => &sleepers[..],
            _ => panic!("the search wakes one sleeper, or all"),
        };
        for sleeper in woken {
            taken.is_private = false;
            self.go_on(*sleeper, 0, system, taken)?;
        }
        Ok(())
    }

    /// The kernel marks the life words of a dead thread and wakes one sleeper of each.
    pub(super) fn bury_thread(
        &mut self,
        actor: usize,
        variant: u8,
        system: &mut System,
        taken: &mut Taken,
    ) -> Result<(), Failure> {
        let node = self.actors[actor].node;
        let standing = Standing::Dead;
        self.set_actor(actor, Actor { node, standing });
        for word in system.words.lives.clone() {
            let value = self.values[word as usize] as u32;
            if value & life::TID != thread_id(actor) {
                continue;
            }
            let marked = value & life::WAITERS | life::OWNER_DIED;
            self.set_value(word, marked.into());
            if value & life::WAITERS != 0 {
                let sleepers = self.sleepers(word, system).len();
                let variant = variant.min(sleepers.saturating_sub(1) as u8);
                self.wake(word, 1, variant, system, taken)?;
            }
        }
        Ok(())
    }

    /// How many variants the death of an actor has: which sleeper the kernel wakes.
    pub(super) fn variants_of_death(&self, actor: usize, system: &System) -> u8 {
        let held = |word: &&Id| self.values[**word as usize] as u32 & life::TID == thread_id(actor);
        let sleepers = system.words.lives.iter().filter(held);
        let most = sleepers
            .map(|word| self.sleepers(*word, system).len())
            .max();
        most.unwrap_or(0).max(1) as u8
    }
}
