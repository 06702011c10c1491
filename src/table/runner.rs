//! The protocol record and the texts of one runner.
//!
//! What the holder writes here while it is registered bears the slot's generation, or is
//! written under a lock of its process that leaving takes, too (`api/left.rs`): so nothing of
//! it reaches the record of the next holder, however long a thread was stopped.
//!
//! ```text
//! progress, extended_at: [ count:40 | generation:24 ]
//! verdict:               [ generation:50 | verdict:8 ]
//! untold:                [ generation:50 | count:14 ]
//! ```
//! Each is moved by compare-and-swap from a word of the own generation; only the claimant of
//! the slot brings a new generation in ([`Runner::renew`]). Between the load and the swap the
//! slot may have come to another holder, and then the word has another generation and the swap
//! fails. The verdict's generation wraps after 107 years of joins. That of the progress wraps
//! after 50 seconds of them; then the count must agree, too, and the next holder is credited
//! with one step.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::latch::Text;
use crate::sync::mem::Next;
use crate::sync::{Mem, Word};
use crate::width::{PROGRESS, RUNNER, mask};

use super::inflight::Gate;
use super::past::Past;
use super::reason::Reason;
use super::scope::Scope;
use super::stamp::Stamp;
use super::times::Times;

/// Where the count begins in the words of progress.
const COUNT_SHIFT: u32 = 24;
/// Where the generation begins in the verdict.
const VERDICT_BITS: u32 = 8;
/// Where the generation begins in the count of untold failures.
const UNTOLD_BITS: u32 = 14;

/// Protocol words of a runner slot; the membership word stands in the group's dense
/// array under the same index.
#[repr(C)]
pub(crate) struct Runner<M: Mem> {
    /// The runner's own scope: shutting down this runner alone.
    pub(crate) own: Scope<M>,
    /// [`Ack`](super::ack::Ack) in the own scope.
    pub(crate) own_acked: M::U64,
    pub(crate) gate: Gate<M>,
    /// Steps of progress.
    pub(super) progress: M::U64,
    /// The word of progress at the last granted extension.
    pub(super) extended_at: M::U64,
    pub(crate) group_times: Times<M>,
    pub(crate) own_times: Times<M>,
    /// When the slot was claimed, in microseconds: an end counts from then on.
    pub(super) claimed: M::U64,
    /// When the runner left or was found dead, tagged with the slot's generation.
    pub(super) ended: Stamp<M>,
    /// Group generation the runner joined.
    pub(crate) joined: M::U64,
    pub(crate) pid: M::U64,
    /// Generation of the holder's process slot: that slot may have a new holder while
    /// this record is still that of the old one.
    pub(crate) process_generation: M::U64,
    /// What the runner published about itself.
    pub(super) verdict: M::U64,
    /// Failures that found no place in their table.
    untold: M::U64,
    /// Of earlier holders of its id.
    pub(crate) past: Past<M>,
}

/// What a runner said of itself before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    None,
    /// It declared itself failed; the cause stands in the texts.
    Failed,
    /// It was ended by force by whoever supervises it.
    Forced,
    /// It went away in order in the middle of a shutdown, and left things undone.
    Abandoned,
}

impl Verdict {
    const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0 => Some(Self::None),
            1 => Some(Self::Failed),
            2 => Some(Self::Forced),
            3 => Some(Self::Abandoned),
            _ => None,
        }
    }
}

/// The word of progress of a holder that has made none.
const fn no_progress(generation: u64) -> u64 {
    generation & mask(PROGRESS)
}

/// The word of a verdict.
const fn verdict_of(generation: u64, verdict: Verdict) -> u64 {
    (generation & mask(RUNNER)) << VERDICT_BITS | verdict as u64
}

/// The word of a holder without untold failures.
const fn none_untold(generation: u64) -> u64 {
    (generation & mask(RUNNER)) << UNTOLD_BITS
}

const _: () = assert!(UNTOLD_BITS + RUNNER <= u64::BITS);

