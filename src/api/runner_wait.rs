//! A runner's waits for its own shutdown.

use std::time::Duration;

use crate::api::core::deadline;
use crate::api::noticing::acknowledge_told;
use crate::api::pollable::Notifier;
use crate::api::runner::Runner;
use crate::api::waiting::{Look, Wait};
use crate::error::CoordinationError;
use crate::limits;
use crate::phase::{Mode, Phase};
use crate::sync::{Env, Mem, Real};
use crate::table::control::Control;

impl Runner {
    /// Blocks until a shutdown of the group or of this runner begins, or the timeout
    /// passes. True if one is on. Woken by the initiator at once.
    ///
    /// # Errors
    /// `Left`; [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn wait_for_shutdown(&self, timeout: Option<Duration>) -> Result<bool, CoordinationError> {
        let is_told = || self.phase() != Phase::Running;
        let is_on = self.wait_until(timeout, is_told)?;
        if is_on {
            let (group, own) = self.controls();
            self.observe(group, own);
            self.notice(group, own, false);
        }
        Ok(is_on)
    }

    /// Blocks until the phase or the mode is another than these, or the timeout passes.
    /// True if one is. For programs that acknowledge by hand; woken by every change.
    ///
    /// # Errors
    /// `Left`; [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn wait_for_change(
        &self,
        phase: Phase,
        mode: Mode,
        timeout: Option<Duration>,
    ) -> Result<bool, CoordinationError> {
        self.wait_until(timeout, || self.phase() != phase || self.mode() != mode)
    }

    /// As [`wait_for_shutdown`](Self::wait_for_shutdown), as a future and without a timeout.
    /// Ends with an error when the runner leaves.
    pub fn shutdown_begun(&self) -> Wait<()> {
        Wait::new(self.session(), self.shutdown_look())
    }

    /// As [`wait_for_change`](Self::wait_for_change), as a future and without a timeout. Ends
    /// also when the runner leaves: its phase is Complete then.
    pub fn phase_changed(&self, phase: Phase, mode: Mode) -> Wait<()> {
        let (slot, generation) = self.key();
        let look: Look<_> = Box::new(move |core, sleep| {
            let group = &core.tables().group;
            let own = &group.runners.get(slot)?.own;
            let controls = [(&group.scope, group.scope.control()), (own, own.control())];
            let [first, second] = controls.map(|(_, control)| seen_in(control));
            let now = (first.0.max(second.0), first.1.max(second.1));
            if now != (phase, mode) || !group.member(slot).is_live(generation) {
                return Some(Ok(()));
            }
            for (scope, seen) in controls {
                sleep.on(scope.cell(), seen.futex_half());
            }
            None
        });
        Wait::new(self.session(), look)
    }

    /// A descriptor that is readable once a shutdown of the group or of this runner is on
    /// (or the runner has left).
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle); `System` when
    /// there is no descriptor or thread left.
    pub fn shutdown_notifier(&self) -> Result<Notifier, CoordinationError> {
        Notifier::new(self.session(), self.shutdown_look())
    }

    fn shutdown_look(&self) -> Look<Result<(), CoordinationError>> {
        let ((slot, generation), id) = (self.key(), self.id().to_owned());
        let signaled = self.session().handlers.signaled().clone();
        Box::new(move |core, sleep| {
            let group = &core.tables().group;
            let own = &group.runners.get(slot)?.own;
            let controls = [(&group.scope, group.scope.control()), (own, own.control())];
            if !group.member(slot).is_live(generation) {
                return Some(Err(CoordinationError::Left { id: id.clone() }));
            }
            if controls.iter().any(|(_, seen)| seen.is_shutting_down()) {
                let [(_, group), (_, own)] = controls;
                acknowledge_told(core, &signaled, (slot, generation), (group, own));
                return Some(Ok(()));
            }
            for (scope, seen) in controls {
                sleep.on(scope.cell(), seen.futex_half());
            }
            None
        })
    }

    /// Both control words, as seen, to sleep on: the group's first.
    pub(crate) fn cells(
        &self,
        group: Control,
        own: Control,
    ) -> [(<Real as Mem>::Cell<'_>, u32); 2] {
        let scope = &self.core().tables().group.scope;
        [
            (scope.cell(), group.futex_half()),
            (self.record().own.cell(), own.futex_half()),
        ]
    }

    /// Sleeps on both control words until `holds`, which is a look at them.
    fn wait_until(
        &self,
        timeout: Option<Duration>,
        holds: impl Fn() -> bool,
    ) -> Result<bool, CoordinationError> {
        let core = self.core();
        let until = deadline(core.as_ref(), timeout);
        loop {
            self.check()?;
            core.deaths.tell(core.tables());
            let (group, own) = self.controls();
            if holds() {
                return Ok(true);
            }
            let now = core.now();
            core.opened().not_removed()?;
            if now >= until {
                return Ok(false);
            }
            let bound = until.min(now.saturating_add(limits::WAIT_BOUND_MICROS));
            Real::wait_any(&self.cells(group, own), bound);
        }
    }
}

/// The phase and mode of one scope.
fn seen_in(control: Control) -> (Phase, Mode) {
    (control.phase().unwrap_or(Phase::Complete), control.mode())
}
