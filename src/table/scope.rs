//! A scope: one thing that is shut down as a whole (the group, or one runner), with
//! its control word, stamps and extension.
//!
//! All orders are carried by the control word: it is changed by compare-and-swap with
//! release and read with acquire, everything else here is filled in by helpers and
//! tagged with the epoch. The store-load order between the control word and the
//! membership words (joining against initiating, acknowledging against advancing) comes
//! from `fence(SeqCst)` on both sides, see SYNC POINT `membership` in `group.rs`.
//!
//! SYNC POINT `floor` (models: `loom_tests/stamps.rs`): the floor is the instant from
//! which on the times of the present shutdown count (`stamp.rs`). An initiator reads the
//! clock, then verifies that the control word still is the Running(e) that it read, then
//! raises the floor to that instant, then swaps the control word; the start is read from
//! the clock after the swap. So
//! - who sees the shutdown of `e` sees a floor that is later than every time of an earlier
//!   one: those were read from the clock before the control word came to Running(e);
//! - an initiator that was stopped after it verified, and raises the floor late, raises it
//!   to an instant before the start of `e`: the swap that began `e` came after that check.
//!   All times of `e` and later ones are later, so none of them is lost;
//! - the floor only grows.
//!
//! This takes a clock that is never behind what a process has seen others do. One that was
//! behind by a microsecond would lose a start for that long, and the next to ask sets it.

use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use crate::note::{Kind, Note};
use crate::phase::{Mode, Phase};
use crate::segment::shared;
use crate::sync::mem::ALL;
use crate::sync::{Mem, Next, Word};

use super::Corrupt;
use super::control::{Ask, Control, EPOCH_MASK, Stage};
use super::extension::Extension;
use super::request::Request;
use super::shortened::{Shortened, Shortener};
use super::stamp::Stamp;

/// The shared record of a scope.
#[repr(C)]
pub(crate) struct Scope<M: Mem> {
    /// On its own cache line: every runner reads it all the time.
    pub(super) control: CachePadded<M::U64>,
    /// When each phase was entered; the first is the start of the budget.
    pub(super) entered: [Stamp<M>; 4],
    /// When the mode was seen to be Immediate.
    pub(super) immediate: Stamp<M>,
    /// From when on times count, in microseconds.
    pub(super) floor: M::U64,
    /// Granted by `extend`.
    pub(super) extension: Extension<M>,
    /// What the initiator wanted beyond the control word.
    pub(crate) request: Request<M>,
    /// Who shortened the budget of another initiator.
    pub(crate) shortened: Shortened<M>,
}

