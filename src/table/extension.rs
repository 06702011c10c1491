//! How much time `extend` has granted in one shutdown, over its budget.
//!
//! ```text
//! 63   40 39    0
//! [ time | epoch ]
//! ```
//! `time` is [`Millis`] with 21 bits of mantissa; what is of another epoch is nothing.
//!
//! A grant loads the word, then asks whether the shutdown of its epoch is still on, then
//! compare-and-swaps. If a process is stopped before the last step, others may
//! - grant more in the same shutdown: then the word loaded is gone, as grants only add up;
//! - end that shutdown, and grant in a later one: the word is gone, too;
//! - end that shutdown, and grant nothing: then the late grant is of an epoch that is over,
//!   over a word that was of no use in any later one either.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Next, Word};
use crate::width;

use super::millis::{self, Millis};

const TIME_SHIFT: u32 = 40;
const EPOCH: u64 = width::mask(width::EPOCH);

const _: () = assert!(width::EPOCH <= TIME_SHIFT && TIME_SHIFT + millis::LONG == u64::BITS);

/// The granted time. All-zero is none.
#[repr(C)]
pub(crate) struct Extension<M: Mem>(M::U64);

impl<M: Mem> Extension<M> {
    /// Milliseconds granted in the shutdown of `epoch`.
    pub(crate) fn get(&self, epoch: u64) -> u64 {
        unpack(self.0.load(Ordering::Acquire), epoch)
    }

    /// Adds as many milliseconds as `allow` says, given what was granted before, and as
    /// can be written; returns how many. `is_on` says whether the shutdown still is.
    pub(crate) fn add(
        &self,
        epoch: u64,
        allow: impl Fn(u64) -> u64,
        is_on: impl Fn() -> bool,
    ) -> u64 {
        self.0.update(|raw| {
            let granted = unpack(raw, epoch);
            if !is_on() {
                return Next::Leave(0);
            }
            let next = Millis::<21>::of(granted.saturating_add(allow(granted)));
            match next.get().saturating_sub(granted) {
                0 => Next::Leave(0),
                more => Next::Store(next.raw() << TIME_SHIFT | epoch & EPOCH, more),
            }
        })
    }
}

fn unpack(raw: u64, epoch: u64) -> u64 {
    match (raw ^ epoch) & EPOCH {
        0 => Millis::<21>::from_raw(raw >> TIME_SHIFT).get(),
        _ => 0,
    }
}

impl<M: Mem> Default for Extension<M> {
    fn default() -> Self {
        Self(M::U64::default())
    }
}

shared!(Extension<M> { 0 });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    fn on() -> bool {
        true
    }

    #[test]
    fn grants_add_up_within_one_shutdown() {
        let extension = Extension::<Real>::default();
        assert_eq!(extension.get(1), 0);
        assert_eq!(extension.add(1, |_| 5, on), 5);
        assert_eq!(extension.add(1, |granted| granted + 2, on), 7);
        assert_eq!((extension.get(1), extension.get(2)), (12, 0));
        assert_eq!(extension.add(2, |granted| granted + 3, on), 3);
        assert_eq!((extension.get(1), extension.get(2)), (0, 3));
        assert_eq!(extension.add(2, |_| 0, on), 0);
    }

    #[test]
    fn only_what_can_be_written_is_granted() {
        let extension = Extension::<Real>::default();
        assert_eq!(extension.add(1, |_| 2_097_155, on), 2_097_150);
        assert_eq!(extension.add(1, |_| 9, on), 0, "less than the next step");
        assert_eq!(extension.add(1, |_| 10, on), 10);
        assert_eq!(extension.get(1), 2_097_160);
        assert_eq!(
            extension.add(1, |_| u64::MAX, on),
            4_294_960_000 - 2_097_160
        );
    }

    /// Stopped after its question, which was answered: the grant is of a shutdown that is
    /// over, and counts in none.
    #[test]
    fn a_late_grant_counts_in_no_later_shutdown() {
        let extension = Extension::<Real>::default();
        let stopped = |meanwhile: &dyn Fn()| {
            let asked = core::cell::Cell::new(false);
            extension.add(
                1,
                |_| 5,
                || {
                    if !asked.replace(true) {
                        meanwhile();
                        return true;
                    }
                    false
                },
            )
        };
        // Another grant in a later one: what was loaded is gone, and then it asks again.
        let late = stopped(&|| assert_eq!(extension.add(2, |_| 7, on), 7));
        assert_eq!((late, extension.get(2), extension.get(1)), (0, 7, 0));
        // None: it stores, under its own epoch.
        assert_eq!(stopped(&|| ()), 5);
        assert_eq!(
            (extension.get(1), extension.get(2), extension.get(3)),
            (5, 0, 0)
        );
        assert_eq!(extension.add(3, |_| 5, || false), 0, "it is over");
    }
}
