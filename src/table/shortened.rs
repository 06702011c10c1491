//! Who shortened the budget of a shutdown that another process had begun, and when.
//!
//! ```text
//! 63         48 47        26 25      0
//! [ after the start | pid:22 | epoch:26 ]
//! ```
//! The time is [`Millis`] of 13 bits of mantissa. Written after the compare-and-swap of the
//! control word that shortened the budget, by the process that did it.
//!
//! # Why a stopped writer does no harm
//! It loads the word, then asks whether the control word still has its epoch and exactly the
//! budget that it set, then swaps, and begins again if the swap fails. So
//! - one that was overtaken by a shorter budget finds another budget after its load, or its
//!   swap fails because that one's record is in the word: the record of the shorter budget is
//!   the last one;
//! - one whose epoch is over finds that, or swaps in a record of an epoch that nobody reads. The
//!   epoch is of 26 bits; a shutdown 2^26 epochs later, one minute at the fastest forced rate,
//!   would have to be read in that very moment, and nobody may have shortened it.
//!
//! One killed between the two steps leaves no record: then the word names the one before it,
//! which did shorten the budget, or nobody. For people; nothing is decided by it.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Next, Word};
use crate::width;

use super::millis::Millis;

const EPOCH: u64 = width::mask(width::SHORTENED);
const PID_SHIFT: u32 = 26;
const PID: u64 = width::mask(22);
const AFTER_SHIFT: u32 = 48;

const _: () = assert!(width::SHORTENED <= PID_SHIFT);

/// The word, one for each scope.
#[repr(C)]
pub(crate) struct Shortened<M: Mem>(M::U64);

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortener {
    /// Process id as that process sees itself.
    pub(crate) pid: u32,
    /// Milliseconds after the start, to four digits.
    pub(crate) after_millis: u64,
}

impl<M: Mem> Shortened<M> {
    /// Records it; `is_last` says whether the control word has the epoch and the budget that
    /// the caller set.
    pub(super) fn record(&self, epoch: u64, by: Shortener, is_last: impl Fn() -> bool) {
        let word = Millis::<13>::of(by.after_millis).raw() << AFTER_SHIFT
            | (u64::from(by.pid) & PID) << PID_SHIFT
            | epoch & EPOCH;
        // After the load: a process that shortens later moves the control word first.
        self.0.update(|_| match is_last() {
            true => Next::Store(word, ()),
            false => Next::Leave(()),
        });
    }

    /// Who shortened the budget of the shutdown of `epoch` last.
    pub(crate) fn get(&self, epoch: u64) -> Option<Shortener> {
        let word = self.0.load(Ordering::Acquire);
        let pid = (word >> PID_SHIFT & PID) as u32;
        (pid != 0 && word & EPOCH == epoch & EPOCH).then(|| Shortener {
            pid,
            after_millis: Millis::<13>::from_raw(word >> AFTER_SHIFT).get(),
        })
    }
}

impl<M: Mem> Default for Shortened<M> {
    fn default() -> Self {
        Self(M::U64::default())
    }
}

// The macro takes fields by name.
shared!(Shortened<M> { 0 });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::{Mode, ReasonCode};
    use crate::table::control::Ask;
    use crate::table::scope::Scope;
    use crate::table::stopped::{Stopped, stop_everywhere};

    fn ask(budget_millis: u32) -> Ask {
        Ask {
            mode: Mode::Graceful,
            code: ReasonCode::Requested,
            budget_millis,
        }
    }

    fn by(scope: &Scope<Stopped>, pid: u32, millis: u32) {
        let _ = scope.initiate_by(ask(millis), pid, || 5_000_000);
    }

    fn begun() -> Scope<Stopped> {
        let scope = Scope::default();
        let _ = scope.initiate_by(ask(30_000), 1, || 2_000_000);
        scope
    }

    #[test]
    fn who_shortened_it_is_named_with_the_time_and_who_did_not_is_not() {
        let scope = begun();
        let epoch = scope.control().epoch();
        assert_eq!(scope.shortened.get(epoch), None);
        by(&scope, 7, 60_000);
        assert_eq!(scope.shortened.get(epoch), None);
        by(&scope, 7, 10_000);
        let wanted = Shortener {
            pid: 7,
            after_millis: 3_000,
        };
        assert_eq!(scope.shortened.get(epoch), Some(wanted));
        assert_eq!(scope.shortened.get(epoch + 1), None);
    }

    #[test]
    fn the_shortest_budget_names_its_process_wherever_another_is_stopped() {
        stop_everywhere(
            begun,
            |scope| by(scope, 7, 10_000),
            |scope| by(scope, 8, 5_000),
            |scope| {
                let named = scope.shortened.get(scope.control().epoch());
                assert_eq!(named.map(|by| by.pid), Some(8));
            },
        );
    }

    #[test]
    fn a_stopped_one_names_nobody_in_the_next_shutdown() {
        stop_everywhere(
            begun,
            |scope| by(scope, 7, 10_000),
            |scope| {
                let _ = scope.cancel().unwrap();
                let _ = scope.initiate_by(ask(30_000), 2, || 6_000_000);
            },
            |scope| {
                let named = scope.shortened.get(scope.control().epoch());
                // Stopped before it read the control word, it shortens that one.
                let is_its = scope.control().budget_millis() < 30_000;
                assert_eq!(named.map(|by| by.pid), is_its.then_some(7));
            },
        );
    }
}
