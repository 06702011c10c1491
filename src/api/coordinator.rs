//! The coordinator: any process's hand on the shutdown. It is a view of the segment, not
//! a process; nobody depends on the one who holds it.

use std::cell::Cell;
use std::sync::Arc;

use crate::api::core::Core;
use crate::api::handlers::HandlerContext;
use crate::api::handlers::register;
use crate::api::request::{Scope, ShutdownRequest};
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::trace;
use crate::api::view::{View, corrupt};
use crate::error::{CoordinationError, SegmentError};
use crate::note::{Kind, Note, OWN};
use crate::phase::Phase;
use crate::sync::{Env, Pulse, Real};
use crate::table::control::{Ask, Control};
use crate::table::member::Member;
use crate::table::reason::Reason;
use crate::table::request::Proposer;
use crate::table::scope::{Initiated, Scope as Record};

/// What part an initiator plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Initiation {
    /// This call began the shutdown.
    Drives,
    /// One was under way; it now has the stronger mode and the earlier deadline of both.
    Merged,
    /// It is over already; its outcome stands.
    Over,
}

/// A runner found by its id, to be asked about without searching again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunnerHandle {
    slot: usize,
    generation: u64,
    /// Epoch of its own scope, which changes with every new holder of the slot (and
    /// when its own shutdown is cancelled).
    epoch: u64,
}

impl RunnerHandle {
    pub(super) const fn new(slot: usize, generation: u64, epoch: u64) -> Self {
        Self {
            slot,
            generation,
            epoch,
        }
    }

    /// Slot and its generation.
    pub(super) const fn key(self) -> (usize, u64) {
        (self.slot, self.generation)
    }
}

/// Begins, watches, hardens and cancels shutdowns. Cheap to make and to clone.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use ebbtide::{Runner, Scope, SegmentOptions, ShutdownCoordinator, ShutdownOutcome, ShutdownRequest};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let runner = Runner::join(&segment, "runner-1")?;
/// let worker = std::thread::spawn(move || {
///     runner.wait_for_shutdown(None)?;
///     runner.run_shutdown()
/// });
/// let coordinator = ShutdownCoordinator::new(&segment);
/// coordinator.initiate_shutdown(&Scope::All, &ShutdownRequest::new())?;
/// let report = coordinator.wait_for_shutdown_complete(&Scope::All, Duration::from_secs(10))?;
/// assert_eq!(report.outcome, ShutdownOutcome::Completed);
/// # worker.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ShutdownCoordinator {
    pub(super) session: Arc<Session>,
}

impl ShutdownCoordinator {
    /// The coordinator of a segment.
    #[must_use]
    pub fn new(segment: &Segment) -> Self {
        Self {
            session: Arc::clone(segment.session()),
        }
    }

