//! A time that belongs to one epoch: `epoch:16 | microseconds:48` in one word.
//!
//! Whoever comes first sets it, anybody may help, and a value of another epoch reads
//! as unset, so nothing must be cleared between shutdowns.

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

    /// Sets the stamp unless it is set in this epoch already; returns what stands.
    pub(crate) fn set_once(&self, epoch: u32, micros: u64) -> u64 {
        let mut current = self.0.load(Ordering::Acquire);
        loop {
            if let Some(set) = unpack(current, epoch) {
                return set;
            }
            let mine = pack(epoch, micros);
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
            if more == 0 {
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
