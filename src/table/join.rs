//! Joining: read the phase, claim a slot, publish it as occupied, read the phase again.
//!
//! **Read first.** A joiner that would be refused claims nothing, so a refused join moves
//! no word and uses up no generation ([`Group::renewed_control`]).
//!
//! **Publish, then read the phase.** The other order loses a joiner: it reads Running, an
//! initiator skips its still empty slot, it publishes, and the shutdown completes without
//! it (the barrier bug that lay in PostgreSQL from version 15 to 2026). SYNC POINT
//! `membership` in `group.rs`.
//!
//! **Read again when LIVE.** A joiner may be stopped for any time between that read and its
//! swap to LIVE. So after the swap it fences and re-reads the control word, and is admitted
//! only if the epoch is that of the read before and the phase is Closing at most. SYNC POINT
//! `admission`: a process that scans the members after it has seen Complete
//! ([`Group::fenced_control`]: `begin_generation`, `wait_gone`) fences in between. By the
//! total order of the two fences either that process sees the LIVE word, and the joiner is
//! an occupant; or the joiner sees Complete, or what followed it, and is not admitted.
//!
//! What may have happened between the two reads, and why each case is right:
//! - *Nothing, or a shutdown has begun and has reached Closing at most.* The joiner has
//!   been counted since it published its slot, which was before it read Running (SYNC POINT
//!   `membership`), so every advance of that shutdown waits for it. It is admitted, sees
//!   the shutdown, and must act in it. Like any runner it can be forced past.
//! - *That shutdown is Complete.* It was forced past the joiner, which withdraws. It was
//!   LIVE for an instant in a shutdown that was over; a process that counted it as an
//!   occupant during that instant was right to wait.
//! - *A new generation is being begun, or has begun.* It was begun without the joiner, so
//!   the joiner must not be a member of the old one. It retries from the first read, which
//!   makes it a member of the new one, as `joined` says before the next re-read.
//! - *The shutdown was cancelled.* It retries from the first read, likewise.
//!
//! Models: `loom_tests/join.rs` and `loom_tests/late_join.rs`, with must-fail variants.

use core::sync::atomic::Ordering;

use crate::phase::Phase;
use crate::sync::{Env, Mem, Word};

use super::Corrupt;
use super::ack::Ack;
use super::control::{Control, Stage};
use super::group::Group;
use super::member::{Member, State};

/// A slot being filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) slot: usize,
    pub(crate) generation: u64,
}

/// The result of a claim.
#[derive(Clone, Copy)]
#[must_use]
pub(crate) enum Claimed {
    /// The slot is the claimant's.
    Slot(Claim),
    /// All slots have living holders.
    Full,
    /// A shutdown is on (or over); nothing was claimed.
    Refused(Control),
}

#[cfg(test)]
impl Claimed {
    /// The claim, if a slot was claimed.
    pub(crate) fn slot(self) -> Option<Claim> {
        match self {
            Self::Slot(claim) => Some(claim),
            Self::Full | Self::Refused(_) => None,
        }
    }
}

