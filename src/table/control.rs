//! The control word of a scope: one atomic word that says where its shutdown stands.
//!
//! ```text
//! 63      48 47        8 7   5 4  3 2   0
//! [ budget  |   epoch   |code |mode|stage]
//! ```
//!
//! Everything that must not be lost when an initiator dies between two stores is in
//! this one word: it starts a shutdown, with its mode, reason code and budget, by one
//! compare-and-swap. `epoch` counts the returns to Running, so an acknowledgement that
//! carries it can never be taken for one of another shutdown. Every transition is a
//! compare-and-swap from exactly the value read, and within an epoch no value comes back;
//! the width of the epoch ([`width::EPOCH`]) is what guards a process that was stopped
//! before its compare-and-swap.
//!
//! The budget is rounded down to what [`Millis`] can write. It must be decided by the
//! same compare-and-swap that begins the shutdown, or a second word would be needed.
//!
//! The low half is the futex: stage, mode, code and 24 bits of the epoch. If those 24 bits
//! wrap between a sleeper's read and its sleep, it misses one wake-up for one bounded sleep.

use crate::phase::{Mode, Phase, ReasonCode};
use crate::width;

use super::Corrupt;
use super::millis::{self, Millis};

const STAGE: u64 = 0b111;
const MODE_SHIFT: u32 = 3;
const MODE: u64 = 0b11 << MODE_SHIFT;
const CODE_SHIFT: u32 = 5;
const CODE: u64 = 0b111 << CODE_SHIFT;
const EPOCH_SHIFT: u32 = 8;
const BUDGET_SHIFT: u32 = 48;
const BUDGET: u64 = width::mask(millis::BUDGET) << BUDGET_SHIFT;

/// Epochs wrap.
pub(crate) const EPOCH_MASK: u64 = width::mask(width::EPOCH);
const EPOCH: u64 = EPOCH_MASK << EPOCH_SHIFT;

const _: () = assert!(EPOCH_SHIFT + width::EPOCH <= BUDGET_SHIFT);
const _: () = assert!(BUDGET_SHIFT + millis::BUDGET == u64::BITS);

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
    pub(crate) const fn epoch(self) -> u64 {
        (self.0 & EPOCH) >> EPOCH_SHIFT
    }
    const fn budget(self) -> Millis<13> {
        Millis::from_raw(self.0 >> BUDGET_SHIFT)
    }
    pub(crate) fn budget_millis(self) -> u32 {
        u32::try_from(self.budget().get()).unwrap_or(u32::MAX)
    }

    /// What no release writes, if it is that.
    pub(super) fn fault(self) -> Option<&'static str> {
        let known = STAGE | MODE | CODE | EPOCH | BUDGET;
        match self.stage() {
            Err(_) => Some("has no such phase"),
            Ok(_) if self.0 & !known != 0 => Some("has bits that are never set"),
            Ok(Stage::Phase(Phase::Running)) if self.0 & !EPOCH != 0 => {
                Some("is running, with a mode, a reason or a budget")
            }
            Ok(_) if !self.budget().is_written() => Some("has no such budget"),
            Ok(_) if self.0 & MODE == MODE => Some("has no such mode"),
            Ok(_) if (self.0 & CODE) >> CODE_SHIFT > ReasonCode::HostShutdown as u64 => {
                Some("has no such reason")
            }
            Ok(_) => None,
        }
    }

    /// Running in this epoch.
    pub(crate) const fn running(epoch: u64) -> Self {
        Self((epoch & EPOCH_MASK) << EPOCH_SHIFT)
    }
    /// Running, in the epoch after this one.
    pub(crate) const fn reopened(self) -> Self {
        Self::running(self.epoch().wrapping_add(1))
    }
    /// Signaling, as asked.
    pub(crate) const fn initiated(self, ask: Ask) -> Self {
        Self(
            self.0 & EPOCH
                | Phase::Signaling as u64
                | (ask.mode as u64) << MODE_SHIFT
                | (ask.code as u64) << CODE_SHIFT
                | Millis::<13>::of(ask.budget_millis as u64).raw() << BUDGET_SHIFT,
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
        let budget = match budget_millis < self.budget_millis() {
            true => Millis::<13>::of(u64::from(budget_millis)),
            false => self.budget(),
        };
        Self(self.0 & !(MODE | BUDGET) | (mode as u64) << MODE_SHIFT | budget.raw() << BUDGET_SHIFT)
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
        let last = Control::running(EPOCH_MASK).initiated(ASK);
        assert_eq!(last.epoch(), EPOCH_MASK);
        assert_eq!(last.budget_millis(), 30_000);
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
        let epoch = EPOCH;
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
            // A single tenth; more than the longest budget.
            Phase::Signaling as u64 | (1 << 13 | 1) << BUDGET_SHIFT,
            Phase::Signaling as u64 | (6 << 13 | 4295) << BUDGET_SHIFT,
        ] {
            assert!(bits(bad).is_some(), "{bad:#x}");
        }
    }

    #[test]
    fn a_budget_is_rounded_down_to_what_can_be_written() {
        let ask = |budget_millis| Ask {
            budget_millis,
            ..ASK
        };
        let budget = |millis| Control::from_raw(0).initiated(ask(millis)).budget_millis();
        assert_eq!([600_000, 2_500, 1].map(budget), [600_000, 2_500, 1]);
        assert_eq!([8_192, u32::MAX].map(budget), [8_190, 4_294_000_000]);
        let control = Control::from_raw(0).initiated(ask(8_192));
        for same in [8_190, 8_192, u32::MAX] {
            assert!(control.merged(Mode::Fast, same) == control, "{same}");
        }
        assert_eq!(control.merged(Mode::Fast, 8_189).budget_millis(), 8_189);
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
