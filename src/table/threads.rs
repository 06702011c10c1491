//! Thread slots: the life word of every attached thread.
//!
//! ```text
//! word: [ -:3 | generation:48 | process + 1 :11 | state:2 ]
//!
//! FREE --attach--> ATTACHING --life word held--> LIVE --detach--> FREE (generation + 1)
//! ```
//!
//! Every transition is a compare-and-swap from exactly the word that the step follows from,
//! and no word comes back: the generation goes up when a slot is freed, and only then (a
//! refused attach moves nothing). It wraps in 410 years of attaching and ending
//! (`width::THREAD`). So a step that was stopped for any time fails once the slot has gone
//! on, and a lock word that still bears an earlier holder's name reads as owner-died.
//!
//! # Who frees a slot
//! - its thread, when it ends in order ([`free`](Threads::free));
//! - the sweep of its process (see `slots.rs`), on evidence that the process is dead;
//! - anybody ([`free_ended`](Threads::free_ended)), if it is LIVE and the kernel has marked
//!   its life word: the thread has ended without running its destructors (a raw exit, a kill
//!   by seccomp) in a process that lives on. A process's keeper is left to the sweep, as its
//!   mark is the sign of the process's death.
//!
//! Each hands over what the thread holds before it frees, and by the thread's name, which is
//! unique; so two of them at once, or one that was stopped in between and comes late, do no
//! harm: what they hand over is the dead thread's or nothing.
//!
//! Not freed before its process ends: the slot of a thread that ended without destructors
//! where there are no life words (the portable back end), or while the slot was ATTACHING,
//! or between releasing its life word and freeing its slot.

use core::sync::atomic::Ordering;

use crate::limits::MAX_PROCESSES;
use crate::segment::shared;
use crate::sync::{LifeArea, Mem, Owner, Pulse, Word, life};
use crate::width;

const STATE: u64 = 0b11;
const FREE: u64 = 0;
const ATTACHING: u64 = 1;
const LIVE: u64 = 2;
const PROCESS_SHIFT: u32 = 2;
const PROCESS: u64 = 0x7ff;
const GENERATION_SHIFT: u32 = PROCESS_SHIFT + 11;
const GENERATION: u64 = width::mask(width::THREAD);

const _: () = assert!(MAX_PROCESSES < PROCESS as usize);
const _: () = assert!(GENERATION_SHIFT + width::THREAD <= u64::BITS);

/// One thread slot.
#[repr(C)]
pub(crate) struct Thread<M: Mem> {
    pub(crate) life: M::Life,
    pub(super) word: M::U64,
    _pad: [M::U64; 7],
}

/// A snapshot of a thread slot's word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadWord(u64);

impl ThreadWord {
    pub(crate) const fn is_free(self) -> bool {
        self.0 & STATE == FREE
    }
    pub(crate) const fn is_live(self) -> bool {
        self.0 & STATE == LIVE
    }
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT & GENERATION
    }
    pub(crate) const fn process(self) -> Option<usize> {
        ((self.0 >> PROCESS_SHIFT & PROCESS) as usize).checked_sub(1)
    }
    /// The name of the holder of this slot, or, if it is free, of the next one.
    pub(crate) const fn owner(self, slot: u16) -> Owner {
        Owner {
            slot,
            generation: self.generation(),
        }
    }
    /// Whether that very thread holds its slot.
    pub(crate) const fn is_of(self, owner: Owner) -> bool {
        !self.is_free() && self.generation() == owner.generation
    }
    /// Whether that name has not been given to anybody yet.
    pub(super) const fn is_before(self, owner: Owner) -> bool {
        self.generation() < owner.generation
            || self.is_free() && self.generation() == owner.generation
    }
    /// The word of a live thread of a process.
    pub(crate) const fn live(owner: Owner, process: usize) -> Self {
        Self(owner.generation << GENERATION_SHIFT)
            .claimed(process)
            .with_state(LIVE)
    }
    pub(super) const fn raw(self) -> u64 {
        self.0
    }
    /// What no release writes, if it is that.
    pub(super) const fn fault(self) -> Option<&'static str> {
        let unused = self.0 >> GENERATION_SHIFT & !GENERATION;
        match (self.0 & STATE, self.process()) {
            (0b11, _) => Some("has no such state"),
            _ if unused != 0 => Some("has bits that nobody sets"),
            (FREE, Some(_)) => Some("is free and names a process"),
            (ATTACHING | LIVE, None) => Some("names no process"),
            _ => None,
        }
    }
    const fn freed(self) -> Self {
        let generation = self.generation().wrapping_add(1) & GENERATION;
        Self(FREE | generation << GENERATION_SHIFT)
    }
    /// Of this generation, and nothing else of what was there.
    const fn claimed(self, process: usize) -> Self {
        let process = (process as u64 + 1) & PROCESS;
        Self(self.generation() << GENERATION_SHIFT | process << PROCESS_SHIFT | ATTACHING)
    }
    const fn with_state(self, state: u64) -> Self {
        Self(self.0 & !STATE | state)
    }
}

