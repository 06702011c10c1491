//! The group: its scope, the membership words, and the advance of phases by whoever
//! makes it possible.
//!
//! SYNC POINT `membership` (models: `loom_tests/join.rs`, `loom_tests/advance.rs`):
//! everybody stores its word, fences, and reads the words of the others. An initiator
//! or advancer has stored (or read) the control word, fences, and reads membership
//! words; a joiner or acknowledger has stored its membership word, fences, and reads
//! the control word and the other membership words. By the total order of the fences,
//! of two such parties at least one sees the other's store.

use core::sync::atomic::Ordering;

use crate::note::{FORCED, Kind, Note};
use crate::phase::Phase;
use crate::segment::shared;
use crate::sync::{Env, Mem, Pulse, Word};

use super::Corrupt;
use super::ack::Ack;
use super::control::{Control, Stage};
use super::generation::Generation;
use super::member::{Member, Membership, State};
use super::runner::Runner;
use super::scope::Scope;

/// The shared group of up to `N` runners.
#[repr(C)]
pub(crate) struct Group<M: Mem, const N: usize> {
    pub(crate) scope: Scope<M>,
    pub(crate) generation: Generation<M>,
    /// One more than the highest slot ever claimed: bounds every scan. A hint that is
    /// raised before a slot is claimed and never lowered.
    pub(super) high_water: M::U32,
    _pad: M::U32,
    /// Dense, so that a scan of 128 runners reads 32 cache lines; an acknowledgement is
    /// written once per phase.
    pub(super) members: [Membership<M>; N],
    pub(crate) runners: [Runner<M>; N],
}

/// Who holds a phase up.
pub(crate) struct Laggard<'a, M: Mem> {
    pub(crate) slot: usize,
    /// The word in which its death would show, where it has one.
    pub(crate) life: Option<&'a M::U32>,
}

/// The result of a look at all who matter.
#[must_use]
pub(crate) enum Look<'a, M: Mem> {
    /// No shutdown, or it is complete.
    Idle(Control),
    /// The phase waits for this runner, at most until the given instant.
    Blocked {
        control: Control,
        laggard: Laggard<'a, M>,
        until: u64,
    },
}

impl<M: Mem, const N: usize> Group<M, N> {
    pub(crate) fn member(&self, slot: usize) -> Member {
        let words = self.members.get(slot);
        Member::from_raw(words.map_or(0, |words| words.member.load(Ordering::Acquire)))
    }

    /// The acknowledgement in the group's scope of the runner of a slot.
    pub(crate) fn ack(&self, slot: usize) -> Ack {
        let words = self.members.get(slot);
        Ack::from_raw(words.map_or(0, |words| words.ack.load(Ordering::Acquire)))
    }

    /// The last phase that the holder of `member` has done in the group's scope.
    pub(crate) fn acked(&self, slot: usize, member: Member, epoch: u64) -> Phase {
        self.ack(slot).acked(member.generation(), epoch)
    }