    /// Begins a shutdown of the scope, wakes everybody in it, and returns at once. Asked
    /// by several, or again, it merges: stronger mode, earlier deadline, first reason.
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`], [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn initiate_shutdown(
        &self,
        scope: &Scope,
        request: &ShutdownRequest,
    ) -> Result<Initiation, CoordinationError> {
        let initiation = self.initiate(scope, request)?;
        trace::initiated(scope, initiation, request);
        Ok(initiation)
    }

    fn initiate(
        &self,
        scope: &Scope,
        request: &ShutdownRequest,
    ) -> Result<Initiation, CoordinationError> {
        let core = self.checked()?;
        let group = &core.tables().group;
        let clock = Clock::of(core);
        match self.target(scope)? {
            Aim::All => {
                // Before it begins, so that who has died by now is history.
                let _ = group.count_out_dead(0..group.used(), core);
                loop {
                    self.propose(&group.scope, request, &core.tables().reason);
                    let initiated =
                        group
                            .scope
                            .initiate_by(request.ask(), std::process::id(), || clock.now());
                    let initiation = match initiated.map_err(corrupt)? {
                        Initiated::Renewing => {
                            group.generation.help(&group.scope).map_err(corrupt)?;
                            continue;
                        }
                        initiated => {
                            if let Some(note) = begun(initiated, request) {
                                core.write_note(clock.last(), note);
                            }
                            role(initiated)
                        }
                    };
                    group.wake_own();
                    // With nobody to wait for, it is for us to go on.
                    let _ = group.advance(core).map_err(corrupt)?;
                    return Ok(initiation);
                }
            }
            Aim::Runner { slot, member, own } => {
                let record = &group.runners[slot].own;
                self.propose(record, request, &core.tables().texts[slot].reason);
                // The epoch was read before the member was verified; if the slot has a
                // new holder since, the control word is of another epoch.
                if !member.is_counted() {
                    return Ok(Initiation::Over);
                }
                let initiated = record
                    .initiate_in(own.epoch(), request.ask(), std::process::id(), || {
                        clock.now()
                    })
                    .map_err(corrupt)?;
                let Some(initiated) = initiated else {
                    return Ok(Initiation::Over);
                };
                if let Some(note) = begun(initiated, request) {
                    let detail = note.detail | OWN;
                    let note = note.detail(detail).runner(slot, member.generation());
                    core.write_note(clock.last(), note);
                }
                if group.scope.control().is_shutting_down() {
                    // The runner may be asleep on the group's word.
                    group.scope.wake_all();
                }
                let _ = group.advance_own(slot, core).map_err(corrupt)?;
                Ok(role(initiated))
            }
        }
    }

    fn propose(&self, scope: &Record<Real>, request: &ShutdownRequest, reason: &Reason<Real>) {
        let core = self.session.core();
        let running = scope.control();
        if running.is_shutting_down() {
            // The first reason is kept.
            return;
        }
        let proposer = |process| {
            let word = core.tables().processes.word(process);
            Proposer::new(process, word.generation())
        };
        let is_alive = |other: Proposer| {
            let is_there = matches!(core.process_pulse(other.process), Pulse::Alive(_));
            is_there && proposer(other.process) == other
        };
        scope.request.propose(
            running.epoch(),
            proposer(core.process()),
            request.terms(),
            (reason, request.text()),
            is_alive,
            || scope.control() == running,
        );
    }

    /// Whether a shutdown of the group or of this runner is on or over: two atomic
    /// loads, no lock. A handle of a slot that has a new holder answers true.
    #[inline]
    #[must_use]
    pub fn check_shutdown_signal(&self, runner: RunnerHandle) -> bool {
        let group = &self.session.core().tables().group;
        match group.runners.get(runner.slot) {
            Some(record) => {
                let own = record.own.control();
                group.scope.control().is_shutting_down()
                    || own.is_shutting_down()
                    || own.epoch() != runner.epoch
                        && !group.member(runner.slot).is_live(runner.generation)
            }
            None => true,
        }
    }

    /// Finds a runner by id: a living one before an ended one.
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`], [`SegmentError::ForkedHandle`].
    pub fn runner(&self, id: &str) -> Result<RunnerHandle, CoordinationError> {
        self.checked()?;
        match self.view().find(id) {
            Some((slot, member)) => Ok(RunnerHandle {
                slot,
                generation: member.generation(),
                epoch: self.session.core().tables().group.runners[slot]
                    .own
                    .control()
                    .epoch(),
            }),
            None => Err(CoordinationError::NoSuchRunner { id: id.into() }),
        }
    }

    /// Registers a closure of this process, to be run in a phase of the shutdown of
    /// every runner that this process drives by
    /// [`run_shutdown`](crate::Runner::run_shutdown); see
    /// [`Runner::register_shutdown_handler`](crate::Runner::register_shutdown_handler)
    /// for one runner's.
    ///
    /// # Errors
    /// [`CoordinationError::InvalidName`]; `OutOfOrder` for a phase that is not acknowledged.
    pub fn register_shutdown_handler(
        &self,
        phase: Phase,
        priority: i32,
        name: &str,
        handler: impl FnMut(&HandlerContext) + Send + 'static,
    ) -> Result<(), CoordinationError> {
        register(&self.session, phase, priority, name, None, handler)
    }

    pub(super) fn target(&self, scope: &Scope) -> Result<Aim, CoordinationError> {
        let Scope::Runner(id) = scope else {
            return Ok(Aim::All);
        };
        let runner = self.runner(id)?;
        let group = &self.session.core().tables().group;
        let own = group.runners[runner.slot].own.control();
        let member = group.member(runner.slot);
        if member.generation() != runner.generation {
            return Err(CoordinationError::NoSuchRunner { id: id.clone() });
        }
        Ok(Aim::Runner {
            slot: runner.slot,
            member,
            own,
        })
    }

    pub(super) fn checked(&self) -> Result<&Core, SegmentError> {
        let core = self.session.core().as_ref();
        core.check()?;
        Ok(core)
    }

    pub(super) fn view(&self) -> View<'_, Core> {
        let core = self.session.core().as_ref();
        View {
            name: core.opened().name().as_str(),
            tables: core.tables(),
            env: core,
        }
    }
}

/// A scope resolved. For a runner: its slot, membership and control word, the latter
/// read before the membership was verified.
#[derive(Clone, Copy)]
pub(super) enum Aim {
    All,
    Runner {
        slot: usize,
        member: Member,
        own: Control,
    },
}

/// The clock of an initiation, which keeps its last reading: when the shutdown was begun or
/// merged into, for the note of it. Never before the start of its budget.
pub(super) struct Clock<'a> {
    core: &'a Core,
    last: Cell<u64>,
}

impl<'a> Clock<'a> {
    pub(super) const fn of(core: &'a Core) -> Self {
        let last = Cell::new(0);
        Self { core, last }
    }

    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.last.set(self.core.now());
        self.last.get()
    }

    pub(super) const fn last(&self) -> u64 {
        self.last.get()
    }
}

/// The note of an initiation.
fn begun(initiated: Initiated, request: &ShutdownRequest) -> Option<Note> {
    Some(begun_by(initiated, request.ask())?.text(request.text()))
}

/// The same for who has no text to give.
pub(super) fn begun_by(initiated: Initiated, ask: Ask) -> Option<Note> {
    let (kind, epoch) = match initiated {
        Initiated::Drives(epoch) => (Kind::Initiated, epoch),
        Initiated::Merged(epoch) => (Kind::Merged, epoch),
        Initiated::Over(_) | Initiated::Renewing => return None,
    };
    let note = Note::new(kind).detail(ask.mode as u8 | (ask.code as u8) << 2);
    Some(note.epoch(epoch).argument(u64::from(ask.budget_millis)))
}

fn role(initiated: Initiated) -> Initiation {
    match initiated {
        Initiated::Drives(_) => Initiation::Drives,
        Initiated::Merged(_) => Initiation::Merged,
        Initiated::Over(_) | Initiated::Renewing => Initiation::Over,
    }
}
