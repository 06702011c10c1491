//! A runner's own scope: the same protocol with one member.

use core::sync::atomic::Ordering;

use crate::note::{FORCED, OWN};
use crate::phase::Phase;
use crate::sync::{Env, Mem, Word};

use super::Corrupt;
use super::ack::Ack;
use super::acknowledge::{Acked, Said};
use super::control::Stage;
use super::group::{Group, Laggard, Look};
use super::member::{Member, State};

impl<M: Mem, const N: usize> Group<M, N> {
    /// The acknowledgement in the own scope of the runner of a slot.
    pub(crate) fn own_ack(&self, slot: usize) -> Ack {
        let runner = self.runners.get(slot);
        Ack::from_raw(runner.map_or(0, |runner| runner.own_acked.load(Ordering::Acquire)))
    }

    /// The last phase that the holder of `member` has done in its own scope.
    pub(crate) fn own_acked(&self, slot: usize, member: Member, epoch: u64) -> Phase {
        self.own_ack(slot).acked(member.generation(), epoch)
    }

    /// Wakes the runners that sleep on the word of their own shutdown: the group's has moved.
    pub(crate) fn wake_own(&self) {
        for runner in self.runners.iter().take(self.used()) {
            if runner.own.control().is_shutting_down() {
                runner.own.wake_all();
            }
        }
    }

    /// Performs every advance of a runner's own shutdown that is due.
    pub(crate) fn advance_own<'e>(
        &self,
        slot: usize,
        env: &'e impl Env<M>,
    ) -> Result<Look<'e, M>, Corrupt> {
        let runner = self
            .runners
            .get(slot)
            .ok_or(Corrupt("runner slot out of range"))?;
        loop {
            let control = runner.own.control();
            let Stage::Phase(phase) = control.stage()? else {
                return Ok(Look::Idle(control));
            };
            if phase != Phase::Running {
                runner.own.settle(phase, control.epoch(), || env.now());
            }
            if matches!(phase, Phase::Running | Phase::Complete) {
                return Ok(Look::Idle(control));
            }
            // SYNC POINT membership.
            M::fence(Ordering::SeqCst);
            let member = self.member(slot);
            let mut how = OWN;
            let waits = member.state()? == State::Live
                && self.own_acked(slot, member, control.epoch()) < phase;
            if waits {
                if let Some(life) = self.alive(slot, member, env)? {
                    let now = env.now();
                    let until = runner.own.deadlines(control, now).phase;
                    if now < until {
                        return Ok(Look::Blocked {
                            control,
                            laggard: Laggard { slot, life },
                            until,
                        });
                    }
                    let words = (&runner.own, &runner.own_times, &runner.own_acked);
                    if phase == Phase::Signaling && self.excuse(slot, control, words, OWN, env)? {
                        continue;
                    }
                    how |= FORCED;
                } else {
                    continue;
                }
            }
            if let Some(at) = runner.own.publish(control, phase.next(), env.now()) {
                env.note(at, || {
                    let note = runner.own.passed(phase, control.epoch(), at, how);
                    note.runner(slot, member.generation())
                });
            }
        }
    }

    /// Acknowledges `phase` of a runner's own shutdown; see
    /// [`acknowledge`](Self::acknowledge).
    pub(crate) fn acknowledge_own(
        &self,
        slot: usize,
        generation: u64,
        epoch: u64,
        phase: Phase,
        env: &impl Env<M>,
    ) -> Result<Acked, Corrupt> {
        let Some(runner) = self.runners.get(slot) else {
            return Ok(Acked::OutOfOrder);
        };
        let said = Said {
            slot,
            generation,
            epoch,
            phase,
            excused: false,
        };
        let of = (&runner.own, &runner.own_times, &runner.own_acked);
        let (acked, is_new) = self.store_ack(said, of, OWN, env)?;
        if is_new {
            let _ = self.advance_own(slot, env)?;
        }
        Ok(acked)
    }
}
