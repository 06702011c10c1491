//! What an initiator wants beyond the control word: who it is, shares, cap.
//!
//! The record is claimed and filled *before* the control word starts the shutdown, so
//! whoever sees the shutdown normally finds it ready. It is advice: if its writer dies
//! half-way the defaults apply, and a claim of a dead writer is taken over.
//!
//! ```text
//! tag: [ process + 1 :16 | - :14 | state:2 | epoch:32 (24 used) ]
//! ```

use core::sync::atomic::Ordering;

use crate::limits;
use crate::segment::shared;
use crate::sync::{Mem, Word};

const WRITING: u64 = 1;
pub(super) const READY: u64 = 2;

/// The claimable record. The reason's text stands beside it in the text table.
#[repr(C)]
pub(crate) struct Request<M: Mem> {
    pub(super) tag: M::U64,
    /// Three shares of 16 bits, in per mille; like the next two under 16 bits of epoch.
    pub(super) shares: M::U64,
    cap_millis: M::U64,
    /// Process id of the initiator as it sees itself, for people.
    pid: M::U64,
}

/// The terms that hold for one shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) shares: [u16; 3],
    /// Zero: no more than the budget.
    pub(crate) cap_millis: u64,
    /// Zero: not known.
    pub(crate) pid: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            shares: limits::DEFAULT_SHARES,
            cap_millis: 0,
            pid: 0,
        }
    }
}

