//! Named events between processes.

use std::sync::Arc;
use std::time::Duration;

use crate::api::core::deadline;
use crate::api::lock::index_of;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::error::{CoordinationError, LockError};
use crate::sync::Real;
use crate::sync::event::{Event, Waited};

/// A named flag that processes set, clear and wait for. Level-triggered: waiting takes
/// nothing from other waiters, and a wait on a set event returns at once.
#[derive(Clone, Debug)]
pub struct CrossProcessEvent {
    session: Arc<Session>,
    index: usize,
}

impl CrossProcessEvent {
    /// Opens the event of this name (1 to 64 bytes); new ones are not set.
    ///
    /// # Errors
    /// [`CoordinationError::InvalidName`], [`SegmentError::Full`](crate::SegmentError::Full)
    /// (128 of them), [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn open(segment: &Segment, name: &str) -> Result<Self, LockError> {
        let session = Arc::clone(segment.session());
        let names = &session.core().tables().event_names;
        let index = index_of(session.core(), names, "events", name)?;
        Ok(Self { session, index })
    }

    /// Sets the event and wakes all who wait; one system call if anybody does.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn set(&self) -> Result<(), CoordinationError> {
        self.session.core().check()?;
        self.word().set();
        Ok(())
    }

    /// Clears the event.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn clear(&self) -> Result<(), CoordinationError> {
        self.session.core().check()?;
        self.word().clear();
        Ok(())
    }

    /// Whether the event is set: one atomic load.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.word().is_set()
    }

    /// Blocks until the event is set, or was set since the call began. False if the
    /// timeout passes first.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, CoordinationError> {
        let core = self.session.core();
        core.check()?;
        let until = deadline(core.as_ref(), timeout);
        Ok(self.word().wait(core.as_ref(), until) == Waited::Set)
    }

    fn word(&self) -> &Event<Real> {
        &self.session.core().tables().events[self.index]
    }
}
