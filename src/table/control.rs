//! The control word of a scope: one atomic word that says where its shutdown stands.
//!
//! ```text
//! 63            32 31        8 7   5 4  3 2   0
//! [ budget in ms  |  epoch    |code |mode|stage]
//!                  '------- the futex half -----'
//! ```
//!
//! Everything that must not be lost when an initiator dies between two stores is in
//! this one word: it starts a shutdown, with its mode, reason code and budget, by one
//! compare-and-swap. `epoch` counts the returns to Running, so an acknowledgement that
//! carries it can never be taken for one of another shutdown.

use crate::phase::{Mode, Phase, ReasonCode};

use super::Corrupt;

const STAGE: u64 = 0b111;
const MODE_SHIFT: u32 = 3;
const MODE: u64 = 0b11 << MODE_SHIFT;
const CODE_SHIFT: u32 = 5;
const CODE: u64 = 0b111 << CODE_SHIFT;
const EPOCH_SHIFT: u32 = 8;
const BUDGET_SHIFT: u32 = 32;

/// Epochs are 24 bits wide and wrap.
pub(crate) const EPOCH_MASK: u32 = 0x00ff_ffff;

/// Stage 5: Complete, and a new generation is being begun (anybody may finish that).
const RENEWING: u64 = 5;

/// A snapshot of a control word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Control(u64);

/// What the stage bits say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Phase(Phase),
    Renewing,
}

/// What an initiator asks for, as far as it fits the control word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) mode: Mode,
    pub(crate) code: ReasonCode,
    pub(crate) budget_millis: u32,
}

impl Control {
    /// Of epoch 0, over.
    pub(crate) const COMPLETE: Self = Self(Phase::Complete as u64);

