//! Whether a handle's runner has left, as one more word that is looked at beside the control
//! words of the segment.

use std::sync::atomic::{AtomicU64, Ordering};

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

    /// Sets it; answers whether it was set before.
    pub(super) fn set(&self) -> bool {
        self.0.swap(Control::COMPLETE.raw(), Ordering::AcqRel) != 0
    }
}
