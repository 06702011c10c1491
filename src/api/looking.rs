//! Looking through the coordinator: status, laggards, reports.

use crate::api::coordinator::{Aim, ShutdownCoordinator};
use crate::api::report::ShutdownReport;
use crate::api::request::Scope;
use crate::api::status::{Laggard, Status};
use crate::api::view::Target;
use crate::api::why::Why;
use crate::error::CoordinationError;

impl ShutdownCoordinator {
    /// What is going on now. Never blocks.
    ///
    /// # Errors
    /// [`SegmentError::Corrupt`](crate::SegmentError::Corrupt), `ForkedHandle`.
    pub fn status(&self) -> Result<Status, CoordinationError> {
        self.checked()?;
        Ok(self.view().status()?)
    }

    /// Why the shutdown takes so long, in sentences; see
    /// [`Observer::why`](crate::Observer::why). Never blocks.
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`], [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn why(&self, runner: Option<&str>) -> Result<Why, CoordinationError> {
        self.checked()?;
        self.view().why(runner)
    }

    /// Who holds the scope's present phase up.
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`], [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn laggards(&self, scope: &Scope) -> Result<Vec<Laggard>, CoordinationError> {
        self.checked()?;
        let target = match self.target(scope)? {
            Aim::All => Target::All,
            Aim::Runner { slot, .. } => Target::Slot(slot),
        };
        Ok(self.view().laggards(target))
    }

    /// The report of the scope's present or last shutdown. Never blocks.
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`], [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn report(&self, scope: &Scope) -> Result<ShutdownReport, CoordinationError> {
        self.checked()?;
        let target = match self.target(scope)? {
            Aim::All => Target::All,
            Aim::Runner { slot, .. } => Target::Slot(slot),
        };
        Ok(self.view().report(target)?)
    }
}
