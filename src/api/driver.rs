//! One runner's way through a shutdown: act, acknowledge, wait, phase after phase.

use std::time::Duration;

use crate::api::glances::Glances;
use crate::api::handlers::Turn;
use crate::api::report::{HandlerOutcome, HandlerReport, ShutdownOutcome, ShutdownReport};
use crate::api::resource::{ResourceReport, ResourceState};
use crate::api::runner::Runner;
use crate::api::trace;
use crate::api::view::{Target, corrupt};
use crate::api::within::{self, WaitsFor};
use crate::error::CoordinationError;
use crate::limits;
use crate::note::Note;
use crate::phase::{Mode, Phase};
use crate::sync::{Env, Mem, Real};
use crate::table::control::Control;
use crate::table::scope::Scope;

/// The driver of one `run_shutdown`.
pub(crate) struct Driver<'a> {
    runner: &'a Runner,
    /// The last phase acted on; Running for none.
    done: Phase,
    /// Phases that went on without something that overran.
    tardy: bool,
    /// Epochs of the group and of the own scope that `done` belongs to.
    epochs: (u64, u64),
    handlers: Vec<HandlerReport>,
    glances: Glances,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(runner: &'a Runner) -> Self {
        let (group, own) = runner.controls();
        Self {
            runner,
            done: Phase::Running,
            tardy: false,
            epochs: (group.epoch(), own.epoch()),
            handlers: Vec::new(),
            glances: Glances::of_runner(runner.core(), runner.key().0),
        }
    }

    pub(crate) fn run(mut self) -> Result<ShutdownReport, CoordinationError> {
        let mut began = false;
        // Each turn acts on a phase, or follows a move of a control word or a sleep.
        loop {
            self.runner.check()?;
            let core = self.runner.core();
            core.deaths.tell(core.tables());
            self.glances.take(core).map_err(corrupt)?;
            let (group, own) = self.runner.controls();
            if (group.epoch(), own.epoch()) != self.epochs {
                self.call_off(group, own)?;
                began = true;
            }
            let phase = |control: Control| control.phase().map_err(corrupt);
            let (group_phase, own_phase) = (phase(group)?, phase(own)?);
            let target = group_phase.max(own_phase);
            if target == Phase::Running {
                return if began {
                    self.cancelled()
                } else {
                    Err(CoordinationError::NotShuttingDown)
                };
            }
            began = true;
            if group.is_shutting_down() {
                // In a closure of another runner, for which the group waits, too.
                within::refuse(self.runner.core(), "run_shutdown", WaitsFor::Group)?;
            }
            self.runner.observe(group, own);
            self.settle()?;
            if self.done < target.min(Phase::Closing) {
                let next = self.done.next();
                if self.act(next)? {
                    self.done = next;
                    self.settle()?;
                    trace::phase_done(next, self.tardy);
                }
            } else if target == Phase::Complete {
                let which = if own_phase == Phase::Complete {
                    Target::Slot(self.runner.key().0)
                } else {
                    Target::All
                };
                return self.finish(which);
            } else {
                self.wait(group, own)?;
            }
        }
    }

    /// One scope's shutdown was called off (and perhaps begun anew): what was done is
    /// undone, but for what the other scope still holds us to. A resource that was closed
    /// for the group is not closed again because our own shutdown was cancelled.
    fn call_off(&mut self, group: Control, own: Control) -> Result<(), CoordinationError> {
        let kept = |control: Control, before: u64| match control.epoch() == before {
            true => control.phase().map_err(corrupt),
            false => Ok(Phase::Running),
        };
        let held = kept(group, self.epochs.0)?.max(kept(own, self.epochs.1)?);
        self.done = self.done.min(held);
        if self.done < Phase::Draining {
            self.runner.reopen_gate();
            if let Some(resources) = self.runner.resources() {
                resources.undrain();
            }
        }
        if self.done == Phase::Running {
            self.tardy = false;
        }
        self.epochs = (group.epoch(), own.epoch());
        Ok(())
    }

    /// Acknowledges, in each scope, every phase done that the scope has come to.
    fn settle(&self) -> Result<(), CoordinationError> {
        if self.runner.has_acknowledged(self.epochs, self.done) {
            return Ok(());
        }
        for phase in Phase::ACKNOWLEDGED {
            if phase <= self.done {
                self.runner.settle(self.epochs, phase, self.tardy)?;
            }
        }
        Ok(())
    }

    /// Acts on a phase. False if the shutdown was called off meanwhile.
    fn act(&mut self, phase: Phase) -> Result<bool, CoordinationError> {
        let _span = trace::phase(phase);
        if phase == Phase::Draining {
            let _ = self.runner.close_gate();
        }
        self.run_handlers(phase);
        if phase == Phase::Draining && !self.drain()? {
            return Ok(false);
        }
        self.close_resources(phase);
        let (group, own) = self.runner.controls();
        Ok((group.epoch(), own.epoch()) == self.epochs)
    }

    fn run_handlers(&mut self, phase: Phase) {
        let runner = self.runner;
        let announce = |name: Option<&str>| match name {
            Some(name) => runner.set_activity(&format!("{phase} handler {name}")),
            None => runner.set_activity(""),
        };
        let (slot, generation) = runner.key();
        let note = |note: Note| {
            let note = note.runner(slot, generation).epoch(self.epochs.0);
            runner.core().note_now(note)
        };
        let watched = || {
            let (group, own) = runner.controls();
            runner.cells(group, own).to_vec()
        };
        let reports = runner.session().handlers.run(&Turn {
            of: (slot, generation),
            runner: runner.id(),
            phase,
            core: runner.core(),
            announce: &announce,
            left: &|| self.settled_and_left(phase),
            watched: &watched,
            note: &note,
        });
        self.tardy |= reports.iter().any(|report| {
            matches!(
                report.outcome,
                HandlerOutcome::Abandoned | HandlerOutcome::Skipped
            )
        });
        self.handlers.extend(reports);
    }

    /// Drains the resources of this runner, or closes them, after the handlers.
    fn close_resources(&mut self, phase: Phase) {
        let Some(resources) = self.runner.resources() else {
            return;
        };
        let left = || self.settled_and_left(phase);
        let in_time = match phase {
            Phase::Draining => resources.drain(&left),
            Phase::Closing => {
                // Closing cannot be called off, whatever becomes of the other scope.
                let report = resources.cleanup_in_shutdown(&|| {
                    self.settle_both();
                    self.left_of(phase)
                });
                let is_late = |r: &ResourceReport| r.state == ResourceState::TimedOut;
                !report.resources.iter().any(is_late)
            }
            _ => true,
        };
        self.tardy |= !in_time;
    }

    /// What a wait for a closure asks each time that a control word has moved. The other
    /// scope may have begun to shut down since the closure was started, and we may be waiting
    /// for one that waits there for us: what we have done counts there, too.
    fn settled_and_left(&self, phase: Phase) -> Duration {
        self.settle_both();
        self.left(phase)
    }

    fn settle_both(&self) {
        // An error is the end of this runner, which the next turn of `run` reports.
        let _ = self.settle();
    }

    /// How long `phase` may still take before it is forced in one of the scopes that are
    /// shutting down; zero when it was. Not the present phase's: the others go on while
    /// we are at it.
    fn left(&self, phase: Phase) -> Duration {
        let (group, own) = self.runner.controls();
        if (group.epoch(), own.epoch()) != self.epochs {
            // Called off: nobody waits for the handler any more.
            return Duration::ZERO;
        }
        self.left_of(phase)
    }

    fn left_of(&self, phase: Phase) -> Duration {
        let (group, own) = self.runner.controls();
        // After the words.
        let now = self.runner.core().now();
        let of = |scope: &Scope<Real>, control: Control| {
            if !control.is_shutting_down() {
                return u64::MAX;
            }
            match control.phase() {
                Ok(current) if current <= phase => {
                    scope.deadlines(control.in_phase(phase), now).phase
                }
                Ok(_) | Err(_) => 0,
            }
        };
        let tables = self.runner.core().tables();
        let until = of(&tables.group.scope, group).min(of(&self.runner.record().own, own));
        Duration::from_micros(until.saturating_sub(now))
    }

    /// When the present phase is forced: the earlier of the scopes that are shutting down.
    pub(crate) fn deadline_micros(&self) -> u64 {
        let (group, own) = self.runner.controls();
        // After the words.
        let now = self.runner.core().now();
        let of = |scope: &Scope<Real>, control: Control| {
            if !control.is_shutting_down() {
                return u64::MAX;
            }
            match control.phase() {
                // Over: no time left.
                Ok(Phase::Complete) | Err(_) => 0,
                Ok(_) => scope.deadlines(control, now).phase,
            }
        };
        let tables = self.runner.core().tables();
        of(&tables.group.scope, group).min(of(&self.runner.record().own, own))
    }

    /// Waits until nothing is in flight, the phase has gone on without us, or the mode
    /// does not wait. False if the shutdown was called off.
    fn drain(&mut self) -> Result<bool, CoordinationError> {
        let core = self.runner.core().as_ref();
        let tables = core.tables();
        let gate = &self.runner.record().gate;
        loop {
            let (group, own) = self.runner.controls();
            if (group.epoch(), own.epoch()) != self.epochs {
                return Ok(false);
            }
            // The other scope may have begun to shut down meanwhile; what we have done
            // counts there, too.
            self.settle()?;
            // It has left: the next check says so.
            let Some(closed) = self.runner.close_gate() else {
                return Ok(true);
            };
            if closed.count == 0 || self.runner.mode() == Mode::Immediate {
                return Ok(true);
            }
            if self.runner.phase() > Phase::Draining {
                self.tardy = true;
                return Ok(true);
            }
            // We are a waiter, too: force the phase when its time is up.
            self.glances.take(core).map_err(corrupt)?;
            let _ = tables.group.advance(core).map_err(corrupt)?;
            let _ = tables
                .group
                .advance_own(self.runner.key().0, core)
                .map_err(corrupt)?;
            if self.runner.controls() != (group, own) {
                continue;
            }
            let now = core.now();
            let bound = now
                .saturating_add(limits::WAIT_BOUND_MICROS)
                .min(self.deadline_micros());
            let [group, own] = self.runner.cells(group, own);
            Real::wait_any(&[(gate.cell(), closed.half), group, own], bound);
        }
    }

    fn wait(&self, group: Control, own: Control) -> Result<(), CoordinationError> {
        let core = self.runner.core().as_ref();
        let tables = core.tables();
        let slot = self.runner.key().0;
        let [group_cell, own_cell] = self.runner.cells(group, own);
        let own_is_on = own.is_shutting_down() && own.phase() != Ok(Phase::Complete);
        let group_is_on = group.is_shutting_down() && group.phase() != Ok(Phase::Complete);
        if own_is_on {
            // We acknowledge it ourselves, so it has moved already, or does at once.
            let look = tables.group.advance_own(slot, core).map_err(corrupt)?;
            if !group_is_on && self.runner.controls() == (group, own) {
                let own = &self.runner.record().own;
                tables
                    .group
                    .sleep(own, &look, Some(group_cell), core, u64::MAX);
            }
        }
        if group_is_on {
            let look = tables.group.advance(core).map_err(corrupt)?;
            if self.runner.controls() == (group, own) {
                tables
                    .group
                    .sleep(&tables.group.scope, &look, Some(own_cell), core, u64::MAX);
            }
        }
        Ok(())
    }

    fn cancelled(self) -> Result<ShutdownReport, CoordinationError> {
        let mut report = self.runner.own_report(Target::All)?;
        report.outcome = ShutdownOutcome::Cancelled;
        report.handlers = self.handlers;
        Ok(report)
    }

    fn finish(self, target: Target) -> Result<ShutdownReport, CoordinationError> {
        if self.runner.view().has_orphans() {
            // What the dead left in the system is anybody's to take away.
            self.runner.core().reap();
        }
        let mut report = self.runner.own_report(target)?;
        report.handlers = self.handlers;
        self.runner.leave();
        Ok(report)
    }
}
