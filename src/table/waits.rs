//! Who waits for which lock, and the look for deadlocks.
//!
//! One word per thread slot, written by the thread that waits:
//! ```text
//! word: [ thread generation:16 | sequence:38 | VICTIM:1 | lock index + 1 :9 ]
//! ```
//! No lock: not waiting. The sequence moves with every wait, also from one holder of the
//! slot to the next, so a word that was read twice was *one* wait in between: it
//! comes back after 2^38 waits, 6 days (`width::WAIT`).
//!
//! The generation is the low bits of the waiter's (`width::WAIT_THREAD`), a sign for readers
//! and no proof, for it wraps in 3 s of attaching and ending. It need not be one: a
//! thread's wait is cleared before its slot is freed, by the one that frees it.
//!
//! # A step that comes late
//! - A thread writes its own slot's word by plain stores: nobody else publishes there while
//!   it lives, and a mark that a store wipes out was one of an earlier wait.
//! - Clearing a dead thread's wait (`clear_dead`, `settle`): load the word; then ask whether
//!   the slot still is the dead one's; then compare-and-swap. If the slot has gone on before
//!   the question, nothing is done; if after, its wait was cleared before, so the word has
//!   moved. Models: `loom_tests/ended.rs`, with a must-fail variant that stores.
//! - A mark goes to exactly the wait that was seen. If it has come back, another wait is
//!   marked, and that thread searches itself, finds no cycle and sleeps again.
//! - The second walk accepts a wait that is over only if its word has come back, in the
//!   instant of that walk: then a deadlock that has just ended may be reported to a thread.
//!
//! # The look
//! Only a thread that is about to sleep publishes its wait; then it fences and follows
//! owner → wanted lock → owner …, until the way ends or leads back to itself. The way
//! back is taken for a deadlock if no member is dead and a second walk reads the same
//! words: then all these waits stood at the instant between the walks, and as a thread
//! that waits neither takes nor frees another lock, all of them owned what the walk saw.
//!
//! # Somebody sees it
//! Every member owns its lock before it publishes its wait, and fences after. The member
//! whose fence is the last of all sees the waits and the owners of all others: it sees
//! the whole cycle. Twin: `loom_tests/deadlock.rs` without the fence.
//!
//! # One victim
//! A thread waits for one lock, and a lock has one owner: a thread is on one cycle at
//! most, and all members agree on the highest (slot, generation), from whole names. Only
//! that one gives up, and only when its own search finds the cycle. A thread that finds a
//! cycle and is not its victim sets VICTIM in exactly the wait seen and wakes that word: the
//! victim sleeps on it beside the lock, the flag is in the half that the kernel compares, and
//! what the marker saw happens before what the victim reads, so it sees the cycle unless that
//! has been resolved. A marker killed between mark and wake was a member: its death resolves
//! the cycle. A mark alone makes nobody give up, so no stray one can.

use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering;

use crate::graph::cycle;
use crate::limits::MAX_LOCKS;
use crate::segment::shared;
use crate::sync::mem::ALL;
use crate::sync::mutex::{CalledOff, Mutex, Watch};
use crate::sync::{Env, Mem, Owner, Pulse, Word};
use crate::width;

pub(super) const LOCK: u64 = 0x1ff;
const VICTIM: u64 = 1 << 9;
const SEQUENCE_SHIFT: u32 = 10;
const SEQUENCE_ONE: u64 = 1 << SEQUENCE_SHIFT;
pub(super) const SEQUENCE: u64 = width::mask(width::WAIT) << SEQUENCE_SHIFT;
const GENERATION_SHIFT: u32 = SEQUENCE_SHIFT + width::WAIT;
const GENERATION: u64 = width::mask(width::WAIT_THREAD);

const _: () = assert!(MAX_LOCKS < LOCK as usize);
const _: () = assert!(GENERATION_SHIFT + width::WAIT_THREAD <= u64::BITS);

/// The low bits of a waiter's generation, where a word has them.
const fn sign(waiter: Owner) -> u64 {
    (waiter.generation & GENERATION) << GENERATION_SHIFT
}

/// Looks at a cycle that changes under the eye, before the next sleep is taken instead.
const TRIES: usize = 8;

/// The wait of one thread slot.
#[repr(C)]
pub(crate) struct Wait<M: Mem> {
    pub(super) word: M::U64,
    /// Since when, in microseconds; for people.
    pub(super) since: M::U64,
}

