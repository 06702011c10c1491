//! A time that belongs to one epoch: `epoch:16 | microseconds:48` in one word.
//!
//! Whoever comes first sets it, anybody may help, and a value of another epoch reads
//! as unset, so nothing must be cleared between shutdowns. A helper that was stopped
//! meanwhile never overwrites a newer epoch.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Word};

const MICROS: u64 = (1 << 48) - 1;

/// One stamp. All-zero is unset.
#[repr(C)]
pub(crate) struct Stamp<M: Mem>(M::U64);

impl<M: Mem> Stamp<M> {
    /// The microseconds set in this epoch, if any.
    pub(crate) fn get(&self, epoch: u32) -> Option<u64> {
        unpack(self.0.load(Ordering::Acquire), epoch)
    }

    /// Whatever bytes, for tests.
    #[cfg(test)]
    pub(super) fn write_raw(&self, raw: u64) {
        self.0.store(raw, Ordering::Release);
    }

    /// As it stands.
    pub(super) fn raw(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Whether it was set in this epoch, though it may have been set in a newer one since.
    pub(super) fn was_set(&self, epoch: u32) -> bool {
        let raw = self.raw();
        unpack(raw, epoch).is_some() || is_newer(raw, epoch)
    }

    /// Unsets it, for a new holder of its record: a stamp that went unused for half of all
    /// tags would pass for a newer one.
    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// What stands there if it would pass for one of this epoch or a newer one.
    pub(crate) fn misleading(&self, epoch: u32) -> Option<u64> {
        let raw = self.raw();
        (unpack(raw, epoch).is_some() || is_newer(raw, epoch)).then_some(raw)
    }

    /// Unsets exactly that.
    pub(crate) fn forget(&self, raw: u64) {
        let _ = self
            .0
            .compare_exchange(raw, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Sets the stamp unless it is set in this epoch already; returns what stands.
    pub(crate) fn set_once(&self, epoch: u32, micros: u64) -> u64 {
        let mut current = self.0.load(Ordering::Acquire);
        loop {
            if let Some(set) = unpack(current, epoch) {
                return set;
            }
            let mine = pack(epoch, micros);
            if is_newer(current, epoch) {
                // We were stopped, and the epoch is over.
                return mine & MICROS;
            }
            match self
                .0
                .compare_exchange(current, mine, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return mine & MICROS,
                Err(now) => current = now,
            }
        }
    }

    /// Adds to a value of this epoch (unset counts as zero) as long as `allow` says
    /// how much, given what stands; returns what was added.
    pub(crate) fn add(&self, epoch: u32, allow: impl Fn(u64) -> u64) -> u64 {
        let mut current = self.0.load(Ordering::Acquire);
        loop {
            let standing = unpack(current, epoch).unwrap_or(0);
            let more = allow(standing);
            if more == 0 || is_newer(current, epoch) {
                return 0;
            }
            let next = pack(epoch, standing.saturating_add(more));
            match self
                .0
                .compare_exchange(current, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return more,
                Err(now) => current = now,
            }
        }
    }
}

fn pack(epoch: u32, micros: u64) -> u64 {
    // Zero means unset; the clock has long passed its first microsecond.
    u64::from(epoch & 0xffff) << 48 | micros.clamp(1, MICROS)
}

/// Whether a stamp is of an epoch after this one (tags wrap; near is after).
fn is_newer(raw: u64, epoch: u32) -> bool {
    let ahead = ((raw >> 48) as u16).wrapping_sub(epoch as u16);
    raw & MICROS != 0 && (1..0x8000).contains(&ahead)
}

fn unpack(raw: u64, epoch: u32) -> Option<u64> {
    let micros = raw & MICROS;
    (micros != 0 && raw >> 48 == u64::from(epoch & 0xffff)).then_some(micros)
}

impl<M: Mem> Default for Stamp<M> {
    fn default() -> Self {
        Self(M::U64::default())
    }
}

shared!(Stamp<M> { 0 });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    #[test]
    fn the_first_of_an_epoch_stands_and_a_late_one_of_an_older_is_nothing() {
        let stamp = Stamp::<Real>::default();
        assert_eq!(stamp.set_once(7, 100), 100);
        assert_eq!(stamp.set_once(7, 200), 100);
        assert_eq!(stamp.set_once(8, 300), 300);
        assert_eq!(stamp.set_once(7, 400), 400, "answered, not stored");
        assert_eq!((stamp.get(8), stamp.get(7)), (Some(300), None));
        assert_eq!(stamp.add(7, |_| 5), 0);
        assert_eq!(stamp.get(8), Some(300));
        assert_eq!(stamp.add(8, |standing| standing), 300);
        assert_eq!(stamp.get(8), Some(600));
    }

    #[test]
    fn tags_wrap() {
        let stamp = Stamp::<Real>::default();
        stamp.set_once(0xffff, 1);
        stamp.set_once(0x1_0000, 2);
        assert_eq!(stamp.get(0), Some(2));
    }

    #[test]
    fn a_stamp_is_newer_for_half_of_all_tags_and_forgotten_only_as_it_was() {
        let stamp = Stamp::<Real>::default();
        assert!(!stamp.was_set(0) && stamp.misleading(0).is_none());
        stamp.set_once(0x100, 5);
        assert!(stamp.was_set(0x100) && stamp.was_set(0xff) && !stamp.was_set(0x101));
        let raw = stamp.raw();
        let misleads = |epoch| stamp.misleading(epoch) == Some(raw);
        assert!(misleads(0x100) && misleads(0xff) && !misleads(0x101));
        // As far ahead as can be, and one further.
        assert!(misleads(0x1_0000 + 0x100 - 0x7fff) && !misleads(0x1_0000 + 0x100 - 0x8000));
        stamp.forget(raw ^ 1);
        assert_eq!(stamp.get(0x100), Some(5));
        stamp.forget(raw);
        assert_eq!(stamp.raw(), 0);
        stamp.set_once(0x100, 0);
        assert_eq!(stamp.get(0x100), Some(1), "nought is unset");
        stamp.set_once(0x101, u64::MAX);
        assert_eq!(stamp.get(0x101), Some(MICROS));
        assert_eq!(stamp.add(0x101, |_| 0), 0);
        stamp.clear();
        assert_eq!(
            (stamp.raw(), stamp.add(0x101, |standing| standing + 3)),
            (0, 3)
        );
        assert_eq!(stamp.get(0x101), Some(3));
    }
}