/// Whether a word of progress is that of the holder of `generation`.
const fn is_of(word: u64, generation: u64) -> bool {
    word & mask(COUNT_SHIFT) == no_progress(generation)
}

impl<M: Mem> Runner<M> {
    /// When the holder of this slot generation ended.
    pub(crate) fn ended(&self, generation: u64) -> Option<u64> {
        self.ended
            .get(generation, self.claimed.load(Ordering::Acquire))
    }

    /// Sets that time; the first one is kept. `is_on` says whether the slot still is of
    /// this generation.
    ///
    /// Times of earlier holders lie below the instant of the claim: they were read from
    /// the clock while the slot still was of their generation.
    pub(super) fn end(&self, generation: u64, now: u64, is_on: impl Fn() -> bool) {
        let claimed = self.claimed.load(Ordering::Acquire);
        self.ended.set_once(generation, claimed, now, is_on);
    }

    /// Makes what bears the generation as new; by the claimant of the slot, while `is_its`.
    pub(crate) fn renew(&self, generation: u64, is_its: impl Fn() -> bool) {
        self.gate.reset_while(generation, &is_its);
        for word in [&self.progress, &self.extended_at] {
            word.store_while(no_progress(generation), &is_its);
        }
        let none = verdict_of(generation, Verdict::None);
        self.verdict.store_while(none, &is_its);
        let none = none_untold(generation);
        self.untold.store_while(none, &is_its);
    }

    /// What the holder of `generation` published about itself.
    pub(crate) fn verdict(&self, generation: u64) -> Verdict {
        let word = self.verdict.load(Ordering::Acquire);
        let of_it = word & !mask(VERDICT_BITS) == verdict_of(generation, Verdict::None);
        let verdict = Verdict::from_bits(word & mask(VERDICT_BITS));
        verdict.filter(|_| of_it).unwrap_or(Verdict::None)
    }

