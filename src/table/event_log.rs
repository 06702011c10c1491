//! A named event: how it resets, its level, and what its latest sets said.
//!
//! A setter takes the robust writer lock of the event, fills the entry of the next
//! sequence number, and publishes number, level and entry by one store of the event's
//! word. Killed before that store it has done nothing but spoil the oldest entry, which
//! that number would have replaced; killed after, it has set the event. A dead owner's
//! lock is taken over by the next setter, who needs to repair nothing: the number is
//! read from the event's word again.
//!
//! Readers take no lock. An entry has a stamp: 0 while it is written, then its number.
//! A reader wants a number that is published, copies, and looks at the stamp again: if
//! that is not the number, the entry has been (or is being) replaced, and the reader says
//! that it missed it. The fences are those of `sync/latch.rs`.
//!
//! Models: `loom_tests/event_log.rs`.

use core::sync::atomic::Ordering;

use crate::limits::{EVENT_PAYLOAD_BYTES, EVENT_RING, READ_TRIES};
use crate::segment::shared;
use crate::sync::event::{Event, Goal};
use crate::sync::mutex::{Mutex, NotLocked};
use crate::sync::{Env, Mem, Owner, Word};

use super::Corrupt;

const BYTES_PER_WORD: usize = size_of::<u64>();
const PAYLOAD_WORDS: usize = EVENT_PAYLOAD_BYTES / BYTES_PER_WORD;
const BEING_WRITTEN: u64 = 0;

/// How an event is cleared; 0 in the segment: nobody has said so yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Resets {
    ByHand = 1,
    ByItself = 2,
}

/// What one set says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// What the layer above means by it.
    pub(crate) kind: u64,
    /// When, in microseconds.
    pub(crate) at: u64,
    pub(crate) payload: Vec<u8>,
}

#[repr(C)]
pub(crate) struct Entry<M: Mem> {
    /// Its sequence number; 0 while it is written.
    pub(super) stamp: M::U64,
    kind: M::U64,
    pub(super) at: M::U64,
    pub(super) length: M::U64,
    payload: [M::U64; PAYLOAD_WORDS],
}

/// One event with its ring of `N` entries.
#[repr(C)]
pub(crate) struct EventLog<M: Mem, const N: usize = EVENT_RING> {
    pub(super) resets: M::U64,
    pub(crate) event: Event<M>,
    writer: Mutex<M>,
    pub(super) entries: [Entry<M>; N],
}

/// What a reader finds after the number it saw last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    Said(u64, Said),
    /// So many were replaced before they were read; the next to read follows this number.
    Missed {
        missed: u64,
        seen: u64,
    },
}

impl<M: Mem, const N: usize> EventLog<M, N> {
    /// Fixes how it resets, if nobody has. Answers how it does.
    pub(crate) fn fix(&self, wanted: Resets) -> Result<Resets, Corrupt> {
        let fixed =
            self.resets
                .compare_exchange(0, wanted as u64, Ordering::AcqRel, Ordering::Acquire);
        match fixed {
            Ok(_) => Ok(wanted),
            Err(_) => self.resets().map(|resets| resets.unwrap_or(wanted)),
        }
    }

    /// How it resets, if that is fixed.
    pub(crate) fn resets(&self) -> Result<Option<Resets>, Corrupt> {
        match self.resets.load(Ordering::Acquire) {
            0 => Ok(None),
            1 => Ok(Some(Resets::ByHand)),
            2 => Ok(Some(Resets::ByItself)),
            _ => Err(Corrupt("event: unknown kind of reset")),
        }
    }

    /// What a wait for it is for, that begins now.
    pub(crate) fn goal(&self) -> Result<Goal, Corrupt> {
        Ok(match self.resets()? {
            Some(Resets::ByItself) => Goal::Take,
            _ => self.event.goal_from_now(),
        })
    }

    /// Sets the event; answers the sequence number. Waits for another living setter in
    /// the middle of this, until `until` at most.
    pub(crate) fn set(
        &self,
        kind: u64,
        payload: &[u8],
        me: Owner,
        env: &impl Env<M>,
        until: u64,
    ) -> Result<u64, NotLocked> {
        let acquired = self.writer.lock(me, env, until)?;
        if acquired.previous_owner_died {
            // Nothing to repair, see above.
            self.writer.mark_consistent(me);
        }
        let next = self.event.sequence().wrapping_add(1);
        if let Some(entry) = self.entry(next) {
            entry.write(next, kind, payload, env.now());
        }
        let number = self.event.set();
        let _ = self.writer.unlock(me);
        Ok(number)
    }

