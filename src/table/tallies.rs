//! Counters and histograms for monitors: what the journal's ring forgets.
//!
//! Each is moved by one relaxed `fetch_add` at a place that is rare or slow anyway, and
//! read by anybody. Advice, like the journal: a process killed between an event and its
//! count loses the count, and nothing is decided by any of them.

use core::sync::atomic::Ordering;

use crate::limits::{MAX_LOCKS, TALLY_BOUNDS_MICROS};
use crate::note::Kind;
use crate::segment::shared;
use crate::sync::{Mem, Word};

use super::endings::Endings;

const BUCKETS: usize = TALLY_BOUNDS_MICROS.len() + 1;

/// How often something took how long.
#[repr(C)]
pub(crate) struct Histogram<M: Mem> {
    /// Not cumulative; the last one is of what is longer than every bound.
    buckets: [M::U64; BUCKETS],
    /// Microseconds.
    sum: M::U64,
}

/// All of a segment.
#[repr(C)]
pub(crate) struct Tallies<M: Mem> {
    /// By kind of note; of the rare kinds only.
    counts: [M::U64; Kind::COUNT],
    forced: M::U64,
    /// How long Signaling, Draining and Closing of the group took.
    pub(crate) phases: [Histogram<M>; 3],
    /// How long whole shutdowns of the group took.
    pub(crate) shutdowns: Histogram<M>,
    /// How long threads waited for locks that they did not get at once.
    pub(crate) lock_waits: Histogram<M>,
    contended: [M::U64; MAX_LOCKS],
    /// Ended shutdowns of the group, by outcome.
    pub(crate) endings: Endings<M>,
}

impl<M: Mem> Histogram<M> {
    pub(crate) fn add(&self, micros: u64) {
        let bucket = TALLY_BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// The buckets, and the sum in microseconds.
    pub(crate) fn read(&self) -> ([u64; BUCKETS], u64) {
        let buckets = core::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed));
        (buckets, self.sum.load(Ordering::Relaxed))
    }
}

impl<M: Mem> Tallies<M> {
    pub(crate) fn count(&self, kind: Kind) {
        if let Some(count) = self.counts.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A phase of the group went on without somebody.
    pub(crate) fn count_forced(&self) {
        self.forced.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn forced(&self) -> u64 {
        self.forced.load(Ordering::Relaxed)
    }

    pub(crate) fn counted(&self, kind: Kind) -> u64 {
        let count = self.counts.get(kind as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// A thread waited for a lock, however that ended.
    pub(crate) fn waited(&self, lock: usize, micros: u64) {
        self.lock_waits.add(micros);
        if let Some(contended) = self.contended.get(lock) {
            contended.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often a thread had to wait for a lock.
    pub(crate) fn contended(&self, lock: usize) -> u64 {
        let contended = self.contended.get(lock);
        contended.map_or(0, |contended| contended.load(Ordering::Relaxed))
    }
}

shared!(Histogram<M> { buckets, sum });
shared!(Tallies<M> {
    counts,
    forced,
    phases,
    shutdowns,
    lock_waits,
    contended,
    endings
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;
    use core::sync::atomic::AtomicU64;

    fn zeros<const N: usize>() -> [AtomicU64; N] {
        core::array::from_fn(|_| AtomicU64::new(0))
    }

    fn histogram() -> Histogram<Real> {
        let [sum] = zeros();
        let buckets = zeros();
        Histogram { buckets, sum }
    }

    #[test]
    fn a_bound_is_within_its_bucket() {
        let histogram = histogram();
        let first = TALLY_BOUNDS_MICROS[0];
        let last = TALLY_BOUNDS_MICROS[BUCKETS - 2];
        for micros in [0, first, first + 1, last, last + 1, u64::MAX / 2] {
            histogram.add(micros);
        }
        let (buckets, sum) = histogram.read();
        assert_eq!((buckets[0], buckets[1]), (2, 1));
        assert_eq!((buckets[BUCKETS - 2], buckets[BUCKETS - 1]), (1, 2));
        assert_eq!(sum, 2 * first + 1 + 2 * last + 1 + u64::MAX / 2);
    }

    #[test]
    fn each_kind_and_each_lock_is_counted_for_itself() {
        let [forced] = zeros();
        let tallies = Tallies::<Real> {
            counts: zeros(),
            forced,
            phases: [(); 3].map(|()| histogram()),
            shutdowns: histogram(),
            lock_waits: histogram(),
            contended: zeros(),
            endings: Endings::default(),
        };
        for _ in 0..3 {
            tallies.count(Kind::Died);
            tallies.count_forced();
            tallies.waited(MAX_LOCKS - 1, 7);
        }
        tallies.count(Kind::Renewed);
        tallies.waited(MAX_LOCKS, 100);
        let counted = [Kind::Died, Kind::Renewed, Kind::Joined].map(|kind| tallies.counted(kind));
        assert_eq!((counted, tallies.forced()), ([3, 1, 0], 3));
        let contended = [0, MAX_LOCKS - 1, MAX_LOCKS].map(|lock| tallies.contended(lock));
        assert_eq!((contended, tallies.lock_waits.read().1), ([0, 3, 0], 121));
    }
}
