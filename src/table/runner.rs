//! The protocol record and the texts of one runner.
//!
//! What the holder writes here while it is registered bears the slot's generation, or is
//! written under a lock of its process that leaving takes, too (`api/left.rs`): so nothing of
//! it reaches the record of the next holder, however long a thread was stopped.
//!
//! ```text
//! progress, extended_at: [ count:40 | generation:24 ]
//! verdict:               [ generation:50 | verdict:8 ]
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
    /// this record still tells of the old one.
    pub(crate) process_generation: M::U64,
    /// What the runner said of itself.
    pub(super) verdict: M::U64,
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
}

impl Verdict {
    const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0 => Some(Self::None),
            1 => Some(Self::Failed),
            2 => Some(Self::Forced),
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

    /// Makes what bears the generation as new; by the claimant of the slot.
    pub(crate) fn renew(&self, generation: u64) {
        self.gate.reset(generation);
        // As in `Gate::reset`: stores would do.
        for word in [&self.progress, &self.extended_at] {
            word.update(|_| Next::Store(no_progress(generation), ()));
        }
        let none = verdict_of(generation, Verdict::None);
        self.verdict.update(|_| Next::Store(none, ()));
    }

    /// What the holder of `generation` said of itself.
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
        let of_it = |word: u64| word >> VERDICT_BITS == generation & mask(RUNNER);
        if !is_of(progress, generation) || !is_of(extended, generation) {
            Some(("has progress of another holder", extended))
        } else if progress.wrapping_sub(extended) > u64::MAX / 2 {
            Some(("was extended for progress to come", extended))
        } else if !of_it(verdict) {
            Some(("has a verdict of another holder", verdict))
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
    pub(crate) last_words: Text<M, 65>,
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
            past: Past::default(),
        }
    }
}

shared!(Runner<M> {
    own, own_acked, gate, progress, extended_at, group_times, own_times, claimed, ended,
    joined, pid, process_generation, verdict, past
});
shared!(Texts<M> { id, activity, last_words, cause, reason });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::stopped::{Stopped, stop_everywhere};

    type Record = Runner<Stopped>;

    const OLD: u64 = 3;
    const NEW: u64 = 4;

    fn old() -> Record {
        let record = Record::default();
        record.renew(OLD);
        record.count_progress(OLD);
        record
    }

    const STEPS: [fn(&Record); 3] = [
        |record| record.judge(OLD, Verdict::Failed),
        |record| record.count_progress(OLD),
        |record| {
            if let Some(progress) = record.progress_to_extend(OLD) {
                record.extended(OLD, progress);
            }
        },
    ];

    #[test]
    fn a_stopped_step_is_nothing_to_the_next_holder_of_the_slot() {
        for step in STEPS {
            stop_everywhere(
                old,
                step,
                |record| record.renew(NEW),
                |record| {
                    assert_eq!(record.record_fault(NEW), None);
                    assert_eq!(record.verdict(NEW), Verdict::None);
                    assert_eq!((record.progress(NEW), record.progress(OLD)), (0, 0));
                    assert_eq!(record.progress_to_extend(NEW), None);
                },
            );
        }
    }

    /// After 50 seconds of joins the word of progress may be the same again: one step.
    #[test]
    fn a_wrap_credits_one_step_of_progress_at_most() {
        let wrapped = OLD + (1 << PROGRESS);
        let (count, again) = (
            |record: &Record| record.count_progress(OLD),
            |record: &Record| {
                record.renew(OLD + (1 << PROGRESS));
                record.count_progress(OLD + (1 << PROGRESS));
            },
        );
        let credited = core::cell::Cell::new(0);
        stop_everywhere(old, count, again, |record| {
            credited.set(credited.get().max(record.progress(wrapped)));
        });
        assert_eq!(credited.get(), 2);
    }

    /// The verdict's generation is all of the slot's.
    #[test]
    fn a_wrap_of_the_slots_generation_is_what_the_width_guards_against() {
        let again: fn(&Record) = |record| record.renew(OLD + 4);
        let judged = core::cell::Cell::new(false);
        stop_everywhere(old, STEPS[0], again, |record| {
            judged.set(judged.get() || record.verdict(OLD + 4) != Verdict::None);
        });
        assert_eq!(judged.get(), cfg!(feature = "narrow"));
    }

    #[test]
    fn progress_counts_on_beyond_the_end_of_its_room() {
        let record = old();
        let last = u64::MAX << COUNT_SHIFT | no_progress(OLD);
        record.progress.store(last, Ordering::Relaxed);
        record.extended(OLD, last);
        assert_eq!(
            (record.progress_to_extend(OLD), record.record_fault(OLD)),
            (None, None)
        );
        record.count_progress(OLD);
        assert_eq!((record.progress(OLD), record.record_fault(OLD)), (0, None));
        assert!(record.progress_to_extend(OLD).is_some());
    }
}