    /// What follows the number `seen`.
    pub(crate) fn after(&self, seen: u64) -> Result<After, Corrupt> {
        let head = self.event.sequence();
        if head < seen {
            return Err(Corrupt("event: its sequence went backwards"));
        }
        if head == seen {
            return Ok(After::Nothing);
        }
        let next = seen + 1;
        let oldest = head.saturating_sub(N as u64 - 1).max(1);
        if next < oldest {
            return Ok(After::Missed {
                missed: oldest - next,
                seen: oldest - 1,
            });
        }
        Ok(match self.entry(next).and_then(|entry| entry.read(next)) {
            Some(said) => After::Said(next, said),
            // It was replaced just now, or a setter died while it replaced it.
            None => After::Missed {
                missed: 1,
                seen: next,
            },
        })
    }

    /// The latest set, if there was any.
    pub(crate) fn latest(&self) -> Result<Option<(u64, Said)>, Corrupt> {
        // It is replaced only by the set that comes N later.
        for _ in 0..READ_TRIES {
            let head = self.event.sequence();
            if head == 0 {
                return Ok(None);
            }
            if let Some(said) = self.entry(head).and_then(|entry| entry.read(head)) {
                return Ok(Some((head, said)));
            }
        }
        Err(Corrupt("event: its latest entry has another number"))
    }

    /// The lock of its setters, for the reaper.
    pub(crate) fn writer(&self) -> &Mutex<M> {
        &self.writer
    }

    fn entry(&self, number: u64) -> Option<&Entry<M>> {
        self.entries.get((number % N as u64) as usize)
    }
}

impl<M: Mem> Entry<M> {
    /// By the holder of the writer lock.
    fn write(&self, number: u64, kind: u64, payload: &[u8], at: u64) {
        self.stamp.store(BEING_WRITTEN, Ordering::Relaxed);
        // SYNC POINT entry-reuse (models: loom_tests/event_log.rs): pairs with `read`.
        M::fence(Ordering::Release);
        self.kind.store(kind, Ordering::Relaxed);
        self.at.store(at, Ordering::Relaxed);
        let payload = &payload[..payload.len().min(EVENT_PAYLOAD_BYTES)];
        self.length.store(payload.len() as u64, Ordering::Relaxed);
        for (word, chunk) in self.payload.iter().zip(payload.chunks(BYTES_PER_WORD)) {
            let mut raw = [0; BYTES_PER_WORD];
            raw[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(raw), Ordering::Relaxed);
        }
        self.stamp.store(number, Ordering::Release);
    }

    /// The entry, if it is whole and of this number.
    fn read(&self, number: u64) -> Option<Said> {
        if self.stamp.load(Ordering::Acquire) != number {
            return None;
        }
        let kind = self.kind.load(Ordering::Relaxed);
        let at = self.at.load(Ordering::Relaxed);
        let length = self.length.load(Ordering::Relaxed);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let length = length.min(EVENT_PAYLOAD_BYTES);
        let mut payload = Vec::with_capacity(EVENT_PAYLOAD_BYTES);
        for word in &self.payload[..length.div_ceil(BYTES_PER_WORD)] {
            payload.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        payload.truncate(length);
        // SYNC POINT entry-reuse (models: loom_tests/event_log.rs): pairs with `write`.
        M::fence(Ordering::Acquire);
        let whole = self.stamp.load(Ordering::Relaxed) == number;
        whole.then_some(Said { kind, at, payload })
    }
}

#[cfg(test)]
impl<M: Mem, const N: usize> Default for EventLog<M, N> {
    fn default() -> Self {
        Self {
            resets: M::U64::default(),
            event: Event::default(),
            writer: Mutex::default(),
            entries: core::array::from_fn(|_| Entry {
                stamp: M::U64::default(),
                kind: M::U64::default(),
                at: M::U64::default(),
                length: M::U64::default(),
                payload: core::array::from_fn(|_| M::U64::default()),
            }),
        }
    }
}

shared!(Entry<M> { stamp, kind, at, length, payload });
shared!(EventLog<M, const N> { resets, event, writer, entries });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;
    use crate::table::known::{Known, owner};

    const NEVER: u64 = u64::MAX;

    type Log = EventLog<Real, 4>;