/// The table of threads.
#[repr(C)]
pub(crate) struct Threads<M: Mem, const N: usize> {
    /// One more than the highest slot ever used.
    pub(super) high_water: M::U64,
    _pad: [M::U64; 7],
    pub(super) slots: [Thread<M>; N],
}

impl<M: Mem, const N: usize> Threads<M, N> {
    pub(crate) fn get(&self, slot: usize) -> Option<&Thread<M>> {
        self.slots.get(slot)
    }

    pub(crate) fn word(&self, slot: usize) -> ThreadWord {
        ThreadWord(
            self.slots
                .get(slot)
                .map_or(0, |t| t.word.load(Ordering::Acquire)),
        )
    }

    pub(crate) fn used(&self) -> usize {
        (self.high_water.load(Ordering::Acquire) as usize).min(N)
    }

    /// Claims a slot for a thread of `process` (whose byte lock is held). The caller
    /// then takes the life word and calls [`go_live`](Self::go_live).
    ///
    /// A slot whose life word is held is not free, whatever its own word says: bytes that
    /// say so must not have a mutex made anew that is on a living thread's list.
    pub(crate) fn attach(&self, process: usize) -> Option<Owner> {
        self.attach_unless(process, |_| true)
    }

    /// The same where there is no other slot: also one whose life word was held by a thread
    /// that is no more, and bears no mark (one that called `exec`). `lives` is asked about
    /// the holder's id.
    pub(crate) fn attach_unless(
        &self,
        process: usize,
        lives: impl Fn(u32) -> bool,
    ) -> Option<Owner> {
        for (slot, thread) in self.slots.iter().enumerate() {
            let word = self.word(slot);
            if !word.is_free() || life::holder::<M>(thread.life.word()).is_some_and(&lives) {
                continue;
            }
            // Before the claim: a sweep must find the slot wherever its claimant dies.
            self.raise_high_water(slot as u64 + 1);
            if self.moved(slot, word, word.claimed(process)) {
                return Some(word.owner(slot as u16));
            }
        }
        None
    }

    fn raise_high_water(&self, needed: u64) {
        let mut current = self.high_water.load(Ordering::Acquire);
        while current < needed {
            match self.high_water.compare_exchange(
                current,
                needed,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(now) => current = now,
            }
        }
    }

    /// One step of a slot's word, from exactly the word seen.
    fn moved(&self, slot: usize, from: ThreadWord, to: ThreadWord) -> bool {
        self.slots.get(slot).is_some_and(|thread| {
            thread
                .word
                .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        })
    }

    /// The life word is held (or this process has none): others may rely on it. False if
    /// the slot was taken from the caller, which was held for dead: it must not be used.
    #[must_use]
    pub(crate) fn go_live(&self, owner: Owner, process: usize) -> bool {
        let live = ThreadWord::live(owner, process);
        self.moved(usize::from(owner.slot), live.with_state(ATTACHING), live)
    }

    /// Frees a slot whose word is still the one seen: by its own thread after it released
    /// the life word, or by a thread that has found it dead. What the thread holds was
    /// handed over before. Every lock still bearing its name reads as owner-died from here
    /// on. False if another thread has freed it.
    pub(crate) fn free(&self, slot: usize, seen: ThreadWord) -> bool {
        self.moved(slot, seen, seen.freed())
    }

    /// Frees the slots of all threads that have ended without giving theirs back, in
    /// processes that live on; returns how many. `is_keeper` says whether a slot is that of
    /// a process's keeper.
    pub(crate) fn free_ended(
        &self,
        is_keeper: impl Fn(usize, usize) -> bool,
        hand_over: impl Fn(Owner),
    ) -> usize {
        // SYNC POINT thread-ended (models: loom_tests/ended.rs): load, ask, swap.
        let ended = (0..self.used()).filter(|&slot| {
            let Some((seen, process)) = self.ended(slot) else {
                return false;
            };
            if is_keeper(process, slot) {
                return false;
            }
            hand_over(seen.owner(slot as u16));
            self.free(slot, seen)
        });
        ended.count()
    }

    /// The word of a slot whose thread has ended without giving it back, and its process.
    pub(super) fn ended(&self, slot: usize) -> Option<(ThreadWord, usize)> {
        let seen = self.word(slot);
        let process = seen.process()?;
        let is_marked = matches!(self.life_of(slot), LifeSign::Marked);
        // Read again: the mark is of the thread that was seen, not of a later one.
        (is_marked && seen.is_live() && self.word(slot) == seen).then_some((seen, process))
    }

    /// The process of that very thread, if it still holds its slot.
    pub(crate) fn process_of(&self, owner: Owner) -> Option<usize> {
        let word = self.word(usize::from(owner.slot));
        word.process().filter(|_| word.is_of(owner))
    }

    /// The slots of one process.
    pub(crate) fn of_process(&self, process: usize) -> impl Iterator<Item = usize> {
        (0..self.used()).filter(move |slot| {
            let word = self.word(*slot);
            !word.is_free() && word.process() == Some(process)
        })
    }

