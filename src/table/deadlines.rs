//! When a phase is forced and a shutdown is over at the latest: budget, shares, extensions.

use crate::limits;
use crate::phase::Phase;
use crate::sync::Mem;

use super::control::Control;
use super::scope::Scope;

/// The instants that bound a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// When the present phase is forced.
    pub(crate) phase: u64,
    /// When everything is over, by the present deadlines.
    pub(crate) overall: u64,
    /// Beyond this no extension goes.
    pub(crate) cap: u64,
}

impl<M: Mem> Scope<M> {
    /// The deadlines of the shutdown that `control` is a snapshot of. Cumulative shares
    /// of one budget, so that what one phase leaves the next inherits. `now` is read from the
    /// clock after `control` was: it becomes the start, if nobody has noted that yet, and a
    /// start before the floor of the shutdown would be lost.
    pub(crate) fn deadlines(&self, control: Control, now: u64) -> Deadlines {
        self.deadlines_from(control, self.started(control.epoch(), now))
    }

    /// The same for readers that may not stamp the start.
    pub(crate) fn deadlines_from(&self, control: Control, start: u64) -> Deadlines {
        let epoch = control.epoch();
        let millis = u64::from(control.budget_millis());
        let budget = millis * 1000;
        let terms = self.request.terms(epoch);
        let cap = budget.max(terms.cap_millis.saturating_mul(1000));
        let extension = self.extension.get(epoch) * 1000;
        let overall = budget.saturating_add(extension).min(cap);
        let share = cumulative(&terms.shares, control.phase().unwrap_or(Phase::Complete));
        // The budget is whole milliseconds and the share is per mille: exact.
        let phase = (millis * share).saturating_add(extension).min(overall);
        Deadlines {
            phase: start.saturating_add(phase),
            overall: start.saturating_add(overall),
            cap: start.saturating_add(cap),
        }
    }

    /// Grants up to `more` microseconds to the present phase, never past the cap; returns
    /// how many. Counted in whole milliseconds, rounded up within the cap; only what can be
    /// written is granted.
    pub(crate) fn extend(&self, control: Control, more: u64, now: u64) -> u64 {
        let epoch = control.epoch();
        let allow = |_| {
            let deadlines = self.deadlines(control, now);
            let room = deadlines.cap.saturating_sub(deadlines.phase);
            more.div_ceil(1000).min(room / 1000)
        };
        let is_on = || {
            let now = self.control();
            now.epoch() == epoch && now.phase().is_ok_and(|phase| phase.index().is_some())
        };
        let granted = self.extension.add(epoch, allow, is_on);
        if granted > 0 {
            // Sleepers have computed their deadline from the old extension.
            self.wake_all();
        }
        granted * 1000
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

const _: () = assert!(limits::DEFAULT_SHARES[0] + limits::DEFAULT_SHARES[1] < 1000);
