//! The acknowledgement of a runner in one scope: how far it has come.
//!
//! ```text
//! 63     24 23        5  4   3    2 1   0
//! [ epoch | generation |over|missed|acked]
//! ```
//!
//! `acked` is the last phase done in the shutdown of `epoch`, by the holder of the slot
//! whose generation has these low bits; `missed` is the first phase that went on without
//! it, 0 for none; `over` says that it did Closing after the deadline of all had passed, which
//! is what timing out means. It counts for nobody else and in no other shutdown.
//!
//! # Why a stopped acknowledger does no harm
//! It loads this word, then asks who holds the slot and which phase is on, then
//! compare-and-swaps from exactly what it loaded. In between:
//! - the phase goes on, or the shutdown is cancelled: the acknowledgement bears its epoch
//!   and counts in no other;
//! - the runner is marked dead or leaves: both are true, it had done the phase and is
//!   gone. No transition needs both words in one step: an advance needs a runner that is
//!   counted *and* has not done the phase, and done stays done;
//! - the slot gets another holder: its claimant resets the word, under the epoch that it
//!   read before the claim, before it publishes the slot. So the value loaded is gone. It
//!   could come back only under the same epoch and with the same low bits of the
//!   generation. The acknowledger has seen that epoch's shutdown on. A process that claims
//!   a slot under that epoch from then on has read Running before that shutdown began, and
//!   claims once for that read: 2^19 claims take as many threads, all stopped in a join.
//!   Epochs that are over come back when all values of [`width::EPOCH`] bits were used.
//!
//! The word of the group's scope is stored beside the membership word, so that a search for
//! a laggard reads both from one cache line; that of the runner's own scope in its record.
//! Only threads of the runner's process write either. Models: `loom_tests/membership.rs`.

use crate::phase::Phase;
use crate::width;

const ACKED: u64 = 0b11;
const MISSED_SHIFT: u32 = 2;
const MISSED: u64 = 0b11 << MISSED_SHIFT;
const OVER: u64 = 1 << 4;
const GENERATION_SHIFT: u32 = 5;
const GENERATION: u64 = width::mask(width::ACK_RUNNER) << GENERATION_SHIFT;
const EPOCH_SHIFT: u32 = GENERATION_SHIFT + width::ACK_RUNNER;
const EPOCH: u64 = width::mask(width::EPOCH) << EPOCH_SHIFT;

const _: () = assert!(EPOCH_SHIFT + width::EPOCH <= u64::BITS);
const _: () = assert!(width::ACK_RUNNER <= width::RUNNER);

/// A snapshot of an acknowledgement word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack(u64);

