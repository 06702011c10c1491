//! Thread slots: the life word of every attached thread.
//!
//! ```text
//! word: [ - | process + 1 :16 | generation:16 | state:2 ]
//!
//! FREE --attach--> ATTACHING --life word held--> LIVE --detach--> FREE (generation + 1)
//! ```
//!
//! A slot that stays ATTACHING, or LIVE with a marked life word, is freed by the sweep
//! of its process (see `slots/`), on byte-lock evidence. The generation goes up when a
//! slot is freed, so a lock word that still bears the old owner reads as owner-died.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{LifeArea, Mem, Owner, Pulse, Word, life};

const STATE: u64 = 0b11;
const FREE: u64 = 0;
const ATTACHING: u64 = 1;
const LIVE: u64 = 2;
const GENERATION_SHIFT: u32 = 2;
const PROCESS_SHIFT: u32 = 32;

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
    pub(crate) const fn generation(self) -> u16 {
        (self.0 >> GENERATION_SHIFT) as u16
    }
    pub(crate) const fn process(self) -> Option<usize> {
        ((self.0 >> PROCESS_SHIFT & 0xffff) as usize).checked_sub(1)
    }
    pub(super) const fn raw(self) -> u64 {
        self.0
    }
    /// What no release writes, if it is that.
    pub(super) const fn fault(self) -> Option<&'static str> {
        const UNUSED: u64 = 0xffff_0000_0000_0000 | 0x3fff << (GENERATION_SHIFT + 16);
        match (self.0 & STATE, self.process()) {
            (0b11, _) => Some("has no such state"),
            _ if self.0 & UNUSED != 0 => Some("has bits that nobody sets"),
            (FREE, Some(_)) => Some("is free and names a process"),
            (ATTACHING | LIVE, None) => Some("names no process"),
            _ => None,
        }
    }
    const fn freed(self) -> Self {
        let generation = self.generation().wrapping_add(1);
        Self(FREE | (generation as u64) << GENERATION_SHIFT)
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
            let claimed = word.with_state(ATTACHING).0 | ((process + 1) as u64) << PROCESS_SHIFT;
            if thread
                .word
                .compare_exchange(word.0, claimed, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                return Some(Owner {
                    slot: slot as u16,
                    generation: word.generation(),
                });
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

    /// The life word is held (or this process has none): others may rely on it. False if the
    /// process was taken for dead meanwhile, and the slot was freed.
    pub(crate) fn go_live(&self, owner: Owner) -> bool {
        let slot = usize::from(owner.slot);
        let word = self.word(slot);
        let is_mine = word.generation() == owner.generation && word.0 & STATE == ATTACHING;
        is_mine && self.swap(slot, word, word.with_state(LIVE))
    }

    fn swap(&self, slot: usize, from: ThreadWord, to: ThreadWord) -> bool {
        self.slots.get(slot).is_some_and(|thread| {
            thread
                .word
                .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        })
    }

    /// Frees a slot: by its own thread after it released the life word, or by the sweep.
    /// Every lock still bearing this owner reads as owner-died from here on.
    #[cfg(test)]
    pub(crate) fn free(&self, slot: usize) {
        if let Some(thread) = self.slots.get(slot) {
            thread
                .word
                .store(self.word(slot).freed().0, Ordering::Release);
        }
    }

    /// Frees a slot whose word is still this one: by the sweep. False if it was moved.
    pub(crate) fn free_from(&self, slot: usize, word: ThreadWord) -> bool {
        self.swap(slot, word, word.freed())
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
        if !word.is_live() || word.generation() != owner.generation {
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

shared!(Thread<M> { life, word, _pad });
shared!(Threads<M, const N> { high_water, _pad, slots });
