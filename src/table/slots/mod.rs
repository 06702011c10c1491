//! Process slots: one per attached process, and who may sweep one.
//!
//! A holder claims a slot by taking its *life byte* and moving the word; the kernel takes the
//! byte back at the process's end, whatever instruction that end comes at. A process that finds
//! the holder [gone](super::liveness) takes the slot's *sweep byte*, checks again, clears what
//! the holder left and marks the slot free. A sweeper never holds the life byte, so one that is
//! stopped makes nobody seem alive: it delays the reuse of one slot. One that dies loses the
//! sweep byte, and the next one begins again.
//!
//! A sweeper can lose the sweep byte without dying (its descriptor is closed by other code):
//! then the next one sweeps, and a new holder may live in the slot while the first one goes
//! on. So no step rests on the byte. Each is a compare-and-swap from a word that was loaded
//! before it was found that the process word is still the one the sweep began with:
//! [`Dead::is_still`]. What was loaded before belongs to the dead incarnation or to an
//! earlier one; if a new holder has moved it since, the swap fails.
//!
//! ```text
//! word: [ - :1 | generation:48 | keeper thread slot + 1 :13 | state:2 ]
//!
//! FREE(g) --claim--> STARTING(g + 1) --> LIVE(g + 1, keeper) --> FREE(g + 1)
//! ```
//! A claim raises the generation, so no word comes back (the width and its rate:
//! [`PROCESS`](crate::width::PROCESS)). Each move is a compare-and-swap from the mover's own word: a holder
//! that was swept cannot mark the slot of the next one free, or live.

mod holder;
#[cfg(test)]
mod tests;
mod word;

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Word};

use super::liveness::Verdict;

pub(crate) use holder::{Identity, LOCK_LOST, ORDER};
pub(crate) use word::ProcessWord;

/// One of the two lock bytes of a process slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Byte {
    /// Held by the process that lives there, and by no other.
    Life(usize),
    /// Held by the process that sweeps the slot.
    Sweep(usize),
}

/// What the kernel does and says about process slots. Real: byte locks on the file, life
/// words and `/proc`.
pub(crate) trait Kernel {
    /// Takes a byte; false when another process holds it, or that is unknown.
    fn try_take(&self, byte: Byte) -> bool;
    fn give_back(&self, byte: Byte);
    /// What the signs say about the holder of a slot, asked now; `word` was loaded before.
    fn verdict(&self, process: usize, word: ProcessWord) -> Verdict;
}

/// One process slot.
#[repr(C)]
pub(crate) struct Process<M: Mem> {
    pub(in crate::table) word: M::U64,
    /// As the process sees itself; see [`Identity`]. Each with low bits of the generation.
    pid: M::U64,
    start_time: M::U64,
    pid_namespace: M::U64,
    /// The word of a holder that has lost its life byte and cannot take it again; any other
    /// value means nothing.
    lockless: M::U64,
    /// The keeper's futex: what it is to look at.
    pub(in crate::table) inbox: M::U32,
    _pad: M::U32,
}

/// One incarnation of a slot's holder that is gone, to a sweeper.
pub(crate) struct Dead<'a, M: Mem> {
    process: usize,
    word: ProcessWord,
    cell: &'a M::U64,
}

impl<M: Mem> Dead<'_, M> {
    pub(crate) fn process(&self) -> usize {
        self.process
    }

    /// Of the word that is there.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(table: &Processes<M, N>, process: usize) -> Dead<'_, M> {
        Dead {
            process,
            word: table.word(process),
            cell: &table.0[process].word,
        }
    }

    /// Whether the slot is still that of the dead one. To be asked *after* the load of each
    /// word that a step of the sweep moves: what was loaded before is not a new holder's.
    ///
    /// The next holder of the slot writes its word before anything else in its name, and
    /// what it writes is read with acquire; so a process that has read one of its words
    /// reads its process word here, too.
    pub(crate) fn is_still(&self) -> bool {
        self.cell.load(Ordering::Acquire) == self.word.raw()
    }
}

/// The table of processes.
#[repr(C)]
pub(crate) struct Processes<M: Mem, const N: usize>([Process<M>; N]);

impl<M: Mem, const N: usize> Processes<M, N> {
    #[cfg(test)]
    pub(crate) fn get(&self, slot: usize) -> Option<&Process<M>> {
        self.0.get(slot)
    }

    pub(crate) fn word(&self, slot: usize) -> ProcessWord {
        let process = self.0.get(slot);
        ProcessWord::from_raw(process.map_or(0, |p| p.word.load(Ordering::Acquire)))
    }

