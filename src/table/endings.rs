//! How many shutdowns of the group ended with which outcome, each counted exactly once.
//!
//! ```text
//! [ count:32 | epoch:32 ]
//! ```
//! One word for each outcome, with the epoch of the shutdown that was counted last. A shutdown
//! that is complete keeps its outcome, so all who count it move the same word, from one that
//! does not have its epoch to one that has: the second finds the epoch and leaves it. It is
//! counted by whoever begins the next generation, before that, and shown by readers as if it
//! were counted until then. So no count is lost, whoever is killed.
//!
//! # Why a stopped counter does no harm
//! It loads the word, then asks whether the control word is Complete in its epoch, then swaps.
//! If the shutdown was counted meanwhile, the word has moved and the swap fails. If the epoch
//! is over, it was counted before it ended; after its load that is found by the question, and
//! before its load the epoch is in the word, or a later one is, and the question ends it.
//! The epoch is of 32 bits: one that comes back after 2^32 epochs, without any other shutdown of
//! that outcome in between, is not counted.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Next, Word};
use crate::width;

const TAG: u64 = width::mask(width::ENDING);
const COUNT_SHIFT: u32 = 32;
/// Outcomes that there is room for.
pub(crate) const OUTCOMES: usize = 8;

/// The words.
#[repr(C)]
pub(crate) struct Endings<M: Mem> {
    counts: [M::U64; OUTCOMES],
}

impl<M: Mem> Endings<M> {
    /// Counts the shutdown of `epoch`, unless it is counted; `is_on` says whether the control
    /// word is Complete in that epoch.
    pub(crate) fn count(&self, outcome: usize, epoch: u64, is_on: impl Fn() -> bool) {
        let Some(word) = self.counts.get(outcome) else {
            return;
        };
        word.update(|before| match !has(before, epoch) && is_on() {
            true => {
                let count = (before >> COUNT_SHIFT).wrapping_add(1) << COUNT_SHIFT;
                Next::Store(count | epoch & TAG, ())
            }
            false => Next::Leave(()),
        });
    }

    /// How many ended so; with the shutdown of `epoch`, if it ended so and is not counted yet.
    pub(crate) fn read(&self, outcome: usize, ended: Option<u64>) -> u64 {
        let word = self.counts.get(outcome);
        let word = word.map_or(0, |word| word.load(Ordering::Acquire));
        let more = ended.is_some_and(|epoch| !has(word, epoch));
        (word >> COUNT_SHIFT) + u64::from(more)
    }
}

/// Whether the shutdown of this epoch is the last one counted.
fn has(word: u64, epoch: u64) -> bool {
    word >> COUNT_SHIFT != 0 && word & TAG == epoch & TAG
}

impl<M: Mem> Default for Endings<M> {
    fn default() -> Self {
        Self {
            counts: core::array::from_fn(|_| M::U64::default()),
        }
    }
}

shared!(Endings<M> { counts });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::stopped::{Stopped, stop_everywhere};

    /// The words, and the epoch that is Complete.
    struct Group {
        endings: Endings<Stopped>,
        epoch: <Stopped as Mem>::U64,
    }

    fn new() -> Group {
        Group {
            endings: Endings::default(),
            epoch: Default::default(),
        }
    }

    fn count(group: &Group, epoch: u64) {
        let is_on = || group.epoch.load(Ordering::Acquire) == epoch;
        group.endings.count(2, epoch, is_on);
    }

    #[test]
    fn a_shutdown_is_counted_once_wherever_its_counter_is_stopped() {
        stop_everywhere(
            new,
            |group| count(group, 0),
            |group| {
                count(group, 0);
                group.epoch.store(1, Ordering::Release);
                count(group, 1);
            },
            |group| assert_eq!(group.endings.read(2, None), 2),
        );
    }

    #[test]
    fn one_that_is_not_counted_yet_is_shown_as_if_it_were() {
        let group = new();
        let read = |ended| group.endings.read(2, ended);
        assert_eq!((read(None), read(Some(0))), (0, 1));
        count(&group, 0);
        assert_eq!((read(None), read(Some(0)), read(Some(1))), (1, 1, 2));
        assert_eq!(group.endings.read(OUTCOMES, None), 0);
    }
}
