//! Hardening a shutdown, giving it more time, and calling it off.

use std::time::Duration;

use crate::api::coordinator::{Aim, Initiation, RunnerHandle, ShutdownCoordinator};
use crate::api::core::deadline;
use crate::api::request::{Scope, ShutdownRequest};
use crate::api::trace;
use crate::api::view::corrupt;
use crate::api::within::{self, WaitsFor};
use crate::error::CoordinationError;
use crate::limits;
use crate::note::{Kind, Note, OWN};
use crate::phase::{Mode, Phase};
use crate::sync::{Env, Mem, Real};
use crate::table::control::Control;
use crate::table::member::State;
use crate::table::scope::{Cancelled, Scope as Record};

impl ShutdownCoordinator {
    /// Makes the shutdown under way harder and wakes everybody; returns the mode before.
    /// In [`Mode::Immediate`] each phase has one second from now on, at most.
    ///
    /// # Errors
    /// [`CoordinationError::NotShuttingDown`], `ModeHeld` when it is as hard already,
    /// `NoSuchRunner`.
    pub fn escalate(&self, scope: &Scope, mode: Mode) -> Result<Mode, CoordinationError> {
        let core = self.checked()?;
        let group = &core.tables().group;
        let aim = self.target(scope)?;
        let (record, seen) = self.aimed(aim);
        let epoch = seen.epoch();
        match record.escalate_in(epoch, mode).map_err(corrupt)? {
            None => Err(CoordinationError::NotShuttingDown),
            Some(before) if before >= mode => Err(CoordinationError::ModeHeld { mode: before }),
            Some(before) => {
                let note = Note::new(Kind::Escalated).argument(before as u64);
                core.note_now(about(note, aim, mode as u8).epoch(epoch));
                // From now on each phase of Immediate counts, whoever looks next.
                let _ = record.deadlines(record.control(), core.now());
                // A runner that is shut down with the group sleeps on the group's word.
                group.scope.wake_all();
                trace::escalated(scope, before, mode);
                Ok(before)
            }
        }
    }