    fn swap(&self, slot: usize, from: ProcessWord, to: ProcessWord) -> bool {
        self.0.get(slot).is_some_and(|process| {
            process
                .word
                .compare_exchange(from.raw(), to.raw(), Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        })
    }

    /// Claims a slot: its life byte, then its word. A slot of a dead holder is swept before.
    /// `None` when living processes hold them all, or a remover has every life byte.
    pub(crate) fn claim(
        &self,
        kernel: &impl Kernel,
        sweep: impl Fn(&Dead<'_, M>),
    ) -> Option<(usize, ProcessWord)> {
        // Free slots first: asking for a held byte is a system call.
        for only_free in [true, false] {
            for slot in 0..N {
                if self.word(slot).is_free() != only_free {
                    continue;
                }
                if !only_free && !self.sweep_slot(slot, kernel, &sweep) {
                    continue;
                }
                if let Some(word) = self.start(slot, kernel) {
                    return Some((slot, word));
                }
            }
        }
        None
    }

    /// Takes a free slot. Its life byte may be busy: a remover has it, or a child that a dead
    /// holder made without fork handlers.
    fn start(&self, slot: usize, kernel: &impl Kernel) -> Option<ProcessWord> {
        let word = self.word(slot);
        if !word.is_free() || !kernel.try_take(Byte::Life(slot)) {
            return None;
        }
        // From exactly the word that was free before the byte was taken: who has lost the
        // byte by now, and was overtaken, fails here.
        let claimed = word.claimed();
        if self.swap(slot, word, claimed) {
            return Some(claimed);
        }
        kernel.give_back(Byte::Life(slot));
        None
    }

    /// The process that has claimed or holds a slot under `word` is fully attached; `keeper`
    /// is the thread slot of its keeper. `None` if it was swept meanwhile, for it has
    /// lost its life byte.
    #[must_use]
    pub(crate) fn go_live(
        &self,
        slot: usize,
        word: ProcessWord,
        keeper: usize,
    ) -> Option<ProcessWord> {
        let live = ProcessWord::live(word.generation(), keeper);
        self.swap(slot, word, live).then_some(live)
    }

    /// Whether a slot that was held under `word` has another holder, or none. False if the
    /// word is one that no release writes: that is no evidence.
    pub(crate) fn is_lost(&self, slot: usize, word: ProcessWord) -> bool {
        let now = self.word(slot);
        now != word && now.fault().is_none()
    }

    /// Gives the holder of a slot under `word` a new generation; `None` if it was swept.
    pub(crate) fn renew(&self, slot: usize, word: ProcessWord) -> Option<ProcessWord> {
        let renewed = word.renewed();
        self.swap(slot, word, renewed).then_some(renewed)
    }

    /// Marks a slot free, by its holder or after the sweep. False if it is another's.
    pub(crate) fn free(&self, slot: usize, word: ProcessWord) -> bool {
        self.swap(slot, word, ProcessWord::free(word.generation()))
    }

    /// Sweeps every slot whose holder is gone; returns how many.
    pub(crate) fn reap(&self, kernel: &impl Kernel, sweep: impl Fn(&Dead<'_, M>)) -> usize {
        (0..N)
            .filter(|slot| self.sweep_slot(*slot, kernel, &sweep))
            .count()
    }

    /// Sweeps a slot if its holder is gone. True if this call freed it.
    fn sweep_slot(&self, slot: usize, kernel: &impl Kernel, sweep: &impl Fn(&Dead<'_, M>)) -> bool {
        let (Some(process), word) = (self.0.get(slot), self.word(slot)) else {
            return false;
        };
        // Before the byte is taken: mostly nobody is gone.
        if word.is_free() || kernel.verdict(slot, word) != Verdict::Gone {
            return false;
        }
        if !kernel.try_take(Byte::Sweep(slot)) {
            return false;
        }
        let dead = Dead {
            process: slot,
            word: self.word(slot),
            cell: &process.word,
        };
        // Again: another sweeper may have been quicker, and a new holder live there. The
        // evidence is of this word, for it was loaded before.
        let is_gone = !dead.word.is_free() && kernel.verdict(slot, dead.word) == Verdict::Gone;
        let is_freed = is_gone && {
            sweep(&dead);
            self.free(slot, dead.word)
        };
        kernel.give_back(Byte::Sweep(slot));
        is_freed
    }

    /// Slots that are not free.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = usize> {
        (0..N).filter(|slot| !self.word(*slot).is_free())
    }
}

impl<M: Mem, const N: usize> Default for Processes<M, N> {
    fn default() -> Self {
        Self(core::array::from_fn(|_| Process {
            word: M::U64::default(),
            pid: M::U64::default(),
            start_time: M::U64::default(),
            pid_namespace: M::U64::default(),
            lockless: M::U64::default(),
            inbox: M::U32::default(),
            _pad: M::U32::default(),
        }))
    }
}

shared!(Process<M> { word, pid, start_time, pid_namespace, lockless, inbox, _pad });
shared!(Processes<M, const N> { 0 });
