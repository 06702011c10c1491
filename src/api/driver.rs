//! One runner's way through a shutdown: act, acknowledge, wait, phase after phase.
//!
//! A runner goes through two shutdowns at once when it is shut down alone and the group is, too.
//! What it does for one of them counts in the other: a phase done is acknowledged in each scope
//! that has come to it, also while a closure or another runner is waited for, since that other
//! one may wait for us in the other scope. One of the two may be called off, or called off and
//! begun anew, while the other holds us to the phase that we are at: then we go on, and what we
//! have done counts in the new one.

use std::cell::Cell;
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
    epochs: Cell<(u64, u64)>,
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
            epochs: Cell::new((group.epoch(), own.epoch())),
            handlers: Vec::new(),
            glances: Glances::of_runner(runner.core(), runner.key().0),
        }
    }

    pub(crate) fn run(mut self) -> Result<ShutdownReport, CoordinationError> {
        let mut began = false;
        self.runner.standing().has_done(Phase::Running);
        // Each turn acts on a phase, or follows a move of a control word or a sleep.
        loop {
            self.runner.check()?;
            let core = self.runner.core();
            core.deaths.tell(core.tables());
            self.glances.take(core).map_err(corrupt)?;
            let (group, own) = self.runner.controls();
            if (group.epoch(), own.epoch()) != self.epochs.get() {
                self.call_off(group, own);
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
                    self.runner.standing().has_done(next);
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

    /// The phase that those scopes hold us to whose shutdown has not been called off.
    fn held(&self, group: Control, own: Control) -> Phase {
        let (of_group, of_own) = self.epochs.get();
        // A corrupt word is reported by the next turn of `run`.
        let of = |control: Control, before: u64| match control.epoch() == before {
            true => control.phase().unwrap_or(Phase::Running),
            false => Phase::Running,
        };
        of(group, of_group).max(of(own, of_own))
    }

    /// Whether a scope holds us to `phase` still. Then a shutdown of the other scope that has
    /// begun anew is ours from now on, and what we have done counts there.
    fn is_held_to(&self, phase: Phase) -> bool {
        let (group, own) = self.runner.controls();
        let now = (group.epoch(), own.epoch());
        let is_held = now == self.epochs.get() || self.held(group, own) >= phase;
        if is_held {
            self.epochs.set(now);
        }
        is_held
    }

    /// One scope's shutdown was called off (and perhaps begun anew): what was done is
    /// undone, but for what the other scope still holds us to. A resource that was closed
    /// for the group is not closed again because our own shutdown was cancelled.
    fn call_off(&mut self, group: Control, own: Control) {
        self.done = self.done.min(self.held(group, own));
        self.runner.undone_after(self.done);
        if self.done < Phase::Draining {
            self.runner.reopen_gate();
            if let Some(resources) = self.runner.resources() {
                resources.undrain();
            }
        }
        if self.done == Phase::Running {
            self.tardy = false;
        }
        self.epochs.set((group.epoch(), own.epoch()));
    }

    /// Acknowledges, in each scope, every phase done that the scope has come to.
    fn settle(&self) -> Result<(), CoordinationError> {
        let epochs = self.epochs.get();
        if self.runner.has_acknowledged(epochs, self.done) {
            return Ok(());
        }
        for phase in Phase::ACKNOWLEDGED {
            if phase <= self.done {
                self.runner.settle(epochs, phase)?;
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
        if phase == Phase::Closing {
            self.runner.tell_items(self.epochs.get());
        }
        Ok(self.is_held_to(phase))
    }

    fn run_handlers(&mut self, phase: Phase) {
        let runner = self.runner;
        let announce = |name: Option<&str>| match name {
            Some(name) => runner.set_activity(&format!("{phase} handler {name}")),
            None => runner.set_activity(""),
        };
        let (slot, generation) = runner.key();
        let note = |note: Note| {
            let note = note.runner(slot, generation).epoch(self.epochs.get().0);
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
            left: &|| self.settle_and_left(phase),
            watched: &watched,
            ended: &|| runner.standing().handler_ended(),
            note: &note,
        });
        runner.tell_handlers(self.epochs.get(), &reports);
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
        let left = || self.settle_and_left(phase);
        let in_time = match phase {
            Phase::Draining => resources.drain(&left),
            Phase::Closing => {
                // Closing cannot be called off, whatever becomes of the other scope.
                let report = resources.cleanup_in_shutdown(&|| {
                    let _ = self.is_held_to(phase);
                    self.settle_in_between();
                    self.left_of(phase)
                });
                let is_late = |r: &ResourceReport| r.state == ResourceState::TimedOut;
                !report.resources.iter().any(is_late)
            }
            _ => true,
        };
        self.tardy |= !in_time;
    }

    /// How long `phase` may still take before it is forced in one of the scopes that are
    /// shutting down; zero when it was, or when no scope holds us to it any more. Not the present
    /// phase's: the others go on while we are at it.
    ///
    /// Waits for closures ask this each time that a control word has moved; so this is where
    /// what is done so far is acknowledged in a shutdown that has begun meanwhile.
    fn settle_and_left(&self, phase: Phase) -> Duration {
        if !self.is_held_to(phase) {
            // Called off: nobody waits for the handler any more.
            return Duration::ZERO;
        }
        self.settle_in_between();
        self.left_of(phase)
    }

    fn settle_in_between(&self) {
        // An error is the end of this runner, which the next turn of `run` reports.
        let _ = self.settle();
    }

    fn left_of(&self, phase: Phase) -> Duration {
        let (group, own) = self.runner.controls();
        // After the controls: a start that nobody has noted yet is noted as now.
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
        // After the controls, as above.
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
            if !self.is_held_to(Phase::Draining) {
                return Ok(false);
            }
            let (group, own) = self.runner.controls();
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
            let bound = core
                .now()
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