impl<M: Mem> Wait<M> {
    /// Clears exactly the wait seen, for a thread that is dead.
    pub(super) fn taken_back(&self, seen: u64) {
        let _ =
            self.word
                .compare_exchange(seen, seen & SEQUENCE, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Whether a word may be that of a thread: it bears the low bits of its generation.
pub(super) const fn is_signed(word: u64, waiter: Owner) -> bool {
    word & GENERATION << GENERATION_SHIFT == sign(waiter)
}

/// The waits of all thread slots.
#[repr(C)]
pub(crate) struct Waits<M: Mem, const N: usize>(pub(super) [Wait<M>; N]);

/// One thread waits for one lock that another owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) waiter: Owner,
    pub(crate) lock: usize,
    pub(crate) holder: Owner,
    /// The waiter's word without the mark.
    wait: u64,
}

impl<M: Mem, const N: usize> Waits<M, N> {
    /// The calling thread waits for `lock` from now on. Fenced: what follows looks at
    /// others after they can see this.
    fn publish(&self, me: Owner, lock: usize, now: u64) {
        self.write(me, lock, now);
        // SYNC POINT deadlock-look (models: loom_tests/deadlock.rs): pairs with itself.
        M::fence(Ordering::SeqCst);
    }

    /// The first half of [`publish`](Self::publish).
    pub(crate) fn write(&self, me: Owner, lock: usize, now: u64) {
        let Some(wait) = self.0.get(usize::from(me.slot)) else {
            return;
        };
        let last = wait.word.load(Ordering::Relaxed) & SEQUENCE;
        wait.since.store(now, Ordering::Relaxed);
        let word = sign(me) | last.wrapping_add(SEQUENCE_ONE) & SEQUENCE | (lock as u64 + 1) & LOCK;
        wait.word.store(word, Ordering::Release);
    }

    /// The calling thread waits no longer.
    pub(crate) fn clear(&self, me: Owner) {
        if let Some(wait) = self.0.get(usize::from(me.slot)) {
            let last = wait.word.load(Ordering::Relaxed) & SEQUENCE;
            wait.word.store(last, Ordering::Release);
        }
    }

    /// Clears a dead thread's wait, before its slot is freed. `is_still` returns whether the
    /// slot is still that thread's.
    pub(crate) fn clear_dead(&self, dead: Owner, is_still: impl FnOnce() -> bool) {
        let Some(wait) = self.0.get(usize::from(dead.slot)) else {
            return;
        };
        // SYNC POINT thread-ended (models: loom_tests/ended.rs): load, ask, swap.
        let seen = wait.word.load(Ordering::Acquire);
        if seen & LOCK != 0 && is_still() {
            wait.taken_back(seen);
        }
    }

    /// Which lock a thread waits for, and since when.
    pub(crate) fn of(&self, thread: Owner) -> Option<(usize, u64)> {
        let (lock, _) = self.seen(thread)?;
        let since = &self.0.get(usize::from(thread.slot))?.since;
        Some((lock, since.load(Ordering::Relaxed)))
    }

    /// Whether nothing is published in a slot, by whichever thread.
    #[cfg(test)]
    pub(crate) fn is_clear(&self, slot: usize) -> bool {
        self.0[slot].word.load(Ordering::Acquire) & LOCK == 0
    }

    fn seen(&self, thread: Owner) -> Option<(usize, u64)> {
        let word = self.0.get(usize::from(thread.slot))?;
        let word = word.word.load(Ordering::Acquire);
        let lock = usize::try_from(word & LOCK).ok()?.checked_sub(1)?;
        is_signed(word, thread).then_some((lock, word & !VICTIM))
    }

    /// The edge out of a thread, if it waits for a lock that somebody owns.
    pub(crate) fn edge(&self, waiter: Owner, locks: &[Mutex<M>]) -> Option<Edge> {
        let (lock, wait) = self.seen(waiter)?;
        let holder = locks.get(lock)?.owner()?;
        Some(Edge {
            waiter,
            lock,
            holder,
            wait,
        })
    }

    /// The cycle through a thread, as it stood at one instant; every member lived then.
    pub(crate) fn cycle_through<E: Env<M> + ?Sized>(
        &self,
        thread: Owner,
        locks: &[Mutex<M>],
        env: &E,
    ) -> Option<Vec<Edge>> {
        let walk = || {
            let start = self.edge(thread, locks)?;
            // A cycle has as many different locks as members.
            cycle::back_to(start, MAX_LOCKS, |edge| self.edge(edge.holder, locks))
        };
        let first = walk()?;
        let lives = |edge: &Edge| !matches!(env.thread_pulse(edge.waiter), Pulse::Dead);
        (first.iter().all(lives) && walk()? == first).then_some(first)
    }

    /// Tells the victim to look. False when that wait is over.
    fn mark(&self, victim: &Edge) -> bool {
        let Some(wait) = self.0.get(usize::from(victim.waiter.slot)) else {
            return true;
        };
        let marked = victim.wait | VICTIM;
        // SYNC POINT deadlock-mark (models: loom_tests/deadlock.rs): pairs with `before_sleep`.
        match wait
            .word
            .compare_exchange(victim.wait, marked, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => M::wake(M::low_cell(&wait.word), ALL),
            Err(now) => return now == marked,
        }
        true
    }
}

/// Who of a cycle gives up: all members choose the same.
pub(crate) fn victim(cycle: &[Edge]) -> Option<&Edge> {
    cycle
        .iter()
        .max_by_key(|edge| (edge.waiter.slot, edge.waiter.generation))
}

/// A thread that waits for a lock and looks for deadlocks before each sleep.
pub(crate) struct Waiter<'a, M: Mem, E, const N: usize> {
    pub(crate) waits: &'a Waits<M, N>,
    pub(crate) locks: &'a [Mutex<M>],
    pub(crate) env: &'a E,
    pub(crate) me: Owner,
    /// Index of the lock.
    pub(crate) lock: usize,
    pub(crate) is_published: Cell<bool>,
    /// The deadlock for which the wait was called off.
    pub(crate) deadlock: RefCell<Vec<Edge>>,
}

impl<M: Mem, E: Env<M>, const N: usize> Waiter<'_, M, E, N> {
    /// The wait is over, however it ended. Answers the deadlock for which it was called
    /// off, if it was.
    pub(crate) fn end(self) -> Vec<Edge> {
        if self.is_published.get() {
            self.waits.clear(self.me);
        }
        self.deadlock.into_inner()
    }
}

