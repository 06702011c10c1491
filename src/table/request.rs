//! What an initiator wants beyond the control word: who it is, shares, cap, reason.
//!
//! The record is claimed and filled *before* the control word starts the shutdown, so
//! whoever sees the shutdown normally finds it ready. It is advice: if its writer dies
//! half-way the defaults apply, and a claim of a dead writer is taken over.
//!
//! ```text
//! tag:    [ process generation:11 | process + 1 :11 | state:2 | epoch:40 ]
//! shares: [ -:4 | the second:10 | the first:10 | epoch:40 ]   (the third is the rest)
//! cap:    [ milliseconds:24 | epoch:40 ]
//! pid:    [ -:2 | pid:22 | epoch:40 ]
//! mark:   [ hash of the reason's text:24 | epoch:40 ]
//! ```
//!
//! # Why a stopped initiator does no harm
//! It may be stopped anywhere, while its shutdown passes and later ones begin.
//! - *Before it claims.* It loads the tag, then asks whether the control word is Running
//!   in its epoch, then swaps the tag, and begins again if the swap fails. If the epoch
//!   passes after the question and the next initiator has claimed, the swap fails, and the
//!   next question ends it; else the claim is of an epoch that is over, and the next
//!   initiator claims over it, again if it was just about to.
//! - *While it fills.* It loads a word, then asks whether the tag is its claim, then swaps
//!   the word ([`Request::put`]). A newer initiator moves the tag before it touches a
//!   word, and tries each word again until its own value is in it. So the late swap either
//!   comes before the newer one's, or fails, and then the tag ends it: after the newer one
//!   is READY no swap of an older one succeeds, as what it loaded is gone. Words bear
//!   their epoch, so a value does not come back ([`width::EPOCH`]). The text's words do
//!   not; see `reason.rs`.
//! - *Before it publishes.* The swap of the tag from its claim fails.
//!
//! Readers take the words only if the tag is READY in their epoch, the same before and
//! after, and each word bears that epoch. Models: `loom_tests/terms.rs`.

use core::sync::atomic::Ordering;

use crate::limits;
use crate::segment::shared;
use crate::sync::{Mem, Next, Word};
use crate::width;

use super::control::EPOCH_MASK;
use super::millis::Millis;
use super::reason::{HASH, Reason, Stored};

const WRITING: u64 = 1;
pub(super) const READY: u64 = 2;
const STATE_SHIFT: u32 = 40;
const STATE: u64 = 0b11;
const PROCESS_SHIFT: u32 = 42;
const PROCESS: u64 = width::mask(11);
const GENERATION_SHIFT: u32 = 53;
/// Low bits of the generation of the claimant's process slot: see the width.
const GENERATION: u64 = width::mask(width::REQUEST_PROCESS);
/// What a word says beside its epoch.
const VALUE_SHIFT: u32 = 40;
const SHARE: u32 = 10;
const PID: u64 = width::mask(22);

const _: () = assert!(width::EPOCH <= VALUE_SHIFT && VALUE_SHIFT + HASH == u64::BITS);
const _: () = assert!(limits::MAX_PROCESSES < PROCESS as usize);

/// The claimable record. The reason's text stands beside it in the text table.
#[repr(C)]
pub(crate) struct Request<M: Mem> {
    pub(super) tag: M::U64,
    pub(super) shares: M::U64,
    pub(super) cap: M::U64,
    /// Process id of the initiator as it sees itself, for people.
    pub(super) pid: M::U64,
    pub(super) mark: M::U64,
}

/// The terms that hold for one shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) shares: [u16; 3],
    /// Zero: no more than the budget. Rounded down to what can be written.
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

/// The process on whose behalf a record is claimed: its slot and the low bits of the
/// slot's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proposer {
    pub(crate) process: usize,
    generation: u64,
}

impl Proposer {
    pub(crate) const fn new(process: usize, generation: u64) -> Self {
        Self {
            process,
            generation: generation & GENERATION,
        }
    }
}

impl<M: Mem> Request<M> {
    /// Claims the record for `epoch` on behalf of `me` and fills it and the text. Does
    /// nothing when a living process was first, or when `is_running` says that the scope
    /// is not Running in this epoch (any more).
    pub(crate) fn propose(
        &self,
        epoch: u64,
        me: Proposer,
        terms: Terms,
        (reason, text): (&Reason<M>, &str),
        is_alive: impl Fn(Proposer) -> bool,
        is_running: impl Fn() -> bool,
    ) {
        let Some(claim) = self.claim(epoch, me, is_alive, is_running) else {
            return;
        };
        if self.fill(claim, terms, (reason, text)) {
            self.publish(claim);
        }
    }

    /// The tag of a claim that is this call's.
    pub(super) fn claim(
        &self,
        epoch: u64,
        me: Proposer,
        is_alive: impl Fn(Proposer) -> bool,
        is_running: impl Fn() -> bool,
    ) -> Option<u64> {
        let claim = make(epoch, WRITING, me);
        // Again when it moves: one that was stopped may have claimed for an epoch that is
        // over, and that takes no terms from this one.
        self.tag.update(|tag| {
            if epoch_of(tag) == epoch_of(claim) && state_of(tag) != 0 {
                // Of this process: another of its threads, or the one that this signal
                // handler interrupted, was first.
                let first = proposer_of(tag);
                if first.is_some_and(|first| first == me || is_alive(first)) {
                    return Next::Leave(None);
                }
            }
            // After the load: a process that claims later moves the tag.
            match is_running() {
                true => Next::Store(claim, Some(claim)),
                false => Next::Leave(None),
            }
        })
    }