impl Ack {
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }
    /// Of a new holder that has done nothing in this epoch.
    pub(crate) const fn fresh(generation: u64, epoch: u64) -> Self {
        Self(generation << GENERATION_SHIFT & GENERATION | epoch << EPOCH_SHIFT & EPOCH)
    }
    /// The shutdown that it is of.
    pub(super) const fn epoch(self) -> u64 {
        (self.0 & EPOCH) >> EPOCH_SHIFT
    }
    /// Whether it is of the holder of this slot generation.
    pub(crate) const fn is_of(self, generation: u64) -> bool {
        (self.0 ^ generation << GENERATION_SHIFT) & GENERATION == 0
    }
    const fn counts(self, generation: u64, epoch: u64) -> bool {
        (self.0 ^ Self::fresh(generation, epoch).0) & (GENERATION | EPOCH) == 0
    }
    /// The last phase that this holder has done in the shutdown of `epoch`.
    pub(crate) fn acked(self, generation: u64, epoch: u64) -> Phase {
        match self.counts(generation, epoch) {
            true => self.last(),
            false => Phase::Running,
        }
    }
    /// The first phase of that shutdown that went on without this holder.
    pub(crate) fn missed(self, generation: u64, epoch: u64) -> Option<Phase> {
        self.first_missed()
            .filter(|_| self.counts(generation, epoch))
    }
    /// Whether it did Closing after the overall deadline of that shutdown had passed.
    pub(crate) fn is_over(self, generation: u64, epoch: u64) -> bool {
        self.0 & OVER != 0 && self.counts(generation, epoch)
    }
    /// The same, done after the overall deadline.
    pub(super) const fn over(self) -> Self {
        Self(self.0 | OVER)
    }
    /// The last phase done, of whatever shutdown.
    pub(super) fn last(self) -> Phase {
        // Two bits: none of the four is unknown.
        Phase::from_bits(self.0 & ACKED).unwrap_or(Phase::Running)
    }
    fn first_missed(self) -> Option<Phase> {
        Phase::from_bits((self.0 & MISSED) >> MISSED_SHIFT).filter(|it| *it != Phase::Running)
    }
    /// The same with `phase` done; `late` if the phase had gone on. Of another holder or
    /// another epoch nothing is kept.
    pub(crate) fn with(self, generation: u64, epoch: u64, phase: Phase, late: bool) -> Self {
        let done = self.acked(generation, epoch).max(phase);
        let missed = self
            .missed(generation, epoch)
            .or(late.then_some(phase))
            .unwrap_or(Phase::Running);
        Self(
            Self::fresh(generation, epoch).0
                | if self.is_over(generation, epoch) {
                    OVER
                } else {
                    0
                }
                | done as u64 & ACKED
                | (missed as u64) << MISSED_SHIFT & MISSED,
        )
    }
    /// What no release writes, if it is that.
    // At the shipped widths the fields fill the word.
    #[allow(clippy::bad_bit_mask)]
    pub(super) fn fault(self) -> Option<&'static str> {
        if self.0 & (ACKED | MISSED | OVER | GENERATION | EPOCH) != self.0 {
            return Some("has bits that are never set");
        }
        if self.0 & OVER != 0 && (self.last() != Phase::Closing || self.first_missed().is_none()) {
            return Some("was over its time before it had closed");
        }
        self.first_missed()
            .is_some_and(|missed| missed > self.last())
            .then_some("missed a phase that it has not done")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_for_one_holder_in_one_epoch() {
        let ack = Ack::fresh(7, 3).with(7, 3, Phase::Draining, false);
        assert_eq!(ack.acked(7, 3), Phase::Draining);
        for (generation, epoch) in [(7, 2), (6, 3), (6, 2)] {
            assert_eq!(ack.acked(generation, epoch), Phase::Running);
            assert_eq!(ack.missed(generation, epoch), None);
        }
        assert!(ack.is_of(7) && !ack.is_of(6));
        assert_eq!((ack.epoch(), ack.last()), (3, Phase::Draining));
        assert_eq!(Ack::from_raw(ack.raw()), ack);
        assert_eq!(Ack::fresh(7, 3).acked(7, 3), Phase::Running);
    }

    #[test]
    fn the_first_phase_that_was_missed_is_kept() {
        let late = Ack::fresh(1, 9).with(1, 9, Phase::Signaling, true);
        assert_eq!(late.missed(1, 9), Some(Phase::Signaling));
        let done = late.with(1, 9, Phase::Draining, true);
        assert_eq!(
            (done.acked(1, 9), done.missed(1, 9)),
            (Phase::Draining, Some(Phase::Signaling))
        );
        let again = done.with(1, 9, Phase::Signaling, false);
        assert_eq!(again, done);
        // Another epoch, another holder: nothing is kept.
        assert_eq!(
            done.with(1, 8, Phase::Signaling, false),
            Ack::fresh(1, 8).with(1, 8, Phase::Signaling, false)
        );
        assert_eq!(done.with(2, 9, Phase::Signaling, false).missed(2, 9), None);
    }

    /// Late in Signaling, then over the deadline of all: both are kept apart.
    #[test]
    fn what_was_over_the_deadline_is_not_what_was_late() {
        let late = Ack::fresh(1, 9).with(1, 9, Phase::Signaling, true);
        let done = late.with(1, 9, Phase::Draining, false);
        let caught_up = done.with(1, 9, Phase::Closing, false);
        let over = done.with(1, 9, Phase::Closing, true).over();
        for (ack, is_over) in [(late, false), (caught_up, false), (over, true)] {
            assert_eq!(ack.missed(1, 9), Some(Phase::Signaling));
            assert_eq!(ack.is_over(1, 9), is_over);
            assert_eq!(ack.fault(), None);
            assert!(!ack.is_over(1, 8) && !ack.is_over(2, 9));
        }
        assert_eq!(over.with(1, 9, Phase::Closing, true), over);
    }

    #[test]
    fn fields_do_not_overlap_and_wrap() {
        let (generation, epoch) = (width::mask(width::ACK_RUNNER), width::mask(width::EPOCH));
        let all = Ack::fresh(generation, epoch).with(generation, epoch, Phase::Closing, true);
        assert_eq!(all.acked(generation, epoch), Phase::Closing);
        assert_eq!(all.missed(generation, epoch), Some(Phase::Closing));
        assert_eq!(all.epoch(), epoch);
        assert_eq!(Ack::fresh(generation + 1, epoch + 1).raw(), 0);
    }

    #[test]
    fn words_that_no_release_writes_are_reported() {
        let done = Ack::fresh(5, 5).with(5, 5, Phase::Draining, true);
        for good in [Ack::fresh(0, 0), Ack::fresh(5, 5), done] {
            assert_eq!(good.fault(), None, "{good:?}");
        }
        for bad in [
            Ack::from_raw(1 << MISSED_SHIFT),
            Ack::from_raw(done.raw() | MISSED),
            done.over(),
            Ack::fresh(5, 5).with(5, 5, Phase::Closing, false).over(),
        ] {
            assert!(bad.fault().is_some(), "{bad:?}");
        }
    }
}
