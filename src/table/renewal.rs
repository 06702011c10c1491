//! The step from a generation that is over to the next one, by any process.
//!
//! A generation is over when its shutdown is Complete, and gone when no runner of it lives.
//! Both are read before the step, in this order: the control word, a fence (SYNC POINT
//! `admission` in `join.rs`), the members. The step is made from exactly that control word, so
//! of many processes that make it at once one does, and the others read the generation that it
//! began. A process that was stopped before the step finds another control word after it.
//!
//! Models: `loom_tests/renewal.rs`.

use crate::phase::Phase;
use crate::sync::{Env, Mem};

use super::Corrupt;
use super::control::{Control, Stage};
use super::group::Group;
use super::member::{Member, State};

/// The result of an attempt to begin the next generation.
#[derive(Clone, Copy)]
#[must_use]
pub(crate) enum Renewal {
    /// This call began it.
    Begun(u32),
    /// That generation is in that phase, which is not Complete.
    NotComplete(u32, Phase),
    /// That generation is over, and the runner of that slot still lives.
    Occupied(u32, usize, Member),
}

impl<M: Mem, const N: usize> Group<M, N> {
    /// Begins the next generation if the present one is over and none of its runners lives.
    /// Dead ones are marked dead first. `ended` counts the shutdown of that control word before
    /// its generation is replaced.
    pub(crate) fn begin_next(
        &self,
        env: &impl Env<M>,
        ended: impl Fn(Control),
    ) -> Result<Renewal, Corrupt> {
        // Each turn returns or follows a move of the control word.
        loop {
            self.generation.help(&self.scope)?;
            let control = self.fenced_control();
            let generation = self.generation.current();
            match control.stage()? {
                Stage::Renewing => continue,
                Stage::Phase(Phase::Complete) => {}
                Stage::Phase(phase) => return Ok(Renewal::NotComplete(generation, phase)),
            }
            if let Some((slot, member)) = self.occupant(env)? {
                // It may have joined the generation that another process has begun since.
                if self.scope.control() != control {
                    continue;
                }
                return Ok(Renewal::Occupied(generation, slot, member));
            }
            ended(control);
            if self.generation.begin(&self.scope, control)? {
                return Ok(Renewal::Begun(generation.wrapping_add(1)));
            }
        }
    }

    /// Begins the next generation if the present one is over and never had a runner: for a
    /// joiner that came after a shutdown of an empty group. Returns the new number if this
    /// call began it.
    pub(crate) fn begin_after_nobody(
        &self,
        ended: impl Fn(Control),
    ) -> Result<Option<u32>, Corrupt> {
        let control = self.fenced_control();
        let generation = self.generation.current();
        let is_over = control.stage()? == Stage::Phase(Phase::Complete);
        if !is_over || !self.had_nobody(generation)? {
            return Ok(None);
        }
        ended(control);
        // From exactly the word that was read before the members.
        let is_begun = self.generation.begin(&self.scope, control)?;
        Ok(is_begun.then(|| generation.wrapping_add(1)))
    }

    /// Whether no record is of a runner of this generation, or of a living one.
    fn had_nobody(&self, generation: u32) -> Result<bool, Corrupt> {
        for slot in 0..self.used() {
            let was_member = match self.member(slot).state()? {
                State::Live => true,
                // The record of a dead one that was swept since is free, and keeps this.
                State::Left | State::Dead | State::Free => self.joined(slot) == generation,
                State::Claimed | State::Joining => false,
            };
            if was_member {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A living runner, of whatever generation.
    fn occupant(&self, env: &impl Env<M>) -> Result<Option<(usize, Member)>, Corrupt> {
        for slot in 0..self.used() {
            let member = self.member(slot);
            if member.state()? == State::Live && self.alive(slot, member, env)?.is_some() {
                return Ok(Some((slot, member)));
            }
        }
        Ok(None)
    }
}
