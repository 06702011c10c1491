//! What went wrong while runners shut down: recorded by the runner, read by every process.

use std::fmt;

use crate::api::core::Core;
use crate::api::report::{HandlerOutcome, HandlerReport, Outcome, RunnerReport};
use crate::api::view::{Target, View};
use crate::phase::Phase;
use crate::sync::{Env, Real};
use crate::table::failures::{Failing, FailureKind, FailureSource, Read};
use crate::table::member::Member;
use crate::table::resources::Key;

/// The epochs of what was recorded while no shutdown was on: it decides no outcome.
pub(crate) const NO_SHUTDOWN: (u64, u64) = (u64::MAX, u64::MAX);

/// One handler, drain, cleanup or force closure that did not come to a good end, or items
/// that were not waited for. Kept in the segment with the record of its runner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailureReport {
    /// Id of the runner.
    pub runner: String,
    /// What failed.
    pub source: FailureSource,
    /// Name of the handler or resource; `items in flight` for those.
    pub name: String,
    /// The phase that it belongs to.
    pub phase: Phase,
    /// How it failed.
    pub kind: FailureKind,
    /// Why, cut to 120 bytes: the error or the panic message, or what it waited for.
    pub cause: String,
}

/// `runner: cleanup of cache failed in closing: disk full`.
impl fmt::Display for FailureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.kind {
            FailureKind::Failed => "failed",
            FailureKind::Panicked => "panicked",
            FailureKind::Skipped => "was skipped",
            FailureKind::Abandoned => "was left behind",
            FailureKind::OutOfOrder => "was closed out of order",
        };
        let Self {
            runner,
            source,
            name,
            phase,
            cause,
            ..
        } = self;
        let what = source.name();
        write!(f, "{runner}: {what} {name} {how} in {phase}")?;
        match cause.is_empty() {
            true => Ok(()),
            false => write!(f, ": {cause}"),
        }
    }
}

/// Records a failure of a runner of this process; the caller has the right to write into its
/// record.
pub(crate) fn tell(
    core: &Core,
    (slot, generation): (usize, u64),
    epochs: Option<(u64, u64)>,
    failing: &Failing<'_>,
) {
    let tables = core.tables();
    let group = &tables.group;
    let Some(record) = group.runners.get(slot) else {
        return;
    };
    let now = || (group.scope.control().epoch(), record.own.control().epoch());
    let epochs = epochs.unwrap_or_else(now);
    let is_gone = |(slot, generation): (usize, u64)| group.member(slot).generation() != generation;
    let by = (slot, generation);
    if !tables
        .failures
        .tell(by, epochs, core.now(), failing, is_gone)
        && epochs != NO_SHUTDOWN
    {
        record.count_untold(generation);
    }
}

/// What is recorded of a handler's run; `None` if it returned.
pub(crate) fn of_handler(report: &HandlerReport) -> Option<Failing<'_>> {
    let (kind, cause) = match &report.outcome {
        HandlerOutcome::Finished => return None,
        HandlerOutcome::Panicked(cause) => (FailureKind::Panicked, cause.as_str()),
        HandlerOutcome::Abandoned => (FailureKind::Abandoned, "it overran its phase"),
        HandlerOutcome::Skipped => (FailureKind::Skipped, "its phase had no time left"),
    };
    Some(Failing {
        source: FailureSource::Handler,
        kind,
        phase: report.phase,
        name: &report.name,
        cause,
        resource: None,
    })
}

/// The kind of an error of a closure, and its text without the word for it.
pub(crate) fn kind_of(error: &str) -> (FailureKind, &str) {
    match error.strip_prefix("panicked: ") {
        Some(message) => (FailureKind::Panicked, message),
        None => (FailureKind::Failed, error),
    }
}

/// A failure of a resource as its error text.
pub(crate) fn as_error(source: FailureSource, kind: FailureKind, cause: &str) -> String {
    let of = match source {
        _ if kind == FailureKind::Abandoned => "",
        FailureSource::Drain => "drain: ",
        FailureSource::Force => "force: ",
        _ => "",
    };
    let how = match kind {
        FailureKind::Panicked => "panicked: ",
        _ => "",
    };
    format!("{of}{how}{cause}")
}

impl<E: Env<Real>> View<'_, E> {
    fn is_of_shutdown(target: Target, epoch: u64, epochs: (u64, u64)) -> bool {
        match target {
            Target::All => epochs.0 == epoch,
            Target::Slot(_) => epochs.1 == epoch,
        }
    }

    /// Whether a runner has recorded a failure in the shutdown of `epoch`, before that was
    /// complete: what it records later, in another scope that goes on, changes nothing.
    pub(super) fn has_failures(
        &self,
        target: Target,
        slot: usize,
        member: Member,
        epoch: u64,
    ) -> bool {
        let generation = member.generation();
        let end = self.entered(target, Phase::Complete, epoch);
        let is_of = |epochs, at| {
            Self::is_of_shutdown(target, epoch, epochs) && end.is_none_or(|end| at <= end)
        };
        self.tables.group.runners[slot].untold(generation) > 0
            || self.tables.failures.has((slot, generation), is_of)
    }

    /// The failures of a runner in the shutdown of `epoch`, and what it left while none was on.
    pub(super) fn failures_of(
        &self,
        target: Target,
        slot: usize,
        member: Member,
        epoch: u64,
        id: &str,
    ) -> Vec<FailureReport> {
        let is_of = |read: &Read| {
            read.epochs == NO_SHUTDOWN || Self::is_of_shutdown(target, epoch, read.epochs)
        };
        let all = self.tables.failures.of((slot, member.generation()));
        all.into_iter()
            .filter(is_of)
            .map(|read| FailureReport {
                runner: id.into(),
                source: read.source,
                name: read.name,
                phase: read.phase,
                kind: read.kind,
                cause: read.cause,
            })
            .collect()
    }

    /// What went wrong with a resource, as its runner recorded it.
    pub(crate) fn error_of(&self, key: Key, slot: usize, generation: u64) -> Option<String> {
        let all = self.tables.failures.of((slot, generation));
        let texts: Vec<String> = all
            .iter()
            .filter(|read| read.resource == Some(key))
            .map(|read| as_error(read.source, read.kind, &read.cause))
            .collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

impl RunnerReport {
    /// The phase that it was late in, if it did every phase within the budget all the same.
    pub(crate) fn late_but_done(&self) -> Option<Phase> {
        let done = [Outcome::Completed, Outcome::CompletedWithFailures];
        let is_done = self.outcome.as_ref().is_some_and(|it| done.contains(it));
        self.late.filter(|_| is_done)
    }
}
