//! Hardening a shutdown, and calling it off.

use crate::api::coordinator::{Aim, ShutdownCoordinator};
use crate::api::request::Scope;
use crate::api::view::corrupt;
use crate::error::CoordinationError;
use crate::note::{Kind, Note, OWN};
use crate::phase::Mode;
use crate::table::scope::Cancelled;

impl ShutdownCoordinator {
    /// Makes the shutdown under way harder and wakes everybody; returns the mode before.
    ///
    /// # Errors
    /// [`CoordinationError::NotShuttingDown`], `ModeHeld` when it is as hard already,
    /// `NoSuchRunner`.
    pub fn escalate(&self, scope: &Scope, mode: Mode) -> Result<Mode, CoordinationError> {
        let core = self.checked()?;
        let group = &core.tables().group;
        let aim = self.target(scope)?;
        let record = match aim {
            Aim::All => &group.scope,
            Aim::Runner { slot, .. } => &group.runners[slot].own,
        };
        let epoch = record.control().epoch();
        match record.escalate(mode).map_err(corrupt)? {
            None => Err(CoordinationError::NotShuttingDown),
            Some(before) if before >= mode => Err(CoordinationError::ModeHeld { mode: before }),
            Some(before) => {
                let note = Note::new(Kind::Escalated).argument(before as u64);
                core.note_now(about(note, aim, mode as u8).epoch(epoch));
                // A runner that is shut down with the group sleeps on the group's word.
                group.scope.wake_all();
                Ok(before)
            }
        }
    }

    /// Calls a shutdown off: all runners in scope return to Running together and take
    /// work again. Possible until Closing is published.
    ///
    /// # Errors
    /// [`CoordinationError::TooLate`], `NotShuttingDown`, `NoSuchRunner`.
    pub fn cancel_shutdown(&self, scope: &Scope) -> Result<(), CoordinationError> {
        let core = self.checked()?;
        let group = &core.tables().group;
        let aim = self.target(scope)?;
        let record = match aim {
            Aim::All => &group.scope,
            Aim::Runner { slot, .. } => &group.runners[slot].own,
        };
        let epoch = record.control().epoch();
        match record.cancel().map_err(corrupt)? {
            Cancelled::Done => {
                core.note_now(about(Note::new(Kind::Cancelled), aim, 0).epoch(epoch));
                if matches!(scope, Scope::Runner(_)) {
                    group.scope.wake_all();
                }
                Ok(())
            }
            Cancelled::TooLate(phase) => Err(CoordinationError::TooLate { phase }),
            Cancelled::NothingToCancel => Err(CoordinationError::NotShuttingDown),
        }
    }
}

/// A note about the whole group, or about one runner's own shutdown.
fn about(note: Note, aim: Aim, detail: u8) -> Note {
    match aim {
        Aim::All => note.detail(detail),
        Aim::Runner { slot, member, .. } => {
            note.detail(detail | OWN).runner(slot, member.generation())
        }
    }
}
