//! Work in flight: items of a runner, counted by its gate until they are done.

use crate::api::runner::Runner;
use crate::error::CoordinationError;
use crate::limits::MAX_IN_FLIGHT;
use crate::table::inflight::{Begun, Closed, Look};

/// One item of work in flight; counted out when it is dropped.
#[derive(Debug)]
#[must_use = "the item is counted out when this is dropped"]
pub struct InFlight<'a> {
    runner: &'a Runner,
}

impl Drop for InFlight<'_> {
    #[inline]
    fn drop(&mut self) {
        // A forked child inherits the guard but not the work.
        if !self.runner.core().is_forked() {
            let generation = self.runner.slot_generation();
            self.runner.record().gate.end_as(generation);
        }
    }
}

impl Runner {
    /// Counts an item of work as in flight until the guard is dropped. Never blocks; a few
    /// loads and one compare-and-swap.
    ///
    /// # Errors
    /// [`CoordinationError::Draining`] from the moment the phase word says Draining;
    /// `TooManyItems` while 16,777,215 items are in flight; `Left`;
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    #[inline]
    pub fn begin(&self) -> Result<InFlight<'_>, CoordinationError> {
        if self.core().is_spent() {
            return Err(self.spent());
        }
        let gate = &self.record().gate;
        match gate.begin_as(self.slot_generation(), || self.work_look()) {
            Begun::Counted => Ok(InFlight { runner: self }),
            refused => Err(self.refused(refused)),
        }
    }

    #[cold]
    fn refused(&self, begun: Begun) -> CoordinationError {
        if self.left.is_set() {
            return self.spent();
        }
        if begun == Begun::Refused {
            let (group, own) = self.controls();
            self.notice(group, own, true);
        }
        let id = self.id().into();
        match begun {
            Begun::Full => CoordinationError::TooManyItems {
                id,
                limit: MAX_IN_FLIGHT,
            },
            Begun::Counted | Begun::Refused => CoordinationError::Draining {
                id,
                phase: self.phase(),
            },
        }
    }

    /// Items being worked on now; none once this runner's slot has another holder.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.record().gate.count(self.slot_generation())
    }

    /// Closes the gate, after Draining was read. `None` once this runner has left.
    pub(super) fn close_gate(&self) -> Option<Closed> {
        // A thread of this process that is stopped while it reopens the gate is waited for, and
        // the next one reads phase words that are at least as new as those this caller read.
        let _writing = self.writing.begin()?;
        self.record().gate.close(self.slot_generation())
    }

    /// Opens the gate again after a cancelled shutdown, unless work is refused once more.
    pub(super) fn reopen_gate(&self) {
        if let Some(_writing) = self.writing.begin() {
            let gate = &self.record().gate;
            gate.reopen(self.slot_generation(), || self.work_look());
        }
    }

    /// Whether new work is refused, by the phase words or because the runner has left.
    #[inline]
    fn work_look(&self) -> Look {
        let (group, own) = self.controls();
        Look {
            refuses: self.left.is_set() || group.refuses_work() || own.refuses_work(),
            epochs: (group.epoch(), own.epoch()),
        }
    }
}
