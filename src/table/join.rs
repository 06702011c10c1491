//! Joining: publish the slot as occupied *first*, then read the phase.
//!
//! The other order loses a joiner: it reads Running, an initiator skips its still empty
//! slot, it publishes, and the shutdown completes without it (the barrier bug that lay
//! in PostgreSQL from version 15 to 2026). SYNC POINT `membership` in `group.rs`; the
//! model is `loom_tests/join.rs`, with that order kept as the twin that must be caught.

use core::sync::atomic::Ordering;

use crate::phase::Phase;
use crate::sync::{Env, Mem, Word};

use super::Corrupt;
use super::control::{Control, Stage};
use super::group::Group;
use super::member::{Member, State};

/// A slot being filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) slot: usize,
    pub(crate) generation: u16,
}

/// What came of publishing a claim.
#[derive(Clone, Copy)]
#[must_use]
pub(crate) enum Joined {
    /// The runner is live, in this group generation.
    Live(u32),
    /// A shutdown is on (or over); the slot is free again.
    Refused(Control),
    /// A living runner has the same identity; the slot is free again.
    Duplicate(usize),
    /// Another joiner of the same identity is under way; the slot is free again.
    Contended,
}

impl<M: Mem, const N: usize> Group<M, N> {
    /// Claims a slot for `process`: one whose record is of an ended generation, else one
    /// never used, else one whose runner has ended. `None` when all are live.
    pub(crate) fn claim(&self, process: usize) -> Result<Option<Claim>, Corrupt> {
        let current = self.generation.current();
        let used = self.used();
        let is_ended = |state| matches!(state, State::Left | State::Dead);
        for pass in 0..3 {
            for slot in 0..N {
                let member = self.member(slot);
                let state = member.state()?;
                let wanted = match pass {
                    0 if slot >= used => break,
                    0 => state == State::Free || is_ended(state) && self.joined(slot) != current,
                    1 => state == State::Free,
                    _ => is_ended(state),
                };
                if !wanted {
                    continue;
                }
                // Before the claim: a sweep must find the slot wherever its claimant dies.
                self.raise_high_water(slot);
                let claimed = member.claimed(process);
                if self.swap_member(slot, member, claimed) {
                    self.clear(slot);
                    return Ok(Some(Claim {
                        slot,
                        generation: claimed.generation(),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Group generation that the holder of a slot joined.
    pub(crate) fn joined(&self, slot: usize) -> u32 {
        self.runners
            .get(slot)
            .map_or(0, |runner| runner.joined.load(Ordering::Acquire) as u32)
    }

    /// Makes a claimed record as new.
    fn clear(&self, slot: usize) {
        let Some(runner) = self.runners.get(slot) else {
            return;
        };
        runner.own.reset();
        runner.ended.clear();
        runner.group_times.clear();
        runner.own_times.clear();
        let generation = self.member(slot).generation();
        let fresh = Member::from_raw(0).raw() | u64::from(generation) << 32;
        runner.own_acked.store(fresh, Ordering::Release);
        runner.renew(u64::from(generation));
        let current = self.generation.current();
        runner.joined.store(u64::from(current), Ordering::Release);
    }

    /// Publishes a claim and admits it if no shutdown is on. `same` tells which other
    /// slots hold the same identity.
    pub(crate) fn publish(
        &self,
        claim: Claim,
        env: &impl Env<M>,
        same: impl Fn(usize) -> bool,
    ) -> Result<Joined, Corrupt> {
        let Claim { slot, generation } = claim;
        let claimed = self.member(slot);
        if claimed.generation() != generation || claimed.state()? != State::Claimed {
            return Err(Corrupt("membership word: changed under its claimant"));
        }
        let joining = claimed.with_state(State::Joining);
        self.swap_member(slot, claimed, joining);
        // SYNC POINT membership: whoever initiates from now on sees us, or we see it.
        M::fence(Ordering::SeqCst);

        if let Some(refusal) = self.twin(slot, env, same)? {
            self.withdraw(claim, env)?;
            return Ok(refusal);
        }
        loop {
            let control = self.scope.control();
            match control.stage()? {
                Stage::Renewing => {
                    self.generation.help(&self.scope)?;
                    continue;
                }
                Stage::Phase(Phase::Running) => {}
                Stage::Phase(_) => {
                    self.withdraw(claim, env)?;
                    return Ok(Joined::Refused(control));
                }
            }
            let current = self.generation.current();
            if let Some(runner) = self.runners.get(slot) {
                runner.joined.store(u64::from(current), Ordering::Release);
            }
            let member = self.member(slot);
            if member.state()? == State::Joining {
                self.swap_member(slot, member, member.with_state(State::Live));
            }
            // A whole shutdown and renewal may have passed us by: then we are of the
            // new generation, or refused.
            if self.scope.control().epoch() == control.epoch() {
                return Ok(Joined::Live(current));
            }
        }
    }

    fn twin(
        &self,
        slot: usize,
        env: &impl Env<M>,
        same: impl Fn(usize) -> bool,
    ) -> Result<Option<Joined>, Corrupt> {
        for other in (0..self.used()).filter(|other| *other != slot) {
            let member = self.member(other);
            if !member.is_counted() || !same(other) || self.alive(other, member, env)?.is_none() {
                continue;
            }
            return Ok(Some(match member.state()? {
                State::Joining => Joined::Contended,
                _ => Joined::Duplicate(other),
            }));
        }
        Ok(None)
    }

    /// Takes a published claim back; as it may have been the last laggard, looks at all.
    pub(crate) fn withdraw(&self, claim: Claim, env: &impl Env<M>) -> Result<(), Corrupt> {
        let member = self.member(claim.slot);
        if member.generation() == claim.generation {
            self.swap_member(claim.slot, member, member.with_state(State::Free));
        }
        self.look_and_pass_on(env)
    }
}
