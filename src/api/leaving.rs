//! A runner's way out: acknowledging, the whole shutdown, failing, leaving.

use std::sync::Arc;
use std::time::Duration;

use crate::api::coordinator::ShutdownCoordinator;
use crate::api::driver::Driver;
use crate::api::failure::{of_handler, tell};
use crate::api::handlers::{HandlerContext, register};
use crate::api::report::{HandlerReport, ShutdownOutcome, ShutdownReport};
use crate::api::request::{Scope, ShutdownRequest};
use crate::api::runner::Runner;
use crate::api::signals;
use crate::api::standing::{Patience, items};
use crate::api::trace;
use crate::api::within::{self, WaitsFor};
use crate::error::CoordinationError;
use crate::phase::{Phase, ReasonCode};
use crate::table::acknowledge::Acked;
use crate::table::control::Control;
use crate::table::failures::{Failing, FailureKind, FailureSource};
use crate::table::runner::Verdict;

/// The answer to an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acknowledged {
    /// It counted.
    InTime,
    /// The phase had been forced without this runner; its time is recorded.
    Late,
}

impl Runner {
    /// Acknowledges a phase by hand: this runner has *done* it. Phases are acknowledged
    /// in order, each after it is published. Draining closes the gate for new work and
    /// is refused while work is in flight. Most programs call
    /// [`run_shutdown`](Self::run_shutdown) instead.
    ///
    /// # Errors
    /// [`CoordinationError::OutOfOrder`], `Left`, [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn acknowledge(&self, phase: Phase) -> Result<Acknowledged, CoordinationError> {
        self.check()?;
        let (group, own) = self.controls();
        self.observe(group, own);
        let is_draining = phase == Phase::Draining && self.phase() >= phase;
        if is_draining && self.close_gate().is_some_and(|closed| closed.count > 0) {
            return Err(CoordinationError::OutOfOrder {
                phase,
                problem: "work is in flight",
            });
        }
        let epochs = (group.epoch(), own.epoch());
        let acknowledged = self.settle(epochs, phase)?;
        // The process that resolves a laggard goes on watching; the keeper does it for us.
        self.session().watch(self.key().0);
        acknowledged.ok_or(CoordinationError::OutOfOrder {
            phase,
            problem: "it is not published yet, or an earlier one is not acknowledged",
        })
    }

    /// Acknowledges `phase` in each scope that has come to it. `None` if no scope has.
    pub(crate) fn settle(
        &self,
        epochs: (u64, u64),
        phase: Phase,
    ) -> Result<Option<Acknowledged>, CoordinationError> {
        let core = self.core().as_ref();
        let (slot, generation) = self.key();
        let group = &core.tables().group;
        let in_group = group.acknowledge(slot, generation, epochs.0, phase, core);
        // One that begins after this look finds us when it wakes us.
        let own_is_on = self.record().own.control().is_shutting_down();
        let in_own =
            own_is_on.then(|| group.acknowledge_own(slot, generation, epochs.1, phase, core));
        let mut result = None;
        for answer in [Some(in_group), in_own].into_iter().flatten() {
            match answer.map_err(|c| core.corrupt(c))? {
                Acked::InTime => result = result.or(Some(Acknowledged::InTime)),
                Acked::Late => result = Some(Acknowledged::Late),
                Acked::NotLive => return Err(self.spent()),
                Acked::OutOfOrder => {}
            }
        }
        Ok(result)
    }

    /// Whether nothing up to `phase` is left to be acknowledged in any scope that is shutting
    /// down. False once the slot is not this runner's.
    pub(crate) fn has_acknowledged(&self, epochs: (u64, u64), phase: Phase) -> bool {
        let (slot, generation) = self.key();
        let group = &self.core().tables().group;
        let member = group.member(slot);
        let (of_group, own) = self.controls();
        let is_done =
            |control: Control, acked: Phase| !control.is_shutting_down() || acked >= phase;
        member.is_live(generation)
            && is_done(of_group, group.acked(slot, member, epochs.0))
            && is_done(own, group.own_acked(slot, member, epochs.1))
    }

    /// Registers a closure to be run in a phase of this runner's shutdown, on a thread
    /// of its own, one after another: higher priority first, then first registered.
    ///
    /// A panic is caught and recorded. A handler that overruns its phase is named in
    /// status and report as abandoned, and the phase goes on without it.
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
        register(
            self.session(),
            phase,
            priority,
            name,
            Some(self.key()),
            handler,
        )
    }

    /// Does the whole shutdown of this runner and blocks until it is over: runs the
    /// handlers of each phase, closes the gate and waits for in-flight work in Draining,
    /// acknowledges after acting, waits for the others, and leaves. The report has the
    /// outcome of all and the record of this runner;
    /// [`ShutdownCoordinator::report`](crate::ShutdownCoordinator::report) has everybody's.
    ///
    /// Called by several threads, or again, it gives them all the same report.
    ///
    /// Returns with outcome `Cancelled`, not having left, if the shutdown is called off.
    ///
    /// # Errors
    /// [`CoordinationError::NotShuttingDown`] when none is on (see
    /// [`wait_for_shutdown`](Self::wait_for_shutdown)), `Left`, `WithinShutdown` in a handler or
    /// another closure of a runner that it would wait for,
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), [`SegmentError::Corrupt`](crate::SegmentError::Corrupt).
    pub fn run_shutdown(&self) -> Result<ShutdownReport, CoordinationError> {
        // Before any lock: a forked child has a copy of one that is never given back.
        self.core().check()?;
        // It would wait for a closure that waits for it, before this lock or after it.
        let (slot, generation) = self.key();
        within::refuse(
            self.core(),
            "run_shutdown",
            WaitsFor::Runner(slot, generation),
        )?;
        // Of several callers one drives; the others get its report.
        let mut finished = self.finished();
        if let Some(report) = finished.as_ref() {
            return Ok(report.clone());
        }
        self.check()?;
        let segment = self.core().opened().name().as_str();
        let _span = trace::run_shutdown(segment, self.id(), self.generation());
        let report = Driver::new(self).run()?;
        trace::shutdown_ended(&report);
        if report.outcome != ShutdownOutcome::Cancelled {
            *finished = Some(report.clone());
        }
        Ok(report)
    }

    /// Declares this runner failed, with a cause of at most 120 bytes, and leaves.
    pub fn fail(&self, cause: &str) {
        if self.check().is_err() {
            return;
        }
        if let Ok(_writing) = self.writing() {
            self.texts().cause.write(cause);
            self.judge(Verdict::Failed);
        }
        self.leave();
    }

    /// Records that this runner's work was ended by force, and leaves. For supervisors
    /// of foreign programs.
    pub fn leave_forced(&self) {
        if self.check().is_err() {
            return;
        }
        if let Ok(_writing) = self.writing() {
            self.judge(Verdict::Forced);
        }
        self.leave();
    }

    /// Records the handlers that did not return.
    pub(super) fn tell_handlers(&self, epochs: (u64, u64), reports: &[HandlerReport]) {
        for failing in reports.iter().filter_map(of_handler) {
            if let Ok(_writing) = self.writing() {
                tell(self.core(), self.key(), Some(epochs), &failing);
            }
        }
    }

    /// Records items that are in flight though all is closed.
    pub(super) fn tell_items(&self, epochs: (u64, u64)) {
        let count = self.record().gate.count(self.slot_generation());
        if count > 0
            && let Ok(_writing) = self.writing()
        {
            let failing = Failing {
                source: FailureSource::Items,
                kind: FailureKind::Abandoned,
                phase: Phase::Draining,
                name: &items(count),
                cause: "closed without waiting for them any longer",
                resource: None,
            };
            tell(self.core(), self.key(), Some(epochs), &failing);
        }
    }

    /// A shutdown was cancelled: what was done and recorded of phases after this one does not
    /// count any more.
    pub(super) fn undone_after(&self, kept: Phase) {
        self.standing().has_done(kept);
        if let Ok(_writing) = self.writing() {
            self.tables().failures.withdraw(self.key(), kept);
            if kept == Phase::Running {
                self.record().forget_untold(self.slot_generation());
            }
        }
    }

    fn judge(&self, verdict: Verdict) {
        self.record().judge(self.slot_generation(), verdict);
    }

    /// Goes in order by itself: shuts this runner down alone within `timeout`, as
    /// [`initiate_shutdown`](crate::ShutdownCoordinator::initiate_shutdown) of its scope
    /// followed by [`run_shutdown`](Self::run_shutdown) would. It drains, runs its handlers,
    /// closes what it registered, and leaves; nobody else is shut down. If a shutdown of the
    /// group or of it is on, that is done, too, with the earlier deadline. Blocks until it is
    /// over.
    ///
    /// # Errors
    /// As [`run_shutdown`](Self::run_shutdown).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use ebbtide::{Phase, Runner, SegmentOptions, ShutdownOutcome};
    ///
    /// # let scratch = tempfile::tempdir()?;
    /// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
    /// let segment = options.create("job")?;
    /// let runner = Runner::join(&segment, "worker")?;
    /// runner.register_shutdown_handler(Phase::Closing, 0, "flush", |_| { /* … */ })?;
    /// let report = runner.shut_down(Duration::from_secs(10))?;
    /// assert_eq!(report.outcome, ShutdownOutcome::Completed);
    /// assert_eq!(report.handlers[0].name, "flush");
    /// # Ok(())
    /// # }
    /// ```
    pub fn shut_down(&self, timeout: Duration) -> Result<ShutdownReport, CoordinationError> {
        self.core().check()?;
        // Of one that has gone through it the report is kept.
        if self.check().is_ok() {
            let coordinator = ShutdownCoordinator {
                session: Arc::clone(self.session()),
            };
            let request = ShutdownRequest::new().timeout(timeout);
            let request = request.reason(ReasonCode::Requested, "the runner goes by itself");
            coordinator.initiate_shutdown(&Scope::runner(self.id()), &request)?;
        }
        self.run_shutdown()
    }

    /// Leaves in order: phases no longer wait for this runner. May be repeated; does
    /// nothing in a forked child. It waits for nobody; in a handler or another closure of
    /// this runner it leaves in the middle of its shutdown, and `run_shutdown` returns `Left`.
    ///
    /// In the middle of a shutdown, a runner that leaves handlers that have not run, open
    /// resources or items in flight is [`Abandoned`](crate::Outcome::Abandoned), and the
    /// report names them; so is one that is dropped then, or whose process exits. While no
    /// shutdown is on, open resources are leaks. To run and close what it registered, call
    /// [`shut_down`](Self::shut_down).
    pub fn leave(&self) {
        let core = self.core();
        // From now on no thread of this process writes into the record, which may be another's
        // as soon as the slot is given up.
        if core.is_forked() || !self.writing.end(&self.left) {
            return;
        }
        self.standing().part(self.session(), Patience::Any);
        self.session().handlers.forget(self.key());
        signals::left(self.session(), self.key());
        // A future of this process that waits for the runner sees no word move.
        self.session().reactor().poke();
    }
}