    fn set(log: &Log, env: &Known, payload: &[u8]) -> u64 {
        env.now.set(env.now.get() + 10);
        log.set(7, payload, owner(1), env, NEVER).unwrap()
    }

    fn said(at: u64, payload: &[u8]) -> Said {
        let payload = payload.to_vec();
        Said {
            kind: 7,
            at,
            payload,
        }
    }

    #[test]
    fn how_it_resets_is_fixed_once() {
        let log = Log::default();
        assert_eq!(log.resets(), Ok(None));
        assert_eq!(log.goal(), Ok(log.event.goal_from_now()));
        assert_eq!(log.fix(Resets::ByItself), Ok(Resets::ByItself));
        assert_eq!(log.fix(Resets::ByHand), Ok(Resets::ByItself));
        assert_eq!(
            (log.resets(), log.goal()),
            (Ok(Some(Resets::ByItself)), Ok(Goal::Take))
        );
        let by_hand = Log::default();
        assert_eq!(by_hand.fix(Resets::ByHand), Ok(Resets::ByHand));
        assert_eq!(by_hand.goal(), Ok(log.event.goal_from_now()));
        log.resets.store(3, Ordering::Relaxed);
        assert!(log.fix(Resets::ByHand).is_err() && log.goal().is_err());
    }

    #[test]
    fn sets_are_told_in_order_until_they_are_replaced() {
        let (log, env) = (Log::default(), Known::default());
        assert_eq!((log.latest(), log.after(0)), (Ok(None), Ok(After::Nothing)));
        for number in 1..=4 {
            assert_eq!(set(&log, &env, &[number as u8]), number);
        }
        for number in 1..=4 {
            let expected = said(10 * number, &[number as u8]);
            assert_eq!(log.after(number - 1), Ok(After::Said(number, expected)));
        }
        assert_eq!(log.after(4), Ok(After::Nothing));
        assert_eq!(log.latest(), Ok(Some((4, said(40, &[4])))));
        assert!(log.after(5).is_err(), "nobody has seen what was not yet");
        set(&log, &env, &[5]);
        set(&log, &env, &[6]);
        let missed = |missed, seen| Ok(After::Missed { missed, seen });
        assert_eq!(log.after(0), missed(2, 2));
        assert_eq!(log.after(1), missed(1, 2));
        assert_eq!(log.after(2), Ok(After::Said(3, said(30, &[3]))));
    }

    #[test]
    fn payloads_of_every_length_come_back_and_longer_ones_are_cut() {
        let (log, env) = (Log::default(), Known::default());
        let bytes: Vec<u8> = (1..=EVENT_PAYLOAD_BYTES + 1).map(|at| at as u8).collect();
        for length in 0..=bytes.len() {
            let number = set(&log, &env, &bytes[..length]);
            let kept = &bytes[..length.min(EVENT_PAYLOAD_BYTES)];
            let expected = said(10 * number, kept);
            assert_eq!(log.latest(), Ok(Some((number, expected))));
        }
    }

    #[test]
    fn a_setter_that_died_has_spoilt_the_oldest_and_the_next_one_goes_on() {
        let (log, env) = (Log::default(), Known::default());
        for number in 1..=4 {
            set(&log, &env, &[number]);
        }
        assert!(log.writer.try_lock(owner(2), &env).is_ok());
        env.dead.set(Some(owner(2)));
        log.entry(5)
            .unwrap()
            .stamp
            .store(BEING_WRITTEN, Ordering::Relaxed);
        let missed = After::Missed { missed: 1, seen: 1 };
        assert_eq!(log.after(0), Ok(missed));
        assert_eq!(set(&log, &env, &[5]), 5);
        assert_eq!(log.latest(), Ok(Some((5, said(50, &[5])))));
        assert!(
            !log.writer
                .try_lock(owner(1), &env)
                .unwrap()
                .previous_owner_died
        );
    }

    #[test]
    fn an_entry_that_says_another_number_is_told_as_corrupt() {
        let (log, env) = (Log::default(), Known::default());
        set(&log, &env, b"x");
        log.entry(1).unwrap().stamp.store(9, Ordering::Relaxed);
        assert!(log.latest().is_err());
        log.entry(1).unwrap().stamp.store(1, Ordering::Relaxed);
        log.entry(1)
            .unwrap()
            .length
            .store(u64::MAX, Ordering::Relaxed);
        let (_, told) = log.latest().unwrap().unwrap();
        assert_eq!(told.payload.len(), EVENT_PAYLOAD_BYTES);
    }
}