impl<M: Mem, E: Env<M>, const N: usize> Watch<M> for Waiter<'_, M, E, N> {
    fn before_sleep(&self) -> Result<Option<(M::Cell<'_>, u32)>, CalledOff> {
        let Some(Wait { word, .. }) = self.waits.0.get(usize::from(self.me.slot)) else {
            return Ok(None);
        };
        if !self.is_published.replace(true) {
            self.waits.publish(self.me, self.lock, self.env.now());
        }
        // SYNC POINT deadlock-mark (models: loom_tests/deadlock.rs): pairs with `mark`. The
        // mark goes first, so one that comes during the look refuses the sleep.
        let mut mine = word.load(Ordering::Acquire);
        if mine & VICTIM != 0 {
            mine = word.fetch_and(!VICTIM, Ordering::AcqRel) & !VICTIM;
        }
        for _ in 0..TRIES {
            let found = self.waits.cycle_through(self.me, self.locks, self.env);
            let Some(cycle) = found else { break };
            match victim(&cycle) {
                Some(edge) if edge.waiter == self.me => {
                    self.deadlock.replace(cycle);
                    return Err(CalledOff);
                }
                Some(edge) if !self.waits.mark(edge) => {}
                _ => break,
            }
        }
        Ok(Some((M::low_cell(word), mine as u32)))
    }
}

impl<M: Mem, const N: usize> Default for Waits<M, N> {
    fn default() -> Self {
        Self(core::array::from_fn(|_| Wait {
            word: M::U64::default(),
            since: M::U64::default(),
        }))
    }
}

#[cfg(all(test, feature = "loom"))]
impl<M: Mem, const N: usize> Waits<M, N> {
    /// [`clear_dead`](Self::clear_dead) by a load and a store: a must-fail variant.
    pub(crate) fn clear_dead_blindly(&self, dead: Owner) {
        if self.of(dead).is_some() {
            self.clear(dead);
        }
    }
}

shared!(Wait<M> { word, since });
shared!(Waits<M, const N> { 0 });

#[cfg(test)]
#[path = "waits_tests.rs"]
mod tests;
