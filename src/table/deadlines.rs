//! When a phase is forced and a shutdown is over at the latest: budget, shares, extensions,
//! and the mode.
//!
//! In Immediate each phase has [`limits::IMMEDIATE_PHASE_MICROS`], from its beginning or from
//! the escalation. When that was is a stamp of the epoch: it is not in the control word, so
//! the first process that computes a deadline from a word in Immediate sets it, and all use
//! that one. The process that escalates may be stopped or killed right after its swap. A
//! process that was stopped before it sets the stamp finds another one's, or one that lies
//! below the floor of the next shutdown (`stamp.rs`). The clock is read after the control
//! word, so the stamp is never before the escalation; a stamp that is late lengthens the
//! phase by as long as no process looked at it.

use crate::limits;
use crate::phase::{Mode, Phase};
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
        if control.mode() == Mode::Immediate {
            self.set_once(&self.immediate, control.epoch(), now);
        }
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
        let deadlines = Deadlines {
            phase: start.saturating_add(phase),
            overall: start.saturating_add(overall),
            cap: start.saturating_add(cap),
        };
        match control.mode() {
            Mode::Immediate => self.at_once(control, deadlines),
            Mode::Graceful | Mode::Fast => deadlines,
        }
    }

    /// Those that hold in Immediate: each phase in its bound, from the last one entered.
    fn at_once(&self, control: Control, deadlines: Deadlines) -> Deadlines {
        let epoch = control.epoch();
        let phase = control.phase().unwrap_or(Phase::Complete);
        let phase = phase.clamp(Phase::Signaling, Phase::Closing);
        let Some(since) = self.time(&self.immediate, epoch) else {
            // Seen by nobody who may set it.
            return deadlines;
        };
        let entered = |of: &Phase| Some((*of, self.entered(*of, epoch)?));
        let mut earlier = Phase::ACKNOWLEDGED.iter().rev().filter(|of| **of <= phase);
        let Some((of, entered)) = earlier.find_map(entered) else {
            return deadlines;
        };
        let begun = entered.max(since);
        let until = |phase: Phase| {
            let phases = 1 + (phase as u64).saturating_sub(of as u64);
            begun.saturating_add(phases * limits::IMMEDIATE_PHASE_MICROS)
        };
        let overall = deadlines.overall.min(until(Phase::Closing));
        Deadlines {
            phase: deadlines.phase.min(until(phase)),
            overall,
            cap: overall,
        }
    }

    /// When a phase that was entered ended at the latest, if the mode was Immediate by then.
    pub(super) fn immediate_end(&self, phase: Phase, epoch: u64) -> Option<u64> {
        let since = self.time(&self.immediate, epoch)?;
        let begun = self.entered(phase, epoch)?.max(since);
        Some(begun.saturating_add(limits::IMMEDIATE_PHASE_MICROS))
    }

    /// Grants up to `more` microseconds to the present phase, never past the cap; returns
    /// how many. Counted in whole milliseconds, rounded up within the cap; only what can be
    /// written is granted, and nothing in Immediate.
    pub(crate) fn extend(&self, control: Control, more: u64, now: u64) -> u64 {
        let epoch = control.epoch();
        let allow = |_| {
            if self.control().mode() == Mode::Immediate {
                return 0;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::ReasonCode;
    use crate::sync::Real;
    use crate::table::control::Ask;

    const START: u64 = 1_000_000_000;
    const SECOND: u64 = limits::IMMEDIATE_PHASE_MICROS;

    fn begun(mode: Mode, budget_millis: u32) -> Scope<Real> {
        let scope = Scope::default();
        let ask = Ask {
            mode,
            code: ReasonCode::Requested,
            budget_millis,
        };
        let initiated = scope.initiate(ask, || START).unwrap();
        assert_eq!(initiated, crate::table::scope::Initiated::Drives(0));
        scope
    }

    fn of(scope: &Scope<Real>, now: u64) -> [u64; 3] {
        let deadlines = scope.deadlines(scope.control(), now);
        [deadlines.phase, deadlines.overall, deadlines.cap].map(|at| at - START)
    }

    #[test]
    fn escalated_to_immediate_each_phase_has_its_bound() {
        let scope = begun(Mode::Graceful, 20_000);
        assert_eq!(of(&scope, START), [2 * SECOND, 20 * SECOND, 20 * SECOND]);
        let entered = START + SECOND / 2;
        let draining = scope.publish(scope.control(), Phase::Draining, entered);
        assert_eq!(draining, Some(entered));
        assert_eq!(of(&scope, START)[0], 14 * SECOND);
        assert_eq!(scope.escalate(Mode::Immediate), Ok(Some(Mode::Graceful)));
        // The first that computes it sets the instant; a later one does not move it.
        let bounds = [2 * SECOND, 3 * SECOND, 3 * SECOND];
        for now in [START + SECOND, START + 5 * SECOND] {
            assert_eq!(of(&scope, now), bounds);
        }
        // The next phase counts from its beginning.
        let entered = START + SECOND + SECOND / 4;
        let closing = scope.publish(scope.control(), Phase::Closing, entered);
        assert_eq!(closing, Some(entered));
        assert_eq!(of(&scope, entered)[0], 2 * SECOND + SECOND / 4);
        assert_eq!(scope.extend(scope.control(), SECOND, entered), 0);
    }

    #[test]
    fn a_phase_that_is_not_entered_yet_comes_after_those_before_it() {
        let scope = begun(Mode::Immediate, 60_000);
        let ahead = |phase| {
            let control = scope.control().in_phase(phase);
            (scope.deadlines(control, START).phase - START) / SECOND
        };
        assert_eq!(Phase::ACKNOWLEDGED.map(ahead), [1, 2, 3]);
    }

    #[test]
    fn the_bound_is_clipped_to_the_budget_and_is_of_one_epoch() {
        let scope = begun(Mode::Immediate, 1_000);
        assert_eq!(of(&scope, START), [100_000, 1_000_000, 1_000_000]);
        let immediate = scope.control();
        let _ = scope.cancel().unwrap();
        let later = START + 10 * SECOND;
        let ask = Ask {
            mode: Mode::Graceful,
            code: ReasonCode::Requested,
            budget_millis: 60_000,
        };
        let _ = scope.initiate(ask, || later).unwrap();
        // A process that was stopped with the old word sets nothing in this shutdown.
        let _ = scope.deadlines(immediate, later + SECOND);
        assert_eq!(scope.time(&scope.immediate, 1), None);
        assert_eq!(of(&scope, later)[1] + START, later + 60 * SECOND);
    }

    /// A process stopped between the check of the epoch and its swap stores a time that lies
    /// below the floor of a later shutdown.
    #[test]
    fn a_stamp_of_an_earlier_shutdown_does_not_shorten_a_later_one() {
        let scope = begun(Mode::Immediate, 60_000);
        let floor = scope.floor();
        let (stamp, epoch) = (&scope.immediate, scope.control().epoch());
        let later = START + 10 * SECOND;
        let _ = stamp.set_once(epoch, floor, START + 1, || {
            let _ = scope.cancel().unwrap();
            let ask = Ask {
                mode: Mode::Immediate,
                code: ReasonCode::Requested,
                budget_millis: 60_000,
            };
            let _ = scope.initiate(ask, || later).unwrap();
            true
        });
        let phase = of(&scope, later)[0] + START;
        assert_eq!(phase, later + SECOND);
    }
}
