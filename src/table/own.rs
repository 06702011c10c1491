//! A runner's own scope: the same protocol with one member.

use core::sync::atomic::Ordering;

use crate::note::{FORCED, Kind, LATE, Note, OWN};
use crate::phase::Phase;
use crate::sync::{Env, Mem, Word};

use super::Corrupt;
use super::control::Stage;
use super::group::{Acked, Group, Laggard, Look};
use super::member::{Member, State};

impl<M: Mem, const N: usize> Group<M, N> {
    /// The last phase that the holder of `member` has done in its own scope.
    pub(crate) fn own_acked(&self, slot: usize, member: Member, epoch: u32) -> Phase {
        let word = match self.runners.get(slot) {
            Some(runner) => Member::from_raw(runner.own_acked.load(Ordering::Acquire)),
            None => return Phase::Running,
        };
        if word.generation() == member.generation() {
            word.acked(epoch)
        } else {
            Phase::Running
        }
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

    /// A runner's word that it has done `phase` of its own shutdown; see
    /// [`acknowledge`](Self::acknowledge).
    pub(crate) fn acknowledge_own(
        &self,
        slot: usize,
        generation: u16,
        epoch: u32,
        phase: Phase,
        tardy: bool,
        env: &impl Env<M>,
    ) -> Result<Acked, Corrupt> {
        let (Some(runner), Some(index)) = (self.runners.get(slot), phase.index()) else {
            return Ok(Acked::OutOfOrder);
        };
        let late = loop {
            let control = runner.own.control();
            let current = control.phase()?;
            let member = self.member(slot);
            if !member.is_live(generation) {
                return Ok(Acked::NotLive);
            }
            let raw = runner.own_acked.load(Ordering::Acquire);
            let word = Member::from_raw(raw);
            if word.generation() != generation {
                return Err(Corrupt("own acknowledgement: of another holder"));
            }
            let before = word.acked(epoch);
            if control.epoch() == epoch && current >= phase && before >= phase {
                return Ok(if word.is_late(epoch) {
                    Acked::Late
                } else {
                    Acked::InTime
                });
            }
            if control.epoch() != epoch || current < phase || before.next() != phase {
                return Ok(Acked::OutOfOrder);
            }
            let late = tardy || current > phase;
            let now = env.now();
            let times = &runner.own_times;
            times.observe(&runner.own, epoch, now);
            times.acked[index].set_once(epoch, now);
            if late {
                times.missed.set_once(epoch, phase as u64);
            }
            let next = word.with_acked(epoch, phase, late).raw();
            if runner
                .own_acked
                .compare_exchange(raw, next, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                env.note(now, || {
                    let detail = OWN | phase as u8 | if late { LATE } else { 0 };
                    let note = Note::new(Kind::Acknowledged).detail(detail);
                    note.runner(slot, generation).epoch(epoch)
                });
                break late;
            }
        };
        let _ = self.advance_own(slot, env)?;
        Ok(if late { Acked::Late } else { Acked::InTime })
    }
}