    /// Sets the verdict of the holder of `generation`; the first one counts.
    pub(crate) fn judge(&self, generation: u64, verdict: Verdict) {
        let none = verdict_of(generation, Verdict::None);
        let to = verdict_of(generation, verdict);
        let _ = self
            .verdict
            .compare_exchange(none, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Counts a failure of the holder of `generation` that found no place.
    pub(crate) fn count_untold(&self, generation: u64) {
        self.untold.update(|word| {
            let is_its = word & !mask(UNTOLD_BITS) == none_untold(generation);
            if is_its && word & mask(UNTOLD_BITS) != mask(UNTOLD_BITS) {
                Next::Store(word + 1, ())
            } else {
                Next::Leave(())
            }
        });
    }

    /// Forgets the untold failures of the holder of `generation`: the shutdown was cancelled.
    pub(crate) fn forget_untold(&self, generation: u64) {
        self.untold.update(|word| {
            let none = none_untold(generation);
            if word != none && word & !mask(UNTOLD_BITS) == none {
                Next::Store(none, ())
            } else {
                Next::Leave(())
            }
        });
    }

    /// Failures of the holder of `generation` that found no place, at most 16,383.
    pub(crate) fn untold(&self, generation: u64) -> u32 {
        let word = self.untold.load(Ordering::Acquire);
        if word & !mask(UNTOLD_BITS) == none_untold(generation) {
            (word & mask(UNTOLD_BITS)) as u32
        } else {
            0
        }
    }

    /// Counts a step of progress of the holder of `generation`.
    pub(crate) fn count_progress(&self, generation: u64) {
        self.progress.update(|word| {
            if is_of(word, generation) {
                Next::Store(word.wrapping_add(1 << COUNT_SHIFT), ())
            } else {
                Next::Leave(())
            }
        });
    }

    /// Steps of progress of the holder of `generation`.
    pub(crate) fn progress(&self, generation: u64) -> u64 {
        let word = self.progress.load(Ordering::Acquire);
        if is_of(word, generation) {
            word >> COUNT_SHIFT
        } else {
            0
        }
    }

    /// The progress of the holder of `generation` since its last extension, to be handed to
    /// [`extended`](Self::extended); `None` if there is none.
    pub(crate) fn progress_to_extend(&self, generation: u64) -> Option<u64> {
        let word = self.progress.load(Ordering::Acquire);
        let is_new = word != self.extended_at.load(Ordering::Acquire);
        (is_of(word, generation) && is_new).then_some(word)
    }

    /// An extension was granted to the holder of `generation` for this progress; by one of
    /// its threads at a time.
    pub(crate) fn extended(&self, generation: u64, progress: u64) {
        self.extended_at.update(|word| {
            if is_of(word, generation) {
                Next::Store(progress, ())
            } else {
                Next::Leave(())
            }
        });
    }

    /// The words of progress and verdict, for must-fail variants.
    #[cfg(all(test, feature = "loom"))]
    pub(crate) fn words(&self) -> [&M::U64; 2] {
        [&self.progress, &self.verdict]
    }

    /// What no release writes into these words while `generation` holds the slot, if they
    /// have it: the fault and the word.
    pub(super) fn record_fault(&self, generation: u64) -> Option<(&'static str, u64)> {
        // The earlier one first: progress only grows.
        let extended = self.extended_at.load(Ordering::Acquire);
        let progress = self.progress.load(Ordering::Acquire);
        let verdict = self.verdict.load(Ordering::Acquire);
        let untold = self.untold.load(Ordering::Acquire);
        let of_it = |word: u64| word >> VERDICT_BITS == generation & mask(RUNNER);
        if !is_of(progress, generation) || !is_of(extended, generation) {
            Some(("has progress of another holder", extended))
        } else if progress.wrapping_sub(extended) > u64::MAX / 2 {
            Some(("was extended for progress to come", extended))
        } else if !of_it(verdict) {
            Some(("has a verdict of another holder", verdict))
        } else if untold & !mask(UNTOLD_BITS) != none_untold(generation) {
            Some(("has untold failures of another holder", untold))
        } else if Verdict::from_bits(verdict & mask(VERDICT_BITS)).is_none() {
            Some(("has no such verdict", verdict))
        } else {
            None
        }
    }
}

/// The texts of a runner slot. Written by its claimant, then by its holder only (a lock of
/// its process keeps its threads apart, and ends with the runner), read by anybody.
#[repr(C)]
pub(crate) struct Texts<M: Mem> {
    pub(crate) id: Text<M, 9>,
    /// Marked with the time since which it is in effect, in microseconds; 0 for none.
    pub(crate) activity: Text<M, 16>,
    pub(crate) last_words: Text<M, 33>,
    /// The cause given to `fail`.
    pub(crate) cause: Text<M, 16>,
    /// Of the shutdown of the own scope; written under its request's claim.
    pub(crate) reason: Reason<M>,
}

impl<M: Mem> Texts<M> {
    /// Publishes what the runner does since `now`; an empty text for nothing. One writer at a
    /// time.
    pub(crate) fn set_activity(&self, text: &str, now: u64) {
        let since = if text.is_empty() { 0 } else { now };
        self.activity.write_marked(text, since);
    }

    /// What the runner does, and since when.
    pub(crate) fn activity(&self) -> Option<(String, u64)> {
        let (text, since, _) = self.activity.read_marked();
        (since != 0).then_some((text, since))
    }
}

impl<M: Mem> Default for Runner<M> {
    fn default() -> Self {
        Self {
            own: Scope::default(),
            own_acked: M::U64::default(),
            gate: Gate::default(),
            progress: M::U64::default(),
            extended_at: M::U64::default(),
            group_times: Times::default(),
            own_times: Times::default(),
            claimed: M::U64::default(),
            ended: Stamp::default(),
            joined: M::U64::default(),
            pid: M::U64::default(),
            process_generation: M::U64::default(),
            verdict: M::U64::default(),
            untold: M::U64::default(),
            past: Past::default(),
        }
    }
}

shared!(Runner<M> {
    own, own_acked, gate, progress, extended_at, group_times, own_times, claimed, ended,
    joined, pid, process_generation, verdict, untold, past
});
shared!(Texts<M> { id, activity, last_words, cause, reason });

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
