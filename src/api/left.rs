//! Whether a handle's runner has left: as one more word that is read beside the control words
//! of the segment, and under the lock of those who write into the runner's record.
//!
//! Texts are written by plain stores, so nothing but this lock keeps a thread that was stopped
//! in the middle from writing into the record of the slot's next holder. A writer reads under
//! the lock whether the runner has left; leaving says so under the lock, before it gives the
//! slot up. So leaving waits for a writer in progress, and whoever comes after writes nothing.
//! A stopped writer delays the leaving of its own process's runner and nothing else. The lock
//! is held for stores and loads only: no code of the user runs under it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::table::control::Control;

/// Zero, a scope that is running, until it is set; then one that is complete.
///
/// Stored with release and read with acquire; where it is read relaxed, it decides nothing
/// but itself.
#[derive(Debug, Default)]
pub(super) struct Left(AtomicU64);

impl Left {
    /// As a control word.
    #[inline]
    pub(super) fn control(&self) -> Control {
        Control::from_raw(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Sets it; only by [`Writing::end`].
    fn set(&self) {
        self.0.store(Control::COMPLETE.raw(), Ordering::Release);
    }
}

/// The right of this process's threads to write into a runner's record, one at a time, until
/// the runner leaves.
///
/// Not to be asked for in a forked child: a thread of the parent may hold it for ever.
#[derive(Debug, Default)]
pub(crate) struct Writing(Mutex<bool>);

/// A write in progress.
#[must_use]
pub(crate) struct Written<'a>(#[allow(dead_code)] MutexGuard<'a, bool>);

impl Writing {
    /// Begins a write, after the one in progress; `None` once the runner has left.
    pub(crate) fn begin(&self) -> Option<Written<'_>> {
        let has_left = self.lock();
        (!*has_left).then(|| Written(has_left))
    }

    /// Waits for the write in progress and ends the right; false if it has ended before.
    pub(super) fn end(&self, left: &Left) -> bool {
        let mut has_left = self.lock();
        if *has_left {
            return false;
        }
        *has_left = true;
        left.set();
        true
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
