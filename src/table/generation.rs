//! The generation counter and the renewal of a group after Complete.
//!
//! Renewal is three idempotent steps, and anybody who sees the Renewing stage helps:
//!
//! 1. control word: Complete(e) → Renewing(e);
//! 2. generation word: `(g, not e+1)` → `(g+1, e+1)`;
//! 3. control word: Renewing(e) → Running(e+1).
//!
//! Before the first step the generation word is distinguished from the one to come: if
//! its epoch happens to be `e+1`, as its bits wrap, it becomes `e` (which began, too).
//!
//! *Proof sketch.* Step 2 is done at most once per renewal: a helper loads the word, then
//! sees that the control word still says Renewing(e), then swaps. Renewing(e) was entered
//! with a word that does not bear `e+1`, so a word that does has been stepped and is left
//! alone; one that does not has not been stepped, and stepping it raises the number.
//! The number comes back after 2^32 generations, which takes 8 hours at 7 µs each, and
//! only together with the epoch would a helper that was stopped for exactly that long step
//! it once more. Step 3 cannot come before step 2, as each helper does 2 first.
//!
//! What precedes the first step is swapped likewise: the word is loaded, then the control
//! word is seen to be Complete(e), then the word is swapped. A process that moves the control
//! word on from there has seen the word distinct, and steps it: the late swap fails.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Next, Word};
use crate::width;

use super::Corrupt;
use super::control::{Control, Stage};
use super::scope::Scope;

const NUMBER_SHIFT: u32 = 32;
/// Bits of the epoch that are kept.
pub(super) const EPOCH: u64 = width::mask(width::RENEWAL_EPOCH);

const _: () = assert!(width::RENEWAL_EPOCH <= NUMBER_SHIFT && width::RENEWAL_EPOCH <= width::EPOCH);

/// `number:32 | epoch it began with:32`. The first generation is number 1, stored as 0.
#[repr(C)]
pub(crate) struct Generation<M: Mem>(pub(super) M::U64);

impl<M: Mem> Generation<M> {
    pub(crate) fn current(&self) -> u32 {
        ((self.0.load(Ordering::Acquire) >> NUMBER_SHIFT) as u32).wrapping_add(1)
    }

    /// Finishes a renewal that is under way; returns when it is not (any more).
    pub(crate) fn help(&self, scope: &Scope<M>) -> Result<(), Corrupt> {
        let control = scope.control();
        if control.stage()? != Stage::Renewing {
            return Ok(());
        }
        let began = control.reopened().epoch() & EPOCH;
        let is_on = self.0.update(|word| {
            // After the load of the word.
            if scope.control() != control {
                return Next::Leave(false);
            }
            match word & EPOCH == began {
                true => Next::Leave(true),
                false => Next::Store(stepped(word) | began, true),
            }
        });
        if is_on {
            scope.finish_renewing(control);
        }
        Ok(())
    }

    /// Begins the next generation from exactly `complete`.
    pub(crate) fn begin(&self, scope: &Scope<M>, complete: Control) -> Result<bool, Corrupt> {
        self.distinguish(scope, complete);
        let mine = scope.begin_renewing(complete);
        self.help(scope)?;
        Ok(mine)
    }

    /// Ensures that the word cannot be taken for one that has been stepped already.
    fn distinguish(&self, scope: &Scope<M>, complete: Control) {
        let began = complete.reopened().epoch() & EPOCH;
        self.0.update(|word| match word & EPOCH == began {
            true if scope.control() == complete => {
                let present = complete.epoch() & EPOCH;
                Next::Store(word & !EPOCH | present, ())
            }
            _ => Next::Leave(()),
        });
    }
}

/// The number after that of `word`, with no epoch.
fn stepped(word: u64) -> u64 {
    (word >> NUMBER_SHIFT).wrapping_add(1) << NUMBER_SHIFT
}

impl<M: Mem> Default for Generation<M> {
    fn default() -> Self {
        Self(M::U64::default())
    }
}

shared!(Generation<M> { 0 });
