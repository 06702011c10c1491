//! What the holder of a process slot says of itself, and the inbox of its keeper.

use core::sync::atomic::Ordering;

use crate::sync::mem::ALL;
use crate::sync::{Mem, Next, Word};
use crate::width;

use super::{ProcessWord, Processes};

/// In the inbox: another process found that the holder has lost its life byte.
pub(crate) const LOCK_LOST: u32 = 1;
/// In the inbox: the holder has an order for its keeper.
pub(crate) const ORDER: u32 = 1 << 1;

/// Who the holder of a slot is, as it sees itself: for people, for signals, and as a sign of
/// life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Zero if it is not known.
    pub(crate) start_time: u64,
    /// Inode of the pid namespace; zero if it is not known.
    pub(crate) pid_namespace: u64,
}

const PID_BITS: u32 = 22;
const START_BITS: u32 = 40;
const NAMESPACE_BITS: u32 = 32;

/// A number with low bits of a generation above it; zero for a number that is too large.
const fn tagged(number: u64, bits: u32, generation: u64) -> u64 {
    let number = if number > width::mask(bits) {
        0
    } else {
        number
    };
    number | generation << bits
}

/// The number, if it bears this generation.
const fn untagged(raw: u64, bits: u32, generation: u64) -> Option<u64> {
    if raw >> bits == generation << bits >> bits {
        Some(raw & width::mask(bits))
    } else {
        None
    }
}

impl<M: Mem, const N: usize> Processes<M, N> {
    /// The holder of a slot under `word` says who it is. Nothing is written once it was
    /// swept.
    pub(crate) fn identify(&self, slot: usize, word: ProcessWord, identity: Identity) {
        let Some(process) = self.0.get(slot) else {
            return;
        };
        let generation = word.generation();
        let pid = tagged(identity.pid.into(), PID_BITS, generation);
        let start = tagged(identity.start_time, START_BITS, generation);
        let namespace = tagged(identity.pid_namespace, NAMESPACE_BITS, generation);
        let numbers = [
            (&process.pid, pid),
            (&process.start_time, start),
            (&process.pid_namespace, namespace),
        ];
        for (cell, number) in numbers {
            // The next holder's number bears its generation, so this one never follows it.
            cell.update(|_| match self.word(slot) == word {
                true => Next::Store(number, ()),
                false => Next::Leave(()),
            });
        }
    }

    /// Who the holder of a slot under `word` is, if it has said so.
    pub(crate) fn identity(&self, slot: usize, word: ProcessWord) -> Option<Identity> {
        let process = self.0.get(slot)?;
        let generation = word.generation();
        let number = |cell: &M::U64, bits| untagged(cell.load(Ordering::Acquire), bits, generation);
        Some(Identity {
            pid: number(&process.pid, PID_BITS)? as u32,
            start_time: number(&process.start_time, START_BITS)?,
            pid_namespace: number(&process.pid_namespace, NAMESPACE_BITS)?,
        })
    }

    /// Who the present holder of a slot is, if it has said so.
    pub(crate) fn present(&self, slot: usize) -> Option<Identity> {
        self.identity(slot, self.word(slot))
    }

    /// The pid of a slot's latest holder, as that one saw itself; for people.
    pub(crate) fn pid(&self, slot: usize) -> u32 {
        let raw = self.0.get(slot).map(|p| p.pid.load(Ordering::Relaxed));
        raw.map_or(0, |raw| (raw & width::mask(PID_BITS)) as u32)
    }

    /// The futex of a slot's keeper: see [`take_inbox`](Self::take_inbox).
    pub(crate) fn inbox(&self, slot: usize) -> Option<&M::U32> {
        self.0.get(slot).map(|process| &process.inbox)
    }

    /// Puts a message into a keeper's inbox, and wakes it. Async-signal-safe. A message for a
    /// holder that is gone makes the next one look once more.
    pub(crate) fn send(&self, slot: usize, message: u32) {
        if let Some(inbox) = self.inbox(slot) {
            // SYNC POINT inbox: what the keeper is to look at was stored before.
            inbox.fetch_or(message, Ordering::Release);
            M::wake(M::cell(inbox), ALL);
        }
    }

    /// Empties the own inbox; the keeper then checks everything, and sleeps while it is
    /// empty.
    pub(crate) fn take_inbox(&self, slot: usize) -> u32 {
        // SYNC POINT inbox: pairs with `send`.
        self.inbox(slot)
            .map_or(0, |inbox| inbox.update(|word| Next::Store(0, word)))
    }

    /// The holder under `word` publishes whether it lives without its life byte from now on.
    pub(crate) fn set_lockless(&self, slot: usize, word: ProcessWord, is_lockless: bool) {
        if let Some(process) = self.0.get(slot) {
            process
                .lockless
                .update(|seen| match (seen == word.raw(), is_lockless) {
                    (false, true) if self.word(slot) == word => Next::Store(word.raw(), ()),
                    (true, false) => Next::Store(0, ()),
                    _ => Next::Leave(()),
                });
        }
    }

    /// Whether the holder of a slot has published that it lives without its life byte.
    pub(crate) fn is_lockless(&self, slot: usize) -> bool {
        let word = self.word(slot);
        let said = self.0.get(slot).map(|p| p.lockless.load(Ordering::Relaxed));
        word.is_live() && said == Some(word.raw())
    }
}
