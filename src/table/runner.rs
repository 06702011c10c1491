//! The protocol record and the texts of one runner.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::latch::Text;
use crate::sync::{Mem, Word};

use super::inflight::Gate;
use super::reason::Reason;
use super::scope::Scope;
use super::stamp::Stamp;
use super::times::Times;

/// Protocol words of a runner slot; the membership word stands in the group's dense
/// array under the same index.
#[repr(C)]
pub(crate) struct Runner<M: Mem> {
    /// The runner's own scope: shutting down this runner alone.
    pub(crate) own: Scope<M>,
    /// [`Ack`](super::ack::Ack) in the own scope.
    pub(crate) own_acked: M::U64,
    pub(crate) gate: Gate<M>,
    pub(crate) progress: M::U64,
    /// Progress at the last granted extension.
    pub(crate) extended_at: M::U64,
    pub(crate) group_times: Times<M>,
    pub(crate) own_times: Times<M>,
    /// When the slot was claimed, in microseconds: an end counts from then on.
    pub(super) claimed: M::U64,
    /// When the runner left or was found dead, tagged with the slot's generation.
    pub(super) ended: Stamp<M>,
    /// Since when the activity text stands, in microseconds.
    pub(crate) activity_since: M::U64,
    /// Group generation the runner joined.
    pub(crate) joined: M::U64,
    pub(crate) pid: M::U64,
    /// Generation of the holder's process slot: that slot may have a new holder while
    /// this record still tells of the old one.
    pub(crate) process_generation: M::U64,
    /// `verdict:32 | slot generation:16`: what the runner said of itself.
    pub(crate) verdict: M::U64,
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

    pub(crate) fn verdict(&self, generation: u64) -> Verdict {
        let word = self.verdict.load(Ordering::Acquire);
        if word as u16 != generation as u16 {
            return Verdict::None;
        }
        match word >> 32 {
            1 => Verdict::Failed,
            2 => Verdict::Forced,
            _ => Verdict::None,
        }
    }

    /// Sets the verdict; the first one stands.
    pub(crate) fn judge(&self, generation: u64, verdict: Verdict) {
        if self.verdict(generation) == Verdict::None {
            let word = (verdict as u64) << 32 | generation & 0xffff;
            self.verdict.store(word, Ordering::Release);
        }
    }
}

/// The texts of a runner slot. Written by its holder only (a process-local lock keeps
/// its threads apart), read by anybody.
#[repr(C)]
pub(crate) struct Texts<M: Mem> {
    pub(crate) id: Text<M, 9>,
    pub(crate) activity: Text<M, 16>,
    pub(crate) last_words: Text<M, 65>,
    /// The cause given to `fail`.
    pub(crate) cause: Text<M, 16>,
    /// Of the shutdown of the own scope; written under its request's claim.
    pub(crate) reason: Reason<M>,
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
            activity_since: M::U64::default(),
            joined: M::U64::default(),
            pid: M::U64::default(),
            process_generation: M::U64::default(),
            verdict: M::U64::default(),
        }
    }
}

shared!(Runner<M> {
    own, own_acked, gate, progress, extended_at, group_times, own_times, claimed, ended,
    activity_since, joined, pid, process_generation, verdict
});
shared!(Texts<M> { id, activity, last_words, cause, reason });
