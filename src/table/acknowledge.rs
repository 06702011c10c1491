//! Acknowledging a phase, in the group's scope or in the runner's own.

use core::sync::atomic::Ordering;

use crate::note::{Kind, LATE, Note};
use crate::phase::Phase;
use crate::sync::{Env, Mem, Next, Word};

use super::Corrupt;
use super::ack::Ack;
use super::control::Control;
use super::group::{Group, Laggard};
use super::scope::Scope;
use super::times::Times;

/// The result of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Acked {
    InTime,
    /// The phase had been forced already.
    Late,
    /// The slot is not this runner's (any more).
    NotLive,
    /// The phase is not published yet, or an earlier one is not done.
    OutOfOrder,
}

impl Acked {
    fn of(late: bool) -> Self {
        if late { Self::Late } else { Self::InTime }
    }
}

/// An acknowledgement: the holder of a slot generation has done a phase of the shutdown of
/// an epoch.
#[derive(Clone, Copy)]
pub(super) struct Said {
    pub(super) slot: usize,
    pub(super) generation: u64,
    pub(super) epoch: u64,
    pub(super) phase: Phase,
    /// Said by another process on its behalf, and nothing of whether it has seen the shutdown.
    pub(super) excused: bool,
}

impl<M: Mem, const N: usize> Group<M, N> {
    /// Acknowledges `phase` of the group's shutdown for a runner, and advances the shutdown
    /// if that was the last. What was done in the shutdown of `epoch` counts in that one
    /// only: another may have been begun since.
    pub(crate) fn acknowledge(
        &self,
        slot: usize,
        generation: u64,
        epoch: u64,
        phase: Phase,
        env: &impl Env<M>,
    ) -> Result<Acked, Corrupt> {
        let (Some(runner), Some(words)) = (self.runners.get(slot), self.members.get(slot)) else {
            return Ok(Acked::OutOfOrder);
        };
        let said = Said {
            slot,
            generation,
            epoch,
            phase,
            excused: false,
        };
        let of = (&self.scope, &runner.group_times, &words.ack);
        let (acked, is_new) = self.store_ack(said, of, 0, env)?;
        if is_new {
            let _ = self.advance(env)?;
        }
        Ok(acked)
    }

    /// Signaling's share is over. Who has work in progress cannot have been asked whether it
    /// knows of the shutdown: its call that does is made between two items. What it finishes
    /// now is drained, and the time is Draining's; so any process that would force Signaling
    /// acknowledges that phase on its behalf, by the same swap as the runner itself. True if
    /// that was of use to the group.
    ///
    /// A process that was stopped after it had read the count acknowledges late or not at all:
    /// whoever forced the phase meanwhile had found no work in progress.
    pub(super) fn excuse_busy(
        &self,
        control: Control,
        from: usize,
        env: &impl Env<M>,
    ) -> Result<bool, Corrupt> {
        let mut is_excused = false;
        let mut from = from;
        while let Some(Laggard { slot, .. }) = self.first_laggard(control, env, from)? {
            from = slot + 1;
            let (Some(runner), Some(words)) = (self.runners.get(slot), self.members.get(slot))
            else {
                continue;
            };
            let of = (&self.scope, &runner.group_times, &words.ack);
            is_excused |= self.excuse(slot, control, of, 0, env)?;
        }
        Ok(is_excused)
    }

    /// The same of one runner, in its own scope or in the group's.
    pub(super) fn excuse(
        &self,
        slot: usize,
        control: Control,
        words: (&Scope<M>, &Times<M>, &M::U64),
        of: u8,
        env: &impl Env<M>,
    ) -> Result<bool, Corrupt> {
        let member = self.member(slot);
        let generation = member.generation();
        let gate = self.runners.get(slot).map(|runner| &runner.gate);
        if gate.is_none_or(|gate| gate.count(generation) == 0) {
            return Ok(false);
        }
        // One that is stopped does not work.
        if member
            .process()
            .is_none_or(|process| env.is_stopped(process))
        {
            return Ok(false);
        }
        let said = Said {
            slot,
            generation,
            epoch: control.epoch(),
            phase: Phase::Signaling,
            excused: true,
        };
        Ok(self.store_ack(said, words, of, env)?.1)
    }

    /// Stores an acknowledgement in the word of a scope; also returns whether it is new.
    /// `of` goes into the detail of its note.
    pub(super) fn store_ack(
        &self,
        said: Said,
        (scope, times, word): (&Scope<M>, &Times<M>, &M::U64),
        of: u8,
        env: &impl Env<M>,
    ) -> Result<(Acked, bool), Corrupt> {
        let Some(index) = said.phase.index() else {
            return Ok((Acked::OutOfOrder, false));
        };
        // Most repeat an acknowledgement that is stored already.
        let seen = Ack::from_raw(word.load(Ordering::Acquire));
        if let Decided::Known(acked) = self.decide(&said, scope, seen)? {
            return Ok((acked, false));
        }
        // Each turn decides from what it reads after it has loaded the word: `ack.rs`.
        let decided = word.update(|raw| {
            let ack = Ack::from_raw(raw);
            match self.decide(&said, scope, ack) {
                Ok(Decided::New { late, over }) => {
                    let now = env.now();
                    if !said.excused {
                        times.observe(scope, said.epoch, now);
                    }
                    times.done(scope, index, said.epoch, now);
                    let next = ack.with(said.generation, said.epoch, said.phase, late);
                    let next = if over { next.over() } else { next };
                    Next::Store(next.raw(), Ok((Acked::of(late), Some(now))))
                }
                Ok(Decided::Known(acked)) => Next::Leave(Ok((acked, None))),
                Err(corrupt) => Next::Leave(Err(corrupt)),
            }
        });
        let (acked, new_at) = decided?;
        if let Some(now) = new_at {
            env.note(now, || {
                let late = if acked == Acked::Late { LATE } else { 0 };
                let note = Note::new(Kind::Acknowledged).detail(of | said.phase as u8 | late);
                note.runner(said.slot, said.generation).epoch(said.epoch)
            });
        }
        Ok((acked, new_at.is_some()))
    }

    /// Decides the step from `ack`, the present value of the word.
    #[inline]
    fn decide(&self, said: &Said, scope: &Scope<M>, ack: Ack) -> Result<Decided, Corrupt> {
        let Said {
            generation,
            epoch,
            phase,
            ..
        } = *said;
        if !self.member(said.slot).is_live(generation) {
            return Ok(Decided::Known(Acked::NotLive));
        }
        if !ack.is_of(generation) {
            return Err(Corrupt("acknowledgement: of another holder"));
        }
        let control = scope.control();
        let current = control.phase()?;
        let before = ack.acked(generation, epoch);
        let is_published = control.epoch() == epoch && current >= phase;
        Ok(if is_published && before >= phase {
            let late = ack.missed(generation, epoch).is_some();
            Decided::Known(Acked::of(late))
        } else if is_published && before.next() == phase {
            let passed = current > phase;
            Decided::New {
                late: passed,
                over: passed && phase == Phase::Closing,
            }
        } else {
            Decided::Known(Acked::OutOfOrder)
        })
    }
}

enum Decided {
    /// To be stored; late or not, and whether the overall deadline had passed.
    New { late: bool, over: bool },
    /// Nothing is to be stored.
    Known(Acked),
}
