//! The one struct that names all tables, and the fingerprint of their layout.

use core::mem::{offset_of, size_of};

use crate::limits::{
    EVENT_RING, JOURNAL_RECORDS, KEY_BYTES, MAX_BARRIERS, MAX_CONDVARS, MAX_EVENTS, MAX_FAILURES,
    MAX_KEYS, MAX_LOCKS, MAX_PERMITS, MAX_PLACES, MAX_PROCESSES, MAX_RESOURCES, MAX_RUNNERS,
    MAX_SEMAPHORES, MAX_THREADS, TALLY_BOUNDS_MICROS, VALUE_BYTES,
};
use crate::segment::{Body, Shared, fingerprint, shared};
use crate::sync::Mem;
use crate::sync::condvar::Condvar;
use crate::sync::mutex::Mutex;
use crate::table::barrier::Barrier;
use crate::table::event_log::EventLog;
use crate::table::failures::Failures;
use crate::table::group::Group;
use crate::table::journal::{Journal, Record};
use crate::table::names::Names;
use crate::table::order::Order;
use crate::table::reason::Reason;
use crate::table::resources::{Resource, ResourceTexts, Resources};
use crate::table::runner::{Runner, Texts};
use crate::table::semaphore::Semaphore;
use crate::table::slots::{Process, Processes};
use crate::table::store::Store;
use crate::table::tallies::Tallies;
use crate::table::threads::{Thread, Threads};
use crate::table::waits::Waits;
use crate::width;

/// Everything behind the header. All-zero is the state of a new segment.
#[repr(C)]
pub(crate) struct Layout<M: Mem> {
    pub(crate) group: Group<M, MAX_RUNNERS>,
    pub(crate) texts: [Texts<M>; MAX_RUNNERS],
    /// Of the group's shutdown; written under its request's claim.
    pub(crate) reason: Reason<M>,
    pub(crate) processes: Processes<M, MAX_PROCESSES>,
    pub(crate) threads: Threads<M, MAX_THREADS>,
    pub(crate) lock_names: Names<M, MAX_LOCKS>,
    pub(crate) locks: [Mutex<M>; MAX_LOCKS],
    pub(crate) condvar_names: Names<M, MAX_CONDVARS>,
    pub(crate) condvars: [Condvar<M>; MAX_CONDVARS],
    pub(crate) event_names: Names<M, MAX_EVENTS>,
    pub(crate) events: [EventLog<M, EVENT_RING>; MAX_EVENTS],
    pub(crate) store: Store<M, MAX_KEYS, ENTRY_WORDS>,
    /// Which lock each thread waits for.
    pub(crate) waits: Waits<M, MAX_THREADS>,
    /// In which order locks were taken.
    pub(crate) order: Order<M>,
    pub(crate) semaphore_names: Names<M, MAX_SEMAPHORES>,
    pub(crate) semaphores: [Semaphore<M, MAX_PERMITS>; MAX_SEMAPHORES],
    pub(crate) barrier_names: Names<M, MAX_BARRIERS>,
    pub(crate) barriers: [Barrier<M, MAX_PLACES>; MAX_BARRIERS],
    pub(crate) resources: Resources<M, MAX_RESOURCES>,
    pub(crate) resource_texts: [ResourceTexts<M>; MAX_RESOURCES],
    /// What happened lately, and how often; advice.
    pub(crate) tallies: Tallies<M>,
    pub(crate) journal: Journal<M, JOURNAL_RECORDS>,
    /// What went wrong while runners shut down.
    pub(crate) failures: Failures<M, MAX_FAILURES>,
}

shared!(Layout<M> {
    group, texts, reason, processes, threads, lock_names, locks, condvar_names, condvars,
    event_names, events, store, waits, order, semaphore_names, semaphores, barrier_names,
    barriers, resources, resource_texts, tallies, journal, failures
});

/// Words of a key and its value.
pub(crate) const ENTRY_WORDS: usize = (KEY_BYTES + VALUE_BYTES) / size_of::<u64>();

/// Meaning of the bytes; raised by hand with every change that the sizes do not show.
const LAYOUT_VERSION: u32 = 5;

impl<M: Mem> Body for Layout<M>
where
    Layout<M>: Shared,
{
    const LAYOUT_VERSION: u32 = LAYOUT_VERSION;
    const FINGERPRINT: u64 = fingerprint(&[
        size_of::<Self>(),
        offset_of!(Self, texts),
        offset_of!(Self, reason),
        offset_of!(Self, processes),
        offset_of!(Self, threads),
        offset_of!(Self, lock_names),
        offset_of!(Self, locks),
        offset_of!(Self, condvar_names),
        offset_of!(Self, condvars),
        offset_of!(Self, event_names),
        offset_of!(Self, events),
        offset_of!(Self, store),
        offset_of!(Self, waits),
        offset_of!(Self, order),
        offset_of!(Self, semaphore_names),
        offset_of!(Self, semaphores),
        offset_of!(Self, barrier_names),
        offset_of!(Self, barriers),
        offset_of!(Self, resources),
        offset_of!(Self, resource_texts),
        offset_of!(Self, tallies),
        offset_of!(Self, journal),
        offset_of!(Self, failures),
        size_of::<Runner<M>>(),
        size_of::<Texts<M>>(),
        size_of::<Process<M>>(),
        size_of::<Thread<M>>(),
        size_of::<Resource<M>>(),
        size_of::<ResourceTexts<M>>(),
        size_of::<Record<M>>(),
        MAX_RUNNERS,
        MAX_PROCESSES,
        MAX_THREADS,
        MAX_LOCKS,
        MAX_CONDVARS,
        MAX_EVENTS,
        MAX_KEYS,
        ENTRY_WORDS,
        EVENT_RING,
        MAX_SEMAPHORES,
        MAX_PERMITS,
        MAX_BARRIERS,
        MAX_PLACES,
        MAX_RESOURCES,
        JOURNAL_RECORDS,
        MAX_FAILURES,
        TALLY_BOUNDS_MICROS.len(),
        // Builds of different widths do not share a segment.
        width::EPOCH as usize,
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    /// A small `/dev/shm` has room for some ten; whoever adds a table finds the total here,
    /// in `limits` and in `docs/faq.md` (`NoSpace`).
    #[test]
    fn a_segment_takes_at_most_five_and_a_half_mebibytes() {
        let bytes = size_of::<Layout<Real>>();
        assert!(bytes <= 11 << 19, "{bytes} bytes");
        assert!(
            bytes > 10 << 19,
            "{bytes} bytes: adapt the text of `limits`"
        );
    }
}
