//! When a runner saw a shutdown and did its phases.

use crate::segment::shared;
use crate::sync::Mem;

use super::scope::Scope;
use super::stamp::Stamp;

/// The times of one runner in one scope, tagged with the scope's epoch; they count from the
/// scope's floor on. Set by the threads of the runner's process; when Signaling was done also by
/// one that acknowledges it on the runner's behalf (`acknowledge.rs`).
#[repr(C)]
pub(crate) struct Times<M: Mem> {
    pub(super) observed: Stamp<M>,
    pub(super) acked: [Stamp<M>; 3],
}

impl<M: Mem> Times<M> {
    /// The runner has seen the shutdown of `epoch`; the first time is kept.
    pub(crate) fn observe(&self, scope: &Scope<M>, epoch: u64, now: u64) {
        scope.set_once(&self.observed, epoch, now);
    }

    /// It has done the phase of this index.
    pub(super) fn done(&self, scope: &Scope<M>, index: usize, epoch: u64, now: u64) {
        if let Some(stamp) = self.acked.get(index) {
            scope.set_once(stamp, epoch, now);
        }
    }

    /// When it saw the shutdown of `epoch`.
    pub(crate) fn observed_in(&self, scope: &Scope<M>, epoch: u64) -> Option<u64> {
        scope.time(&self.observed, epoch)
    }

    /// When it did the phase of this index.
    pub(crate) fn done_in(&self, scope: &Scope<M>, index: usize, epoch: u64) -> Option<u64> {
        scope.time(self.acked.get(index)?, epoch)
    }
}

impl<M: Mem> Default for Times<M> {
    fn default() -> Self {
        Self {
            observed: Stamp::default(),
            acked: core::array::from_fn(|_| Stamp::default()),
        }
    }
}

shared!(Times<M> { observed, acked });