    pub(crate) fn swap_member(&self, slot: usize, from: Member, to: Member) -> bool {
        self.members.get(slot).is_some_and(|words| {
            words
                .member
                .compare_exchange(from.raw(), to.raw(), Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        })
    }

    /// The slots that were ever used.
    pub(crate) fn used(&self) -> usize {
        (self.high_water.load(Ordering::Acquire) as usize).min(N)
    }

    /// The first living slot at or after `from` that has not done the phase of
    /// `control`. Dead ones before it are counted out on the way.
    pub(super) fn first_laggard<'e>(
        &self,
        control: Control,
        env: &'e impl Env<M>,
        from: usize,
    ) -> Result<Option<Laggard<'e, M>>, Corrupt> {
        let phase = control.phase()?;
        for slot in from..self.used() {
            let member = self.member(slot);
            member.state()?;
            if !member.is_counted() || self.acked(slot, member, control.epoch()) >= phase {
                continue;
            }
            if let Some(life) = self.alive(slot, member, env)? {
                return Ok(Some(Laggard { slot, life }));
            }
        }
        Ok(None)
    }

    /// Whether the holder of a counted slot lives (with its life word, where it has
    /// one). A dead one is counted out.
    pub(crate) fn alive<'e>(
        &self,
        slot: usize,
        member: Member,
        env: &'e impl Env<M>,
    ) -> Result<Option<Option<&'e M::U32>>, Corrupt> {
        let process = member
            .process()
            .ok_or(Corrupt("membership word: counted but without a process"))?;
        match env.process_pulse(process) {
            Pulse::Alive(life) => Ok(Some(life)),
            Pulse::Dead => {
                self.count_out(slot, member, env);
                Ok(None)
            }
        }
    }

    /// Marks a dead runner dead: one compare-and-swap, by anybody, at most once. True
    /// if this call did it. It fails if the member has left or was marked before, and if
    /// its slot has another holder by now: `member` was read before the evidence.
    pub(crate) fn count_out(&self, slot: usize, member: Member, env: &impl Env<M>) -> bool {
        let state = match member.state() {
            Ok(State::Joining) => State::Free,
            Ok(State::Live) => State::Dead,
            _ => return false,
        };
        let Some(runner) = self.runners.get(slot) else {
            return false;
        };
        let (generation, now) = (member.generation(), env.now());
        self.end(slot, generation, now);
        let done = self.swap_member(slot, member, member.with_state(state));
        if done {
            // The kernel woke one sleeper for this death; the others learn it from us.
            self.scope.wake_all();
            runner.own.wake_all();
            if state == State::Dead {
                env.note(now, || {
                    let note = Note::new(Kind::Died).runner(slot, generation);
                    note.epoch(self.scope.control().epoch())
                });
            }
        }
        done
    }

    /// Counts the dead runners of these slots out, also those behind the first laggard. No
    /// phase needs it: so that a death is told near its time, and not when it comes to matter.
    pub(crate) fn count_out_dead(
        &self,
        slots: impl Iterator<Item = usize>,
        env: &impl Env<M>,
    ) -> Result<(), Corrupt> {
        for slot in slots {
            let member = self.member(slot);
            member.state()?;
            if member.is_counted() {
                let _ = self.alive(slot, member, env)?;
            }
        }
        Ok(())
    }

    /// Looks at all who matter and performs every advance that is due. The last to
    /// resolve a laggard always comes here, so a phase never waits for a look.
    pub(crate) fn advance<'e>(&self, env: &'e impl Env<M>) -> Result<Look<'e, M>, Corrupt> {
        // Each turn returns or follows a move of the control word.
        loop {
            let control = self.scope.control();
            let Stage::Phase(phase) = control.stage()? else {
                return Ok(Look::Idle(control));
            };
            if phase != Phase::Running {
                self.scope.settle(phase, control.epoch(), || env.now());
            }
            if matches!(phase, Phase::Running | Phase::Complete) {
                return Ok(Look::Idle(control));
            }
            // SYNC POINT membership: our own store is before the words we read now.
            M::fence(Ordering::SeqCst);
            let mut how = 0;
            if let Some(laggard) = self.first_laggard(control, env, 0)? {
                let now = env.now();
                let until = self.scope.deadlines(control, now).phase;
                if now < until {
                    return Ok(Look::Blocked {
                        control,
                        laggard,
                        until,
                    });
                }
                if phase == Phase::Signaling && self.excuse_busy(control, laggard.slot, env)? {
                    continue;
                }
                how = FORCED;
                // The phase is forced. Those who are dead are to be told from those
                // who are late, so look at all the others too.
                let mut from = laggard.slot + 1;
                while let Some(next) = self.first_laggard(control, env, from)? {
                    from = next.slot + 1;
                }
            }
            if let Some(at) = self.scope.publish(control, phase.next(), env.now()) {
                env.note(at, || self.scope.passed(phase, control.epoch(), at, how));
            }
        }
    }

    /// Sets when the holder of a slot ended, unless it is set or the slot has another
    /// holder by now.
    fn end(&self, slot: usize, generation: u64, now: u64) {
        if let Some(runner) = self.runners.get(slot) {
            let is_on = || self.member(slot).generation() == generation;
            runner.end(generation, now, is_on);
        }
    }

    /// Leaves in order. False if the slot is not this runner's any more.
    pub(crate) fn leave(
        &self,
        slot: usize,
        generation: u64,
        env: &impl Env<M>,
    ) -> Result<bool, Corrupt> {
        let Some(runner) = self.runners.get(slot) else {
            return Ok(false);
        };
        loop {
            let member = self.member(slot);
            if !member.is_live(generation) {
                return Ok(false);
            }
            let now = env.now();
            self.end(slot, generation, now);
            if self.swap_member(slot, member, member.with_state(State::Left)) {
                env.note(now, || {
                    let detail = runner.verdict(generation) as u8;
                    let note = Note::new(Kind::Left).detail(detail);
                    let epoch = self.scope.control().epoch();
                    note.runner(slot, generation).epoch(epoch)
                });
                break;
            }
        }
        runner.own.wake_all();
        let _ = self.advance_own(slot, env)?;
        self.look_and_pass_on(env)?;
        if !self.scope.control().is_shutting_down() {
            // A wait for the end of all runners may sleep there.
            self.scope.wake_all();
        }
        Ok(true)
    }

    /// For one who resolved a laggard and goes away: looks at all, and if somebody is
    /// still waited for, has all sleepers look again. They may have watched the one that
    /// is gone, and must not miss the death of the next.
    pub(crate) fn look_and_pass_on(&self, env: &impl Env<M>) -> Result<(), Corrupt> {
        if let Look::Blocked { .. } = self.advance(env)? {
            self.scope.wake_all();
        }
        Ok(())
    }
}

impl<M: Mem> Look<'_, M> {
    pub(crate) fn control(&self) -> Control {
        match self {
            Self::Idle(control) | Self::Blocked { control, .. } => *control,
        }
    }
}

impl<M: Mem, const N: usize> Default for Group<M, N> {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            generation: Generation::default(),
            high_water: M::U32::default(),
            _pad: M::U32::default(),
            members: core::array::from_fn(|_| Membership::default()),
            runners: core::array::from_fn(|_| Runner::default()),
        }
    }
}

shared!(Group<M, const N> { scope, generation, high_water, _pad, members, runners });
