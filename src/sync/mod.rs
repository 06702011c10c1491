//! Process-shared primitives, generic over the memory they live in.
//!
//! The same code runs on the real mapping, on loom's atomics, and on a memory
//! that kills its process at the k-th access: see [`mem::Mem`].

pub(crate) mod condvar;
pub(crate) mod event;
pub(crate) mod latch;
#[cfg(test)]
mod late_tests;
#[allow(unsafe_code)]
pub(crate) mod life;
#[cfg(all(test, target_os = "linux"))]
mod life_tests;
mod lock_look;
mod lock_word;
pub(crate) mod mem;
pub(crate) mod mutex;
pub(crate) mod mutex_poll;
mod owner;
#[cfg(test)]
mod tests;
mod watch;

use crate::note::Note;
pub(crate) use life::Pulse;
pub(crate) use mem::{LifeArea, Mem, Next, Real, Word};
pub(crate) use owner::{Holder, Owner};

/// What waiting code asks of the world outside the shared words.
pub(crate) trait Env<M: Mem> {
    /// Now, in microseconds of the segment's clock.
    fn now(&self) -> u64;
    /// Whether the process of process slot `process` lives.
    fn process_pulse(&self, process: usize) -> Pulse<'_, M>;
    /// Whether that very thread (slot and generation) lives.
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, M>;
    /// Whether that process is stopped (by a signal or a tracer), as far as the kernel can be
    /// asked.
    fn is_stopped(&self, process: usize) -> bool {
        let _ = process;
        false
    }
    /// Whether a wait until `until` is over at `now`: its time has passed, or the segment was
    /// removed, so that no process may end it any more. Every wait calls this after it has checked
    /// its condition and before each sleep.
    fn ends_wait(&self, now: u64, until: u64) -> bool {
        now >= until
    }
    /// Hears what happened at `at`; advice for the journal. Without one (as in models)
    /// nothing is even looked at. Answers the number of the record, 0 for none. Never blocks.
    fn note(&self, at: u64, note: impl FnOnce() -> Note) -> u64
    where
        Self: Sized,
    {
        let _ = (at, note);
        0
    }
}
