//! A scope: one thing that is shut down as a whole (the group, or one runner), with
//! its control word, stamps and extension.
//!
//! All orders are carried by the control word: it is changed by compare-and-swap with
//! release and read with acquire, everything else here is filled in by helpers and
//! tagged with the epoch. The store-load order between the control word and the
//! membership words (joining against initiating, acknowledging against advancing) comes
//! from `fence(SeqCst)` on both sides, see SYNC POINT `membership` in `group.rs`.

use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use crate::limits;
use crate::note::{Kind, Note};
use crate::phase::{Mode, Phase};
use crate::segment::shared;
use crate::sync::mem::ALL;
use crate::sync::{Mem, Word};

use super::Corrupt;
use super::control::{Ask, Control, Stage};
use super::request::Request;
use super::stamp::Stamp;

/// The shared record of a scope.
#[repr(C)]
pub(crate) struct Scope<M: Mem> {
    /// On its own cache line: every runner reads it all the time.
    pub(super) control: CachePadded<M::U64>,
    /// When each phase was entered; the first is the start of the budget.
    pub(super) entered: [Stamp<M>; 4],
    /// Microseconds granted by `extend`.
    extension: Stamp<M>,
    /// What the initiator wanted beyond the control word.
    pub(crate) request: Request<M>,
}

/// What became of an initiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Initiated {
    /// This call began the shutdown.
    Drives(u32),
    /// Another one is under way; this one was merged into it.
    Merged(u32),
    /// The shutdown is over; its outcome is the answer.
    Over(u32),
    /// A generation is being begun: finish that, then ask again.
    Renewing,
}

/// What became of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Cancelled {
    Done,
    TooLate(Phase),
    NothingToCancel,
}

/// The instants that bound a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// When the present phase is forced.
    pub(crate) phase: u64,
    /// When everything is over, as things stand.
    pub(crate) overall: u64,
    /// Beyond this no extension goes.
    pub(crate) cap: u64,
}

impl<M: Mem> Scope<M> {
    #[inline]
    pub(crate) fn control(&self) -> Control {
        Control::from_raw(self.control.load(Ordering::Acquire))
    }