    /// Asks the runners that live on after a shutdown is over (its deadline passed without
    /// them) to end, as hard as the request says; returns those runners. The shutdown's outcome
    /// stays. Each gets a shutdown of its own; one whose own is over, too, sees the harder mode.
    /// So [`Runner::mode`](crate::Runner::mode) rises, and `ebbtide exec` kills its program in
    /// Immediate. A runner that does not look at its mode has to be killed by other means.
    /// Never blocks; see [`wait_left`](Self::wait_left).
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`],
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn end_remaining(
        &self,
        scope: &Scope,
        request: &ShutdownRequest,
    ) -> Result<Vec<RunnerHandle>, CoordinationError> {
        let core = self.checked()?;
        let group = &core.tables().group;
        let is_over = |control: Control| control.phase() == Ok(Phase::Complete);
        let ids = match scope {
            Scope::Runner(id) => vec![id.clone()],
            Scope::All if !is_over(group.scope.control()) => return Ok(Vec::new()),
            Scope::All => self.living()?,
        };
        let mut remaining = Vec::new();
        for id in ids {
            let of_it = Scope::Runner(id);
            let aim = match self.target(&of_it) {
                // It has left, and another runner has its slot.
                Err(CoordinationError::NoSuchRunner { .. }) if *scope == Scope::All => continue,
                aim => aim?,
            };
            let (record, seen) = self.aimed(aim);
            let Aim::Runner { slot, member, .. } = aim else {
                continue;
            };
            let is_live = member.state() == Ok(State::Live);
            let is_ended = is_over(seen) || is_over(group.scope.control());
            if !is_live || !is_ended || group.alive(slot, member, core).map_err(corrupt)?.is_none()
            {
                continue;
            }
            if self.initiate_shutdown(&of_it, request)? == Initiation::Over
                && record
                    .harden_over(seen.epoch(), request.ask().mode)
                    .map_err(corrupt)?
            {
                // It may be asleep on the group's word.
                group.scope.wake_all();
            }
            remaining.push(RunnerHandle::new(slot, member.generation(), seen.epoch()));
        }
        Ok(remaining)
    }

    /// Blocks until this runner has left or died, or the timeout passes. True if it has.
    ///
    /// # Errors
    /// `WithinShutdown` in a closure of that runner;
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn wait_left(
        &self,
        runner: RunnerHandle,
        timeout: Duration,
    ) -> Result<bool, CoordinationError> {
        let core = self.checked()?;
        let group = &core.tables().group;
        let (slot, generation) = runner.key();
        let until = deadline(core, Some(timeout));
        loop {
            let member = group.member(slot);
            let Some(record) = group
                .runners
                .get(slot)
                .filter(|_| member.is_live(generation))
            else {
                return Ok(true);
            };
            let seen = record.own.control();
            if group.alive(slot, member, core).map_err(corrupt)?.is_none() {
                return Ok(true);
            }
            core.opened().not_removed()?;
            if core.now() >= until {
                return Ok(false);
            }
            within::refuse(core, "wait_left", WaitsFor::Runner(slot, generation))?;
            // No word moves for certain when it leaves.
            let soon = core.now().saturating_add(limits::PORTABLE_POLL_MICROS);
            let _ = Real::wait(record.own.cell(), seen.futex_half(), until.min(soon));
        }
    }

    /// The ids of the living runners.
    fn living(&self) -> Result<Vec<String>, CoordinationError> {
        let core = self.checked()?;
        let group = &core.tables().group;
        let mut ids = Vec::new();
        for slot in 0..group.used() {
            if group.member(slot).state().map_err(corrupt)? == State::Live {
                ids.push(core.tables().texts[slot].id.read().0);
            }
        }
        Ok(ids)
    }

    /// Gives the present phase of the shutdown under way more time; returns what was
    /// granted, which may be less (time is counted in whole milliseconds, rounded up, and
    /// never granted past the cap). Later phases move with it, up to the cap of the request.
    ///
    /// No proof of progress is asked for, unlike by [`Runner::extend`](crate::Runner::extend):
    /// this is the word of whoever is responsible for the whole, not of one that is late.
    ///
    /// # Errors
    /// [`CoordinationError::NotShuttingDown`], `CapReached` when the cap leaves nothing,
    /// `NoSuchRunner`.
    pub fn extend(&self, scope: &Scope, more: Duration) -> Result<Duration, CoordinationError> {
        let core = self.checked()?;
        let aim = self.target(scope)?;
        let (record, control) = self.aimed(aim);
        if !control.is_shutting_down() || control.phase().map_err(corrupt)? == Phase::Complete {
            return Err(CoordinationError::NotShuttingDown);
        }
        let more = u64::try_from(more.as_micros()).unwrap_or(u64::MAX);
        match record.extend(control, more, core.now()) {
            0 => Err(CoordinationError::CapReached),
            granted => {
                let note = Note::new(Kind::Extended).argument(granted);
                core.note_now(about(note, aim, 0).epoch(control.epoch()));
                let granted = Duration::from_micros(granted);
                trace::extended(scope, granted);
                Ok(granted)
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
        let (record, seen) = self.aimed(aim);
        let epoch = seen.epoch();
        match record.cancel_in(epoch).map_err(corrupt)? {
            Cancelled::Done => {
                core.note_now(about(Note::new(Kind::Cancelled), aim, 0).epoch(epoch));
                if matches!(scope, Scope::Runner(_)) {
                    group.scope.wake_all();
                }
                trace::cancelled(scope);
                Ok(())
            }
            Cancelled::TooLate(phase) => Err(CoordinationError::TooLate { phase }),
            Cancelled::NothingToCancel => Err(CoordinationError::NotShuttingDown),
        }
    }

    /// The scope that is meant, and its control word. What follows is done in the epoch of
    /// that word only: of a runner it was read before its membership was verified, so its
    /// slot may have another holder by now.
    fn aimed(&self, aim: Aim) -> (&Record<Real>, Control) {
        let group = &self.session.core().tables().group;
        match aim {
            Aim::All => (&group.scope, group.scope.control()),
            Aim::Runner { slot, own, .. } => (&group.runners[slot].own, own),
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