impl<M: Mem> Request<M> {
    /// Claims the record for `epoch` on behalf of `process` and fills it; `text` writes
    /// the reason while the claim is held. Does nothing when a living process was first.
    pub(crate) fn propose(
        &self,
        epoch: u32,
        process: usize,
        terms: Terms,
        is_alive: impl Fn(usize) -> bool,
        text: impl FnOnce(),
    ) {
        let tag = self.tag.load(Ordering::Acquire);
        if epoch_of(tag) == epoch && state_of(tag) != 0 {
            // Of this process: another of its threads, or the one that this signal
            // handler interrupted, was first.
            let first = (tag >> 48) as usize;
            if first == process + 1 || first != 0 && is_alive(first - 1) {
                return;
            }
        }
        let claim = make(epoch, WRITING, process);
        if self
            .tag
            .compare_exchange(tag, claim, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            return;
        }
        let shares = terms.shares.iter().rev();
        let packed = shares.fold(0, |all, share| all << 16 | u64::from(*share));
        // Each word bears the epoch: if we are stopped here until the next shutdown,
        // what we store then is not taken for that one's.
        let mark = u64::from(epoch & 0xffff) << 48;
        self.shares.store(mark | packed, Ordering::Relaxed);
        let cap = terms.cap_millis.min(u64::from(u32::MAX));
        self.cap_millis.store(mark | cap, Ordering::Relaxed);
        self.pid
            .store(mark | u64::from(terms.pid), Ordering::Relaxed);
        text();
        // A failure means that the epoch is over or that we were taken for dead.
        let _ = self.tag.compare_exchange(
            claim,
            make(epoch, READY, process),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    /// Whether the record (and the text beside it) is whole and of this epoch.
    pub(crate) fn is_ready(&self, epoch: u32) -> bool {
        let tag = self.tag.load(Ordering::Acquire);
        epoch_of(tag) == epoch && state_of(tag) == READY
    }

    /// The terms of the shutdown of `epoch`; defaults where none were left.
    pub(crate) fn terms(&self, epoch: u32) -> Terms {
        if !self.is_ready(epoch) {
            return Terms::default();
        }
        let packed = self.shares.load(Ordering::Relaxed);
        let cap = self.cap_millis.load(Ordering::Relaxed);
        let pid = self.pid.load(Ordering::Relaxed);
        let terms = Terms {
            shares: core::array::from_fn(|i| (packed >> (16 * i)) as u16),
            cap_millis: u64::from(cap as u32),
            pid: pid as u32,
        };
        let is_ours = [packed, cap, pid]
            .iter()
            .all(|word| word >> 48 == u64::from(epoch & 0xffff));
        M::fence(Ordering::Acquire);
        // A taken-over claim may have been rewritten under us.
        let sum: u32 = terms.shares.iter().map(|share| u32::from(*share)).sum();
        if self.is_ready(epoch) && is_ours && sum == 1000 {
            terms
        } else {
            Terms::default()
        }
    }
}

fn make(epoch: u32, state: u64, process: usize) -> u64 {
    ((process + 1) as u64) << 48 | state << 32 | u64::from(epoch)
}
pub(super) fn epoch_of(tag: u64) -> u32 {
    tag as u32
}
pub(super) fn state_of(tag: u64) -> u64 {
    tag >> 32 & 0b11
}

impl<M: Mem> Default for Request<M> {
    fn default() -> Self {
        Self {
            tag: M::U64::default(),
            shares: M::U64::default(),
            cap_millis: M::U64::default(),
            pid: M::U64::default(),
        }
    }
}

shared!(Request<M> { tag, shares, cap_millis, pid });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    const TERMS: Terms = Terms {
        shares: [200, 300, 500],
        cap_millis: 5000,
        pid: 77,
    };

    fn dead(_process: usize) -> bool {
        false
    }

    fn alive(_process: usize) -> bool {
        true
    }

    #[test]
    fn the_first_living_initiator_of_an_epoch_sets_the_terms() {
        let request = Request::<Real>::default();
        assert_eq!(
            (request.is_ready(0), request.terms(0)),
            (false, Terms::default())
        );
        let mut is_written = false;
        request.propose(9, 4, TERMS, alive, || is_written = true);
        assert!(is_written && request.is_ready(9) && !request.is_ready(8));
        assert_eq!(
            (request.terms(9), request.terms(8)),
            (TERMS, Terms::default())
        );
        let other = Terms { pid: 5, ..TERMS };
        request.propose(9, 5, other, alive, || panic!("it was late"));
        request.propose(9, 4, other, dead, || panic!("it was this process itself"));
        assert_eq!(request.terms(9), TERMS);
        request.propose(9, 5, other, |first| first != 4, || ());
        assert_eq!(request.terms(9), other, "the first one died");
        request.propose(10, 4, TERMS, alive, || ());
        assert_eq!(
            (request.terms(10), request.terms(9)),
            (TERMS, Terms::default())
        );
    }

    #[test]
    fn a_claim_that_was_never_filled_is_taken_over_and_says_nothing() {
        let request = Request::<Real>::default();
        request.tag.store(make(9, WRITING, 4), Ordering::Relaxed);
        assert_eq!(
            (request.is_ready(9), request.terms(9)),
            (false, Terms::default())
        );
        request.propose(9, 5, TERMS, alive, || panic!("it is being filled"));
        request.propose(9, 5, TERMS, dead, || ());
        assert_eq!(request.terms(9), TERMS);
        // One that was taken for dead, or is of an epoch that is over, publishes nothing.
        let claimed = || request.tag.store(make(11, WRITING, 6), Ordering::Relaxed);
        request.propose(10, 5, TERMS, alive, claimed);
        assert_eq!(request.tag.load(Ordering::Relaxed), make(11, WRITING, 6));
        // By nobody: no release writes it, and nobody is asked whether nobody lives.
        request.tag.store(1 << 32 | 11, Ordering::Relaxed);
        request.propose(11, 5, TERMS, |_| panic!("of nobody"), || ());
        assert_eq!(request.terms(11), TERMS);
    }

    #[test]
    fn terms_that_do_not_add_up_or_are_of_another_epoch_are_the_usual_ones() {
        let request = Request::<Real>::default();
        let shares = [200, 300, 501];
        request.propose(9, 4, Terms { shares, ..TERMS }, alive, || ());
        assert!(request.is_ready(9));
        assert_eq!(request.terms(9), Terms::default());
        for word in [&request.shares, &request.cap_millis, &request.pid] {
            request.propose(10, 4, TERMS, alive, || ());
            assert_eq!(request.terms(10), TERMS);
            word.store(word.load(Ordering::Relaxed) ^ 1 << 48, Ordering::Relaxed);
            assert_eq!(request.terms(10), Terms::default());
            request.tag.store(0, Ordering::Relaxed);
        }
        let cap_millis = u64::MAX;
        request.propose(
            12,
            4,
            Terms {
                cap_millis,
                ..TERMS
            },
            alive,
            || (),
        );
        assert_eq!(request.terms(12).cap_millis, u64::from(u32::MAX));
    }
}