    /// The word that everybody sleeps on.
    pub(crate) fn cell(&self) -> M::Cell<'_> {
        M::low_cell(&self.control)
    }

    pub(crate) fn wake_all(&self) {
        M::wake(self.cell(), ALL);
    }

    fn swap(&self, from: Control, to: Control) -> bool {
        self.control
            .compare_exchange(from.raw(), to.raw(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Starts a shutdown, or merges into the one under way, and wakes everybody.
    pub(crate) fn initiate(&self, ask: Ask, now: u64) -> Result<Initiated, Corrupt> {
        loop {
            if let Some(initiated) = self.initiate_from(self.control(), ask, now)? {
                return Ok(initiated);
            }
        }
    }

    /// The same, but only in this epoch: `None` when the record is of another by now
    /// (its slot has a new holder, or the shutdown was called off).
    pub(crate) fn initiate_in(
        &self,
        epoch: u32,
        ask: Ask,
        now: u64,
    ) -> Result<Option<Initiated>, Corrupt> {
        loop {
            let control = self.control();
            if control.epoch() != epoch {
                return Ok(None);
            }
            if let Some(initiated) = self.initiate_from(control, ask, now)? {
                return Ok(Some(initiated));
            }
        }
    }

    /// One try from exactly `control`; `None` when it has moved.
    fn initiate_from(
        &self,
        control: Control,
        ask: Ask,
        now: u64,
    ) -> Result<Option<Initiated>, Corrupt> {
        let epoch = control.epoch();
        Ok(match control.stage()? {
            Stage::Renewing => Some(Initiated::Renewing),
            Stage::Phase(Phase::Complete) => Some(Initiated::Over(epoch)),
            Stage::Phase(Phase::Running) => {
                let done = self.forget_old(control) && self.swap(control, control.initiated(ask));
                if done {
                    self.entered[0].set_once(epoch, now);
                    self.wake_all();
                }
                done.then_some(Initiated::Drives(epoch))
            }
            Stage::Phase(_) => {
                let elapsed = now.saturating_sub(self.started(epoch, now));
                // Extensions granted so far come on top of the budget.
                let extended = self.extension.get(epoch).unwrap_or(0);
                let budget = (elapsed / 1000)
                    .saturating_add(u64::from(ask.budget_millis))
                    .saturating_sub(extended / 1000);
                let budget = u32::try_from(budget).unwrap_or(u32::MAX);
                self.strengthen(control, ask.mode, budget)
                    .then_some(Initiated::Merged(epoch))
            }
        })
    }

    /// Unsets the stamps of epochs so long ago that their tags have come round: half of all
    /// tags back they pass for newer ones, all of them back for present ones. False when the
    /// word has moved from `control`, which is Running.
    ///
    /// A stamp of this epoch is set after the word has left Running, so what was read before
    /// the word was found unmoved is an old one, and only exactly that is unset.
    fn forget_old(&self, control: Control) -> bool {
        for stamp in self.entered.iter().chain([&self.extension]) {
            let Some(old) = stamp.misleading(control.epoch()) else {
                continue;
            };
            if self.control() != control {
                return false;
            }
            stamp.forget(old);
        }
        true
    }

    /// Makes the shutdown under way harder; false when it is not under way (any more).
    pub(crate) fn escalate(&self, mode: Mode) -> Result<Option<Mode>, Corrupt> {
        loop {
            let control = self.control();
            match control.stage()? {
                Stage::Phase(Phase::Signaling | Phase::Draining | Phase::Closing) => {
                    if self.strengthen(control, mode, u32::MAX) {
                        return Ok(Some(control.mode()));
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    fn strengthen(&self, control: Control, mode: Mode, budget: u32) -> bool {
        let merged = control.merged(mode, budget);
        if merged == control {
            return true;
        }
        let done = self.swap(control, merged);
        if done {
            self.wake_all();
        }
        done
    }

    /// Calls the shutdown off, if Closing is not published yet.
    pub(crate) fn cancel(&self) -> Result<Cancelled, Corrupt> {
        loop {
            let control = self.control();
            match control.stage()? {
                Stage::Phase(Phase::Running) => return Ok(Cancelled::NothingToCancel),
                Stage::Phase(Phase::Signaling | Phase::Draining) => {
                    if self.swap(control, control.reopened()) {
                        self.wake_all();
                        return Ok(Cancelled::Done);
                    }
                }
                _ => return Ok(Cancelled::TooLate(control.phase()?)),
            }
        }
    }

    /// Moves from exactly `from` to `to`, stamps it and wakes everybody; answers when it was
    /// entered. Whoever fails has been overtaken by somebody who did the same.
    pub(crate) fn publish(&self, from: Control, to: Phase, now: u64) -> Option<u64> {
        self.swap(from, from.in_phase(to)).then(|| {
            let entered = self.stamp(to, from.epoch(), now);
            self.wake_all();
            entered
        })
    }

    /// Stamps a phase that is published and has no time: its publisher was stopped, or killed,
    /// before it set it. So every phase has one before the next is published.
    pub(crate) fn settle(&self, phase: Phase, epoch: u32, now: impl FnOnce() -> u64) {
        if self.entered(phase, epoch).is_none() {
            self.stamp(phase, epoch, now());
        }
    }

    /// That `phase` is over, and how long it took. `now` is when the next one was entered.
    pub(crate) fn passed(&self, phase: Phase, epoch: u32, now: u64, how: u8) -> Note {
        let entered = self.entered(phase, epoch).unwrap_or(now);
        let note = Note::new(Kind::Phase).detail(phase.next() as u8 | how);
        note.epoch(epoch).argument(now.saturating_sub(entered))
    }

    /// What stands then: the first one's time.
    fn stamp(&self, phase: Phase, epoch: u32, now: u64) -> u64 {
        let stamp = self.entered.get((phase as usize).wrapping_sub(1));
        stamp.map_or(now, |stamp| stamp.set_once(epoch, now))
    }

    /// When `phase` was entered in the shutdown of `epoch`.
    pub(crate) fn entered(&self, phase: Phase, epoch: u32) -> Option<u64> {
        self.entered
            .get((phase as usize).checked_sub(1)?)?
            .get(epoch)
    }

    /// The start of the shutdown of `epoch`. If its initiator died before it could
    /// stamp it, the first who asks does.
    pub(crate) fn started(&self, epoch: u32, now: u64) -> u64 {
        self.entered[0].set_once(epoch, now)
    }

    /// The deadlines of the shutdown that `control` is a snapshot of. Cumulative shares
    /// of one budget, so that what one phase leaves the next inherits.
    pub(crate) fn deadlines(&self, control: Control, now: u64) -> Deadlines {
        self.deadlines_from(control, self.started(control.epoch(), now))
    }

    /// The same for readers that may not stamp the start.
    pub(crate) fn deadlines_from(&self, control: Control, start: u64) -> Deadlines {
        let epoch = control.epoch();
        let budget = u64::from(control.budget_millis()) * 1000;
        let terms = self.request.terms(epoch);
        let cap = budget.max(terms.cap_millis.saturating_mul(1000));
        let extension = self.extension.get(epoch).unwrap_or(0);
        let overall = budget.saturating_add(extension).min(cap);
        let share = cumulative(&terms.shares, control.phase().unwrap_or(Phase::Complete));
        // The budget is whole milliseconds and the share is per mille: exact.
        let phase = (budget / 1000 * share)
            .saturating_add(extension)
            .min(overall);
        Deadlines {
            phase: start.saturating_add(phase),
            overall: start.saturating_add(overall),
            cap: start.saturating_add(cap),
        }
    }

    /// Grants up to `more` microseconds to the present phase, never past the cap.
    pub(crate) fn extend(&self, control: Control, more: u64, now: u64) -> u64 {
        let granted = self.extension.add(control.epoch(), |_| {
            let deadlines = self.deadlines(control, now);
            more.min(deadlines.cap.saturating_sub(deadlines.phase))
        });
        if granted > 0 {
            // Sleepers have computed their deadline from the old extension.
            self.wake_all();
        }
        granted
    }

    /// A new life of this record for another owner: Running in a fresh epoch.
    pub(crate) fn reset(&self) {
        let control = self.control();
        // Only the claimant of the slot comes here; a late initiator that still aims at
        // the old epoch loses its compare-and-swap.
        self.control
            .store(control.reopened().raw(), Ordering::Release);
    }

    /// The two steps of renewal; see `generation.rs`.
    pub(crate) fn begin_renewing(&self, control: Control) -> bool {
        self.swap(control, control.renewing())
    }
    pub(crate) fn finish_renewing(&self, control: Control) {
        if self.swap(control, control.reopened()) {
            self.wake_all();
        }
    }
}

/// The share of the budget, in per mille, at whose end `phase` is over.
pub(super) fn cumulative(shares: &[u16; 3], phase: Phase) -> u64 {
    match phase {
        Phase::Running | Phase::Signaling => u64::from(shares[0]),
        Phase::Draining => u64::from(shares[0]) + u64::from(shares[1]),
        Phase::Closing | Phase::Complete => 1000,
    }
    .min(1000)
}

impl<M: Mem> Default for Scope<M> {
    fn default() -> Self {
        Self {
            control: CachePadded::new(M::U64::default()),
            entered: core::array::from_fn(|_| Stamp::default()),
            extension: Stamp::default(),
            request: Request::default(),
        }
    }
}

const _: () = assert!(limits::DEFAULT_SHARES[0] + limits::DEFAULT_SHARES[1] < 1000);

shared!(Scope<M> { control, entered, extension, request });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::ReasonCode;
    use crate::sync::Real;

    const ASK: Ask = Ask {
        mode: Mode::Graceful,
        code: ReasonCode::Requested,
        budget_millis: 600_000,
    };

    fn again(scope: &Scope<Real>, times: u32) {
        for _ in 0..times {
            assert_eq!(scope.cancel(), Ok(Cancelled::Done));
            assert!(matches!(
                scope.initiate(ASK, 1000),
                Ok(Initiated::Drives(_))
            ));
        }
    }

    #[test]
    fn an_extension_of_long_ago_is_neither_given_nor_in_the_way() {
        let scope = Scope::<Real>::default();
        let _ = scope.initiate(ASK, 1000).unwrap();
        assert_eq!(scope.extend(scope.control(), 500, 1000), 500);
        // Its tag has come round.
        again(&scope, 0x1_0000);
        assert_eq!(scope.extension.get(scope.control().epoch()), None);
        assert_eq!(scope.extend(scope.control(), 500, 1000), 500);
        // Its tag passes for a newer one.
        again(&scope, 0x9000);
        assert_eq!(scope.extend(scope.control(), 500, 1000), 500);
    }

    #[test]
    fn a_phase_without_a_time_gets_one_from_whoever_looks_and_keeps_it() {
        let scope = Scope::<Real>::default();
        let _ = scope.initiate(ASK, 1000).unwrap();
        let running = scope.control();
        let epoch = running.epoch();
        // Published, and its time not set.
        assert!(scope.swap(running, running.in_phase(Phase::Draining)));
        scope.settle(Phase::Draining, epoch, || 1200);
        scope.settle(Phase::Draining, epoch, || unreachable!("it has one"));
        // The publisher goes on.
        assert_eq!(scope.stamp(Phase::Draining, epoch, 1100), 1200);
        let lasted = |phase, now| scope.passed(phase, epoch, now, 0).argument;
        assert_eq!(lasted(Phase::Signaling, 1200), 200);
        let next = scope.publish(scope.control(), Phase::Closing, 1300);
        assert_eq!(next, Some(1300));
        assert_eq!(lasted(Phase::Draining, 1300), 100);
    }
}
