//! The generation counter and the renewal of a group after Complete.
//!
//! Renewal is three idempotent steps, and anybody who sees the Renewing stage helps:
//!
//! 1. control word: Complete(e) → Renewing(e);
//! 2. generation word: `(g, not e+1)` → `(g+1, e+1)`;
//! 3. control word: Renewing(e) → Running(e+1).
//!
//! *Proof sketch.* Step 2 is done at most once per renewal: a helper compares against a
//! generation word that it read while the control word still said Renewing(e) (it
//! re-reads the control word after it), so that word is either not yet stepped, or bears
//! `e+1` and is left alone; and as the word never repeats a value, a late
//! compare-and-swap fails. Step 3 cannot come before step 2, as each helper does 2 first.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Word};

use super::Corrupt;
use super::control::{Control, EPOCH_MASK, Stage};
use super::scope::Scope;

/// `generation:32 | epoch it began with:24`. The first generation is number 1.
#[repr(C)]
pub(crate) struct Generation<M: Mem>(pub(super) M::U64);

impl<M: Mem> Generation<M> {
    pub(crate) fn current(&self) -> u32 {
        ((self.0.load(Ordering::Acquire) >> 32) as u32).wrapping_add(1)
    }

    /// Finishes a renewal that is under way; returns when it is not (any more).
    pub(crate) fn help(&self, scope: &Scope<M>) -> Result<(), Corrupt> {
        let control = scope.control();
        if control.stage()? != Stage::Renewing {
            return Ok(());
        }
        let began = u64::from(control.epoch().wrapping_add(1) & EPOCH_MASK);
        let word = self.0.load(Ordering::Acquire);
        if scope.control() != control {
            return Ok(());
        }
        if word & 0xffff_ffff != began {
            let next = ((word >> 32).wrapping_add(1) << 32) | began;
            let _ = self
                .0
                .compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire);
        }
        scope.finish_renewing(control);
        Ok(())
    }

    /// Begins the next generation from exactly `complete`.
    pub(crate) fn begin(&self, scope: &Scope<M>, complete: Control) -> Result<bool, Corrupt> {
        let mine = scope.begin_renewing(complete);
        self.help(scope)?;
        Ok(mine)
    }
}

impl<M: Mem> Default for Generation<M> {
    fn default() -> Self {
        Self(M::U64::default())
    }
}

shared!(Generation<M> { 0 });