/// What became of an initiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Initiated {
    /// This call began the shutdown.
    Drives(u64),
    /// Another one is under way; this one was merged into it.
    Merged(u64),
    /// The shutdown is over; its outcome is the answer.
    Over(u64),
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

    pub(super) fn swap(&self, from: Control, to: Control) -> bool {
        self.control
            .compare_exchange(from.raw(), to.raw(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Starts a shutdown, or merges into the one under way, and wakes everybody. `by` is the
    /// process that is named if it shortens another one's budget.
    pub(crate) fn initiate_by(
        &self,
        ask: Ask,
        by: u32,
        clock: impl Fn() -> u64,
    ) -> Result<Initiated, Corrupt> {
        loop {
            if let Some(initiated) = self.initiate_from(self.control(), ask, by, &clock)? {
                return Ok(initiated);
            }
        }
    }

    /// The same, but only in this epoch: `None` when the record is of another by now
    /// (its slot has a new holder, or the shutdown was cancelled).
    pub(crate) fn initiate_in(
        &self,
        epoch: u64,
        ask: Ask,
        by: u32,
        clock: impl Fn() -> u64,
    ) -> Result<Option<Initiated>, Corrupt> {
        loop {
            let control = self.control();
            if control.epoch() != epoch {
                return Ok(None);
            }
            if let Some(initiated) = self.initiate_from(control, ask, by, &clock)? {
                return Ok(Some(initiated));
            }
        }
    }

    /// One try from exactly `control`; `None` when it has moved.
    pub(super) fn initiate_from(
        &self,
        control: Control,
        ask: Ask,
        by: u32,
        clock: &impl Fn() -> u64,
    ) -> Result<Option<Initiated>, Corrupt> {
        let epoch = control.epoch();
        Ok(match control.stage()? {
            Stage::Renewing => Some(Initiated::Renewing),
            Stage::Phase(Phase::Complete) => Some(Initiated::Over(epoch)),
            Stage::Phase(Phase::Running) => {
                let begun = match self.may_begin(control, clock) {
                    Some(floor) => self.begin(control, ask, floor, clock),
                    None => false,
                };
                begun.then_some(Initiated::Drives(epoch))
            }
            Stage::Phase(_) => {
                let now = clock();
                let elapsed = now.saturating_sub(self.started(epoch, now));
                // Extensions granted so far come on top of the budget.
                let budget = (elapsed / 1000)
                    .saturating_add(u64::from(ask.budget_millis))
                    .saturating_sub(self.extension.get(epoch));
                let budget = u32::try_from(budget).unwrap_or(u32::MAX);
                let set = control.merged(ask.mode, budget).budget_millis();
                let done = self.strengthen(control, ask.mode, budget);
                if done && set < control.budget_millis() {
                    let after_millis = elapsed / 1000;
                    let by = Shortener {
                        pid: by,
                        after_millis,
                    };
                    self.shortened.record(epoch, by, || {
                        let now = self.control();
                        now.epoch() == epoch && now.budget_millis() == set
                    });
                }
                done.then_some(Initiated::Merged(epoch))
            }
        })
    }

    /// The floor of a shutdown that would begin now; `None` when the word has moved.
    pub(super) fn may_begin(&self, control: Control, clock: impl Fn() -> u64) -> Option<u64> {
        let now = clock();
        // SYNC POINT floor: the clock was read before this check, not after.
        M::fence(Ordering::SeqCst);
        (self.control() == control).then_some(now)
    }

    /// Begins from exactly `control`, whose floor [`may_begin`](Self::may_begin) found.
    pub(super) fn begin(
        &self,
        control: Control,
        ask: Ask,
        floor: u64,
        clock: impl Fn() -> u64,
    ) -> bool {
        // SYNC POINT floor: before the swap, so that who sees the shutdown sees its floor.
        self.floor.update(|before| match before < floor {
            true => Next::Store(floor, ()),
            false => Next::Leave(()),
        });
        let done = self.swap(control, control.initiated(ask));
        if done {
            // Not before the swap: another one's floor may lie in between.
            self.stamp(Phase::Signaling, control.epoch(), clock());
            self.wake_all();
        }
        done
    }

    /// Makes the shutdown of `epoch` harder; returns the mode before, or `None` when it is
    /// not under way (any more).
    pub(crate) fn escalate_in(&self, epoch: u64, mode: Mode) -> Result<Option<Mode>, Corrupt> {
        loop {
            let control = self.control();
            match control.stage()? {
                _ if control.epoch() != epoch => return Ok(None),
                Stage::Phase(Phase::Signaling | Phase::Draining | Phase::Closing) => {
                    if self.strengthen(control, mode, u32::MAX) {
                        return Ok(Some(control.mode()));
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    /// Makes the shutdown of `epoch` harder that is over, for a runner that lives on after
    /// it, and wakes everybody. False if it is not over, or the epoch is.
    pub(crate) fn harden_over(&self, epoch: u64, mode: Mode) -> Result<bool, Corrupt> {
        loop {
            let control = self.control();
            let is_over = control.stage()? == Stage::Phase(Phase::Complete);
            if control.epoch() != epoch || !is_over {
                return Ok(false);
            }
            if self.strengthen(control, mode, u32::MAX) {
                return Ok(true);
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

    /// Cancels the shutdown of `epoch`, if Closing is not published yet.
    pub(crate) fn cancel_in(&self, epoch: u64) -> Result<Cancelled, Corrupt> {
        loop {
            let control = self.control();
            match control.stage()? {
                _ if control.epoch() != epoch => return Ok(Cancelled::NothingToCancel),
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

    /// Running in this epoch, as after that many shutdowns.
    #[cfg(all(test, feature = "loom"))]
    pub(crate) fn jump(&self, epoch: u64) {
        let running = Control::running(epoch);
        self.control.store(running.raw(), Ordering::Release);
    }

    /// Moves from exactly `from` to `to`, stamps it and wakes everybody; returns when it was
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
    #[inline]
    pub(crate) fn settle(&self, phase: Phase, epoch: u64, now: impl FnOnce() -> u64) {
        if self.entered(phase, epoch).is_none() {
            self.stamp(phase, epoch, now());
        }
    }

    /// That `phase` is over, and how long it took. `now` is when the next one was entered.
    pub(crate) fn passed(&self, phase: Phase, epoch: u64, now: u64, how: u8) -> Note {
        let entered = self.entered(phase, epoch).unwrap_or(now);
        let note = Note::new(Kind::Phase).detail(phase.next() as u8 | how);
        note.epoch(epoch).argument(now.saturating_sub(entered))
    }

    /// The instant from which on times count.
    pub(super) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    /// The time of `epoch` in a stamp of this scope or of one of its runners.
    #[inline]
    pub(super) fn time(&self, stamp: &Stamp<M>, epoch: u64) -> Option<u64> {
        stamp.get(epoch, self.floor())
    }

    /// Sets such a time, if the epoch is still the present one; returns the first one's.
    /// The shutdown of `epoch` has been seen, so its floor is seen here.
    pub(super) fn set_once(&self, stamp: &Stamp<M>, epoch: u64, now: u64) -> u64 {
        let is_on = || self.control().epoch() == epoch & EPOCH_MASK;
        stamp.set_once(epoch, self.floor(), now, is_on)
    }

    /// The time that is stored then: the first one's.
    pub(super) fn stamp(&self, phase: Phase, epoch: u64, now: u64) -> u64 {
        let stamp = self.entered.get((phase as usize).wrapping_sub(1));
        stamp.map_or(now, |stamp| self.set_once(stamp, epoch, now))
    }

    /// When `phase` was entered in the shutdown of `epoch`.
    #[inline]
    pub(crate) fn entered(&self, phase: Phase, epoch: u64) -> Option<u64> {
        let stamp = self.entered.get((phase as usize).checked_sub(1)?)?;
        self.time(stamp, epoch)
    }

    /// The start of the shutdown of `epoch`. If its initiator died before it could
    /// stamp it, the first who asks does.
    pub(crate) fn started(&self, epoch: u64, now: u64) -> u64 {
        self.stamp(Phase::Signaling, epoch, now)
    }

    /// A new life of this record for another owner: Running in a fresh epoch, which is
    /// returned. By the claimant of the slot. Others may still move the word in the name of
    /// the old owner (one that cancels, or initiates in an epoch that it read before), so
    /// it is raised from exactly what is found.
    /// `None` if `is_its` does not hold after a load: the claimant was swept, and the scope
    /// is the next one's.
    pub(crate) fn reset(&self, is_its: impl Fn() -> bool) -> Option<u64> {
        self.control.update(|raw| {
            let fresh = Control::from_raw(raw).reopened();
            match is_its() {
                true => Next::Store(fresh.raw(), Some(fresh.epoch())),
                false => Next::Leave(None),
            }
        })
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

impl<M: Mem> Default for Scope<M> {
    fn default() -> Self {
        Self {
            control: CachePadded::new(M::U64::default()),
            entered: core::array::from_fn(|_| Stamp::default()),
            immediate: Stamp::default(),
            floor: M::U64::default(),
            extension: Extension::default(),
            request: Request::default(),
            shortened: Shortened::default(),
        }
    }
}

shared!(Scope<M> { control, entered, immediate, floor, extension, request, shortened });