/// The result of publishing a claim.
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
    /// Returns the control word for a joiner, after it has helped a renewal to its end:
    /// Running, or the join is refused.
    pub(crate) fn renewed_control(&self) -> Result<Control, Corrupt> {
        loop {
            let control = self.scope.control();
            match control.stage()? {
                Stage::Renewing => self.generation.help(&self.scope)?,
                Stage::Phase(_) => return Ok(control),
            }
        }
    }

    /// Claims a slot for `process`: one whose record is of an ended generation, else one
    /// never used, else one whose runner has ended.
    pub(crate) fn claim(&self, process: usize, env: &impl Env<M>) -> Result<Claimed, Corrupt> {
        let running = self.renewed_control()?;
        if running.is_shutting_down() {
            return Ok(Claimed::Refused(running));
        }
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
                    let claim = Claim {
                        slot,
                        generation: claimed.generation(),
                    };
                    self.clear(claim, running.epoch(), env.now());
                    return Ok(Claimed::Slot(claim));
                }
            }
        }
        Ok(Claimed::Full)
    }

    /// Group generation that the holder of a slot joined.
    pub(crate) fn joined(&self, slot: usize) -> u32 {
        self.runners
            .get(slot)
            .map_or(0, |runner| runner.joined.load(Ordering::Acquire) as u32)
    }

    /// Makes a claimed record as new. `epoch` was read before the claim, `now` from the
    /// clock after it. Times need no clearing: those of the scopes lie
    /// below their next floor, that of the end below `now`.
    fn clear(&self, Claim { slot, generation }: Claim, epoch: u64, now: u64) {
        let (Some(runner), Some(words)) = (self.runners.get(slot), self.members.get(slot)) else {
            return;
        };
        let own = runner.own.reset();
        runner.claimed.store(now, Ordering::Release);
        // A claimant's own words: an acknowledger of the old holder that was stopped finds
        // another value from now on, and what it swapped in before is gone (`ack.rs`).
        let fresh = |epoch| Ack::fresh(generation, epoch).raw();
        words.ack.store(fresh(epoch), Ordering::Release);
        runner.own_acked.store(fresh(own), Ordering::Release);
        runner.renew(generation);
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
        let mut member = self.announce(claim)?;
        if let Some(refusal) = self.taken(Some(claim.slot), env, same)? {
            self.withdraw(claim, env)?;
            return Ok(refusal);
        }
        // Each turn returns, or follows a move of the control word to another epoch.
        loop {
            let seen = self.renewed_control()?;
            if seen.is_shutting_down() {
                self.withdraw(claim, env)?;
                return Ok(Joined::Refused(seen));
            }
            let (generation, live) = self.go_live(claim.slot, member)?;
            if self.is_admitted(seen)? {
                return Ok(Joined::Live(generation));
            }
            member = live;
        }
    }

    /// CLAIMED to JOINING: an initiator from now on sees the slot, or its shutdown is seen.
    pub(crate) fn announce(&self, claim: Claim) -> Result<Member, Corrupt> {
        let claimed = self.member(claim.slot);
        let joining = claimed.with_state(State::Joining);
        let is_its = claimed.generation() == claim.generation && claimed.state()? == State::Claimed;
        if !is_its || !self.swap_member(claim.slot, claimed, joining) {
            return Err(CHANGED);
        }
        // SYNC POINT membership: an initiator from now on sees us, or we see its shutdown.
        M::fence(Ordering::SeqCst);
        Ok(joining)
    }

    /// JOINING to LIVE, as a member of the present generation, which is returned with the
    /// word. One that is LIVE already becomes a member of the present generation.
    pub(crate) fn go_live(&self, slot: usize, member: Member) -> Result<(u32, Member), Corrupt> {
        let current = self.generation.current();
        if let Some(runner) = self.runners.get(slot) {
            runner.joined.store(u64::from(current), Ordering::Release);
        }
        let live = member.with_state(State::Live);
        match member == live || self.swap_member(slot, member, live) {
            true => Ok((current, live)),
            false => Err(CHANGED),
        }
    }

    /// Whether one that went LIVE after it had seen `seen` is in.
    pub(crate) fn is_admitted(&self, seen: Control) -> Result<bool, Corrupt> {
        // SYNC POINT admission: after LIVE.
        M::fence(Ordering::SeqCst);
        let now = self.scope.control();
        Ok(now.epoch() == seen.epoch() && now.phase()? <= Phase::Closing)
    }

    /// The control word for a process that scans the members afterwards: a runner that goes
    /// LIVE unseen by that scan sees this word or a later one.
    pub(crate) fn fenced_control(&self) -> Control {
        let control = self.scope.control();
        // SYNC POINT admission: before the scan of the members.
        M::fence(Ordering::SeqCst);
        control
    }

    /// Why an identity cannot join (but for the slot of the joiner itself).
    pub(crate) fn taken(
        &self,
        slot: Option<usize>,
        env: &impl Env<M>,
        same: impl Fn(usize) -> bool,
    ) -> Result<Option<Joined>, Corrupt> {
        for other in (0..self.used()).filter(|other| Some(*other) != slot) {
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

    /// Takes a claim back, published or not. It may have been the last laggard, so all are
    /// checked.
    pub(crate) fn withdraw(&self, claim: Claim, env: &impl Env<M>) -> Result<(), Corrupt> {
        let member = self.member(claim.slot);
        let state = member.state()?;
        let is_held = matches!(state, State::Claimed | State::Joining | State::Live);
        if is_held && member.generation() == claim.generation {
            self.swap_member(claim.slot, member, member.with_state(State::Free));
            if state == State::Live
                && let Some(runner) = self.runners.get(claim.slot)
            {
                // It could be found by its id, and shut down alone.
                runner.own.wake_all();
                let _ = self.advance_own(claim.slot, env)?;
            }
        }
        self.look_and_pass_on(env)
    }
}

const CHANGED: Corrupt = Corrupt("membership word: changed under its claimant");