    #[inline]
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }
    /// The half that sleepers compare.
    pub(crate) const fn futex_half(self) -> u32 {
        self.0 as u32
    }
    /// One look: is a shutdown on (or over)? The hot path of every runner.
    #[inline]
    pub(crate) const fn is_shutting_down(self) -> bool {
        self.0 & STAGE != Phase::Running as u64
    }
    /// The same of any of several, by one comparison.
    #[inline]
    pub(crate) fn any_shutting_down<const N: usize>(all: [Self; N]) -> bool {
        const { assert!(Phase::Running as u64 == 0) };
        all.iter().fold(0, |bits, one| bits | one.0) & STAGE != 0
    }
    /// Whether new work is refused. Hostile stage bits refuse.
    #[inline]
    pub(crate) const fn refuses_work(self) -> bool {
        self.0 & STAGE >= Phase::Draining as u64
    }
    pub(crate) const fn stage(self) -> Result<Stage, Corrupt> {
        let bits = self.0 & STAGE;
        if bits == RENEWING {
            return Ok(Stage::Renewing);
        }
        match Phase::from_bits(bits) {
            Some(phase) => Ok(Stage::Phase(phase)),
            None => Err(Corrupt("control word: no such phase")),
        }
    }
    /// The phase as users see it: a generation being renewed is still Complete.
    pub(crate) const fn phase(self) -> Result<Phase, Corrupt> {
        match self.stage() {
            Ok(Stage::Phase(phase)) => Ok(phase),
            Ok(Stage::Renewing) => Ok(Phase::Complete),
            Err(corrupt) => Err(corrupt),
        }
    }
    pub(crate) const fn mode(self) -> Mode {
        Mode::from_bits((self.0 & MODE) >> MODE_SHIFT)
    }
    pub(crate) const fn code(self) -> ReasonCode {
        ReasonCode::from_bits((self.0 & CODE) >> CODE_SHIFT)
    }
    #[inline]
    pub(crate) const fn epoch(self) -> u32 {
        (self.0 >> EPOCH_SHIFT) as u32 & EPOCH_MASK
    }
    pub(crate) const fn budget_millis(self) -> u32 {
        (self.0 >> BUDGET_SHIFT) as u32
    }

    /// What no release writes, if it is that.
    pub(super) fn fault(self) -> Option<&'static str> {
        let fields = self.0 & !(u64::from(EPOCH_MASK) << EPOCH_SHIFT);
        match self.stage() {
            Err(_) => Some("has no such phase"),
            Ok(Stage::Phase(Phase::Running)) if fields != 0 => {
                Some("is running, with a mode, a reason or a budget")
            }
            Ok(_) if self.0 & MODE == MODE => Some("has no such mode"),
            Ok(_) if (self.0 & CODE) >> CODE_SHIFT > ReasonCode::HostShutdown as u64 => {
                Some("has no such reason")
            }
            Ok(_) => None,
        }
    }

    /// Running, in the epoch after this one.
    pub(crate) const fn reopened(self) -> Self {
        let epoch = self.epoch().wrapping_add(1) & EPOCH_MASK;
        Self((epoch as u64) << EPOCH_SHIFT)
    }
    /// Signaling, as asked.
    pub(crate) const fn initiated(self, ask: Ask) -> Self {
        Self(
            (self.epoch() as u64) << EPOCH_SHIFT
                | Phase::Signaling as u64
                | (ask.mode as u64) << MODE_SHIFT
                | (ask.code as u64) << CODE_SHIFT
                | (ask.budget_millis as u64) << BUDGET_SHIFT,
        )
    }
    /// The same shutdown in another phase.
    pub(crate) const fn in_phase(self, phase: Phase) -> Self {
        Self(self.0 & !STAGE | phase as u64)
    }
    pub(crate) const fn renewing(self) -> Self {
        Self(self.0 & !STAGE | RENEWING)
    }
    /// The same shutdown, at least as hard, with at most this budget.
    pub(crate) fn merged(self, mode: Mode, budget_millis: u32) -> Self {
        let mode = self.mode().max(mode);
        let budget = self.budget_millis().min(budget_millis);
        Self(
            self.0 & !(MODE | (u64::from(u32::MAX) << BUDGET_SHIFT))
                | (mode as u64) << MODE_SHIFT
                | u64::from(budget) << BUDGET_SHIFT,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Ask = Ask {
        mode: Mode::Fast,
        code: ReasonCode::Upgrade,
        budget_millis: 30_000,
    };

    #[test]
    fn fields_do_not_overlap() {
        let control = Control::from_raw(0).reopened().initiated(ASK);
        assert_eq!(control.phase(), Ok(Phase::Signaling));
        assert_eq!(control.mode(), Mode::Fast);
        assert_eq!(control.code(), ReasonCode::Upgrade);
        assert_eq!(control.epoch(), 1);
        assert_eq!(control.budget_millis(), 30_000);
        let closing = control.in_phase(Phase::Closing);
        assert_eq!(closing.phase(), Ok(Phase::Closing));
        assert_eq!(closing.epoch(), 1);
        assert_eq!(closing.budget_millis(), 30_000);
    }

    #[test]
    fn merging_takes_the_harder_mode_and_the_smaller_budget() {
        let control = Control::from_raw(0).initiated(ASK);
        let merged = control.merged(Mode::Immediate, 50_000);
        assert_eq!(
            (merged.mode(), merged.budget_millis()),
            (Mode::Immediate, 30_000)
        );
        let merged = control.merged(Mode::Graceful, 10);
        assert_eq!((merged.mode(), merged.budget_millis()), (Mode::Fast, 10));
    }

    #[test]
    fn epochs_wrap_without_touching_their_neighbours() {
        let last = Control::from_raw(u64::from(EPOCH_MASK) << EPOCH_SHIFT).initiated(ASK);
        assert_eq!(last.epoch(), EPOCH_MASK);
        assert_eq!(last.reopened().raw(), 0);
    }

    #[test]
    fn impossible_stages_are_named_and_refuse_work() {
        for bits in 6..8 {
            let control = Control::from_raw(bits);
            assert!(control.stage().is_err());
            assert!(control.refuses_work());
            assert!(control.is_shutting_down());
            let running = Control::from_raw(0).reopened();
            let any = Control::any_shutting_down;
            assert!(any([control, running, running]) && any([running, control, running]));
            assert!(any([running, running, control]) && any([running, running, Control::COMPLETE]));
            assert!(!any([running, running, Control::from_raw(0)]));
        }
        assert_eq!(Control::from_raw(0).renewing().phase(), Ok(Phase::Complete));
    }

    #[test]
    fn words_that_no_release_writes_are_told() {
        let epoch = u64::from(EPOCH_MASK) << EPOCH_SHIFT;
        let running = Control::from_raw(epoch);
        let asked = running.initiated(ASK);
        for good in [
            running,
            asked,
            asked.in_phase(Phase::Complete),
            asked.renewing(),
            Control::COMPLETE,
        ] {
            assert_eq!(good.fault(), None, "{:#x}", good.raw());
        }
        let last_code = ReasonCode::HostShutdown as u64;
        let bits = |raw: u64| Control::from_raw(epoch | raw).fault();
        assert_eq!(bits(Phase::Closing as u64 | last_code << CODE_SHIFT), None);
        for bad in [
            6,
            7,
            1 << MODE_SHIFT,
            1 << CODE_SHIFT,
            1 << BUDGET_SHIFT,
            Phase::Signaling as u64 | MODE,
            Phase::Signaling as u64 | (last_code + 1) << CODE_SHIFT,
        ] {
            assert!(bits(bad).is_some(), "{bad:#x}");
        }
    }

    #[test]
    fn work_is_refused_from_the_drain_on_and_a_shutdown_seen_before() {
        let asked = Control::from_raw(0).initiated(ASK);
        assert!(asked.is_shutting_down() && !asked.refuses_work());
        assert!(asked.in_phase(Phase::Draining).refuses_work());
        assert!(Control::COMPLETE.refuses_work() && Control::COMPLETE.is_shutting_down());
        let running = Control::from_raw(0).reopened();
        assert!(!running.refuses_work() && !running.is_shutting_down());
        assert_eq!(asked.renewing().stage(), Ok(Stage::Renewing));
        assert_eq!(asked.renewing().raw() & !STAGE, asked.raw() & !STAGE);
        assert_eq!(asked.stage(), Ok(Stage::Phase(Phase::Signaling)));
        assert_eq!(asked.futex_half(), asked.raw() as u32);
        assert_ne!(asked.futex_half(), running.futex_half());
    }
}