    /// Fills all words in; false if the claim was lost.
    pub(super) fn fill(&self, claim: u64, terms: Terms, text: (&Reason<M>, &str)) -> bool {
        let (reason, text) = (text.0, Stored::of(text.1));
        let [first, second, _] = terms
            .shares
            .map(|share| u64::from(share) & width::mask(SHARE));
        let values = [
            (&self.shares, first | second << SHARE),
            (&self.cap, Millis::<21>::of(terms.cap_millis).raw()),
            (&self.pid, u64::from(terms.pid) & PID),
        ];
        let under = |value: u64| value << VALUE_SHIFT | epoch_of(claim);
        for (word, value) in values {
            if !self.put(claim, word, under(value)) {
                return false;
            }
        }
        for (word, value) in reason.words(&text) {
            if !self.put(claim, word, value) {
                return false;
            }
        }
        self.put(claim, &self.mark, under(text.hash()))
    }

    /// Puts a value into a word; false if the claim was lost.
    pub(super) fn put(&self, claim: u64, word: &M::U64, value: u64) -> bool {
        // After each load of the word: a process that claims later moves the tag first.
        word.update(|_| match self.tag.load(Ordering::Acquire) == claim {
            true => Next::Store(value, true),
            false => Next::Leave(false),
        })
    }

    /// Makes what was filled in readable. Fails when the epoch is over or another process
    /// took this one for dead.
    pub(super) fn publish(&self, claim: u64) {
        let ready = claim & !(STATE << STATE_SHIFT) | READY << STATE_SHIFT;
        let _ = self
            .tag
            .compare_exchange(claim, ready, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The tag, if the record is complete and of this epoch.
    fn ready(&self, epoch: u64) -> Option<u64> {
        let tag = self.tag.load(Ordering::Acquire);
        (epoch_of(tag) == epoch & EPOCH_MASK && state_of(tag) == READY).then_some(tag)
    }

    /// Whether the record is complete and of this epoch.
    #[cfg(test)]
    pub(crate) fn is_ready(&self, epoch: u64) -> bool {
        self.ready(epoch).is_some()
    }

    /// What `read` copies while the record is complete, of this epoch, and the same.
    fn read<T>(&self, epoch: u64, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let before = self.ready(epoch)?;
        let copied = read();
        M::fence(Ordering::Acquire);
        copied.filter(|_| self.ready(epoch) == Some(before))
    }

    fn value(word: &M::U64, epoch: u64) -> Option<u64> {
        let raw = word.load(Ordering::Relaxed);
        (epoch_of(raw) == epoch & EPOCH_MASK).then_some(raw >> VALUE_SHIFT)
    }

    /// The terms of the shutdown of `epoch`; defaults where none were left.
    pub(crate) fn terms(&self, epoch: u64) -> Terms {
        let terms = self.read(epoch, || {
            let shares = Self::value(&self.shares, epoch)?;
            let [first, second] = [shares, shares >> SHARE].map(|it| it & width::mask(SHARE));
            let third = 1000_u64.checked_sub(first + second)?;
            Some(Terms {
                shares: [first, second, third].map(|share| share as u16),
                cap_millis: Millis::<21>::from_raw(Self::value(&self.cap, epoch)?).get(),
                pid: (Self::value(&self.pid, epoch)? & PID) as u32,
            })
        });
        terms.unwrap_or_default()
    }

    /// The reason's text of the shutdown of `epoch`; `None` if none was left, or if it is
    /// not what its initiator wrote.
    pub(crate) fn text(&self, epoch: u64, reason: &Reason<M>) -> Option<String> {
        let copied = self.read(epoch, || {
            let hash = Self::value(&self.mark, epoch)?;
            reason.copy().filter(|text| text.hash() == hash)
        });
        Some(copied?.read())
    }
}

fn make(epoch: u64, state: u64, by: Proposer) -> u64 {
    epoch & EPOCH_MASK
        | state << STATE_SHIFT
        | (by.process as u64 + 1) << PROCESS_SHIFT
        | by.generation << GENERATION_SHIFT
}
/// The epoch in a tag, or in a word of the terms.
pub(super) fn epoch_of(word: u64) -> u64 {
    word & EPOCH_MASK
}
pub(super) fn state_of(tag: u64) -> u64 {
    tag >> STATE_SHIFT & STATE
}
/// The claimant; `None` for a tag that names none.
pub(super) fn proposer_of(tag: u64) -> Option<Proposer> {
    let process = (tag >> PROCESS_SHIFT & PROCESS) as usize;
    Some(Proposer::new(
        process.checked_sub(1)?,
        tag >> GENERATION_SHIFT,
    ))
}
/// Bits of a tag that no release sets.
pub(super) fn unused_of(tag: u64) -> u64 {
    let known = EPOCH_MASK
        | STATE << STATE_SHIFT
        | PROCESS << PROCESS_SHIFT
        | GENERATION << GENERATION_SHIFT;
    tag & !known
}
/// Whether shares, as a word of the terms has them, add up to no more than all.
pub(super) fn are_shares(word: u64) -> bool {
    let shares = word >> VALUE_SHIFT;
    (shares & width::mask(SHARE)) + (shares >> SHARE) <= 1000
}

impl<M: Mem> Default for Request<M> {
    fn default() -> Self {
        Self {
            tag: M::U64::default(),
            shares: M::U64::default(),
            cap: M::U64::default(),
            pid: M::U64::default(),
            mark: M::U64::default(),
        }
    }
}

shared!(Request<M> { tag, shares, cap, pid, mark });