    /// What the life word of a slot says, if it says anything.
    pub(crate) fn life_of(&self, slot: usize) -> LifeSign<'_, M> {
        let (Some(thread), word) = (self.slots.get(slot), self.word(slot)) else {
            return LifeSign::Silent;
        };
        if !word.is_live() {
            return LifeSign::Silent;
        }
        LifeSign::of(thread.life.word())
    }

    /// The life of a process by its threads: `keeper` speaks for it while it lives, then
    /// any other thread. `fallback` (the byte lock) decides where no life word speaks, and
    /// where the keeper is dead and another word is not marked.
    ///
    /// The latter is how a process dies, for microseconds; and how it stays when a thread
    /// that is not its first has called `exec`: the kernel gives that thread the first
    /// one's id before it walks the list of held words, and does not know its own again.
    /// The byte lock is free only after all threads have been through that walk.
    pub(crate) fn pulse_of_process(
        &self,
        process: usize,
        keeper: Option<usize>,
        fallback: impl FnOnce() -> bool,
    ) -> Pulse<'_, M> {
        let keeper = keeper.filter(|slot| self.word(*slot).process() == Some(process));
        match keeper.map(|slot| self.life_of(slot)) {
            Some(LifeSign::Beats(word)) => return Pulse::Alive(Some(word)),
            Some(LifeSign::Marked) => {
                let mut others = self.of_process(process);
                let beats = others.find_map(|slot| match self.life_of(slot) {
                    LifeSign::Beats(word) => Some(word),
                    LifeSign::Marked | LifeSign::Silent => None,
                });
                return match beats {
                    Some(word) if fallback() => Pulse::Alive(Some(word)),
                    Some(_) | None => Pulse::Dead,
                };
            }
            Some(LifeSign::Silent) | None => {}
        }
        if fallback() {
            Pulse::Alive(None)
        } else {
            Pulse::Dead
        }
    }

    /// The life of one thread, for locks. `keeper` is that of a process; `fallback` as for
    /// [`pulse_of_process`](Self::pulse_of_process).
    pub(crate) fn pulse_of_thread(
        &self,
        owner: Owner,
        keeper: impl FnOnce(usize) -> Option<usize>,
        fallback: impl Fn(usize) -> bool,
    ) -> Pulse<'_, M> {
        let slot = usize::from(owner.slot);
        let word = self.word(slot);
        let Some(process) = word.process() else {
            return Pulse::Dead;
        };
        if !word.is_live() || !word.is_of(owner) {
            return Pulse::Dead;
        }
        match self.life_of(slot) {
            LifeSign::Beats(_) if self.is_dead(keeper(process), process) && !fallback(process) => {
                Pulse::Dead
            }
            LifeSign::Beats(life) => Pulse::Alive(Some(life)),
            LifeSign::Marked => Pulse::Dead,
            LifeSign::Silent if fallback(process) => Pulse::Alive(None),
            LifeSign::Silent => Pulse::Dead,
        }
    }

    /// Whether the kernel has marked the keeper of a process.
    fn is_dead(&self, keeper: Option<usize>, process: usize) -> bool {
        keeper.is_some_and(|slot| {
            self.word(slot).process() == Some(process)
                && matches!(self.life_of(slot), LifeSign::Marked)
        })
    }
}

/// What a life word says.
pub(crate) enum LifeSign<'a, M: Mem> {
    /// Held by a living thread.
    Beats(&'a M::U32),
    /// The kernel marked it: dead.
    Marked,
    /// Not in use: ask the byte lock.
    Silent,
}

impl<'a, M: Mem> LifeSign<'a, M> {
    /// What a life word says.
    pub(crate) fn of(life: &'a M::U32) -> Self {
        let value = life.load(Ordering::Acquire);
        if value & life::OWNER_DIED != 0 {
            LifeSign::Marked
        } else if value & life::TID != 0 {
            LifeSign::Beats(life)
        } else {
            LifeSign::Silent
        }
    }
}

impl<M: Mem, const N: usize> Default for Threads<M, N> {
    fn default() -> Self {
        Self {
            high_water: M::U64::default(),
            _pad: core::array::from_fn(|_| M::U64::default()),
            slots: core::array::from_fn(|_| Thread {
                life: M::Life::default(),
                word: M::U64::default(),
                _pad: core::array::from_fn(|_| M::U64::default()),
            }),
        }
    }
}

#[cfg(all(test, feature = "loom"))]
impl<M: Mem, const N: usize> Threads<M, N> {
    /// [`free`](Self::free) of any word: a must-fail variant.
    pub(crate) fn free_blindly(&self, slot: usize) {
        let freed = self.word(slot).freed();
        self.slots[slot].word.store(freed.0, Ordering::Release);
    }
}

shared!(Thread<M> { life, word, _pad });
shared!(Threads<M, const N> { high_water, _pad, slots });
