//! Looking for broken invariants: pure functions over the tables, for a segment in use.
//!
//! A look only loads, so it runs on a read-only mapping, and it meets words in the middle
//! of every step. So what it finds are *suspicions*, each with all the words it follows
//! from. The caller looks again and keeps what stands unmoved (`api/check.rs`); the words
//! are chosen such that words which are the same in two looks stood together at the
//! instant between, for each has a generation, epoch or number that never comes back.
//! Where a living process may legally stand in the middle for any time (it may be
//! stopped), there is no suspicion. `docs/design.md` has the list.

mod attached;
mod group;
pub(crate) mod invariant;
mod locks;
mod names;
mod order;
mod rendezvous;
mod resources;
mod scope;
mod store;

use crate::sync::{Env, Mem, Owner, Pulse};

use super::liveness::Verdict;
use super::slots::{ProcessWord, Processes};
use super::threads::Threads;

pub(crate) use attached::{processes, threads};
pub(crate) use group::{Roll, failures, group};
pub use invariant::Invariant;
pub(crate) use locks::{lock, waits};
pub(crate) use names::names;
pub(crate) use order::order;
pub(crate) use rendezvous::{barrier, event, semaphore};
pub(crate) use resources::resources;
pub(crate) use store::store;

/// How far ahead of the clock a time may be: some are made strictly newer than another.
const SLACK_MICROS: u64 = 1_000_000;

/// Suspicions of one invariant that one look keeps: a segment full of garbage has tens of
/// thousands, and nobody reads them.
const MOST: usize = 100;

/// Words that a suspicion follows from.
pub(crate) const EVIDENCE: usize = 4;

/// What the checker asks of the world.
pub(crate) trait Witness<M: Mem>: Env<M> {
    /// What the signs say about the holder of a process slot; `word` was loaded before.
    fn weigh(&self, process: usize, word: ProcessWord) -> Verdict;
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Gravity {
    /// The dead left it, and the next one who needs it settles it; a repair does so now.
    Left,
    /// No step of any release leads to it: something else wrote here, or there is a bug.
    Broken,
}

impl Gravity {
    /// The lower-case name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Broken => "broken",
        }
    }
}

/// Where something is: a table, and which of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct At(pub(crate) &'static str, pub(crate) usize);

/// Something that should not be, if it still is at the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Suspicion {
    pub(crate) invariant: Invariant,
    pub(crate) gravity: Gravity,
    pub(crate) at: At,
    pub(crate) what: &'static str,
    /// What it follows from.
    pub(crate) words: [u64; EVIDENCE],
}

/// One look at everything.
pub(crate) struct Look<'a, W> {
    pub(crate) witness: &'a W,
    pub(crate) found: Vec<Suspicion>,
    /// Nobody is attached who lives. Else whoever lives may be about to go on with what
    /// seems to have been left.
    is_deserted: bool,
    /// How many of each invariant.
    counts: [usize; Invariant::ALL.len() + 1],
}

impl<'a, W> Look<'a, W> {
    pub(crate) fn new(witness: &'a W) -> Self {
        Self {
            witness,
            found: Vec::new(),
            is_deserted: false,
            counts: [0; Invariant::ALL.len() + 1],
        }
    }

    fn suspect(
        &mut self,
        (invariant, gravity): (Invariant, Gravity),
        at: At,
        what: &'static str,
        words: &[u64],
    ) {
        let of_it = &mut self.counts[usize::from(invariant.number())];
        if *of_it == MOST {
            return;
        }
        *of_it += 1;
        let mut evidence = [0; EVIDENCE];
        for (place, word) in evidence.iter_mut().zip(words) {
            *place = *word;
        }
        self.found.push(Suspicion {
            invariant,
            gravity,
            at,
            what,
            words: evidence,
        });
    }

    fn broken(&mut self, invariant: Invariant, at: At, what: &'static str, words: &[u64]) {
        self.suspect((invariant, Gravity::Broken), at, what, words);
    }

    fn left(&mut self, invariant: Invariant, at: At, what: &'static str, words: &[u64]) {
        self.suspect((invariant, Gravity::Left), at, what, words);
    }

    /// Broken if there is a fault.
    fn fault(&mut self, invariant: Invariant, at: At, fault: Option<&'static str>, words: &[u64]) {
        if let Some(what) = fault {
            self.broken(invariant, at, what, words);
        }
    }
}

impl<W> Look<'_, W> {
    /// Whether a time is of the future. Asked after it was read.
    fn is_ahead<M: Mem>(&self, micros: u64) -> bool
    where
        W: Env<M>,
    {
        micros > self.witness.now().saturating_add(SLACK_MICROS)
    }
}

/// How it stands with a process slot that something names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nobody has it.
    Free,
    /// Dead, or gone.
    Dead,
    Living,
}

fn standing<M: Mem, const P: usize>(
    processes: &Processes<M, P>,
    process: usize,
    witness: &impl Witness<M>,
) -> Standing {
    let word = processes.word(process);
    if word.is_free() {
        Standing::Free
    } else if matches!(witness.process_pulse(process), Pulse::Dead)
        || witness.weigh(process, word) == Verdict::Gone
    {
        Standing::Dead
    } else {
        Standing::Living
    }
}

/// Whether a name is that of a thread which lives or is at least not swept yet, with the
/// word that says so.
fn is_dead<M: Mem, const T: usize>(
    threads: &Threads<M, T>,
    owner: Owner,
    witness: &impl Witness<M>,
) -> Option<u64> {
    let word = threads.word(usize::from(owner.slot));
    matches!(witness.thread_pulse(owner), Pulse::Dead).then(|| word.raw())
}

#[cfg(test)]
mod tests;
