//! Reports as documents (feature `serde`). Field names are a contract with scripts: add,
//! never rename.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::api::failure::FailureReport;
use crate::api::history::Predecessor;
use crate::api::report::{
    Activity, HandlerOutcome, HandlerReport, Outcome, PhaseReport, Reason, RunnerReport,
    Shortening, ShutdownOutcome, ShutdownReport,
};
use crate::api::resource::{Leak, Reclaim, ResourceReport, ResourceState, ResourceType};
use crate::api::text::moment::rfc3339;
use crate::phase::{Mode, Phase, ReasonCode};

/// Whole microseconds.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What has a name is told by its name.
macro_rules! named {
    ($($type:ty),*) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.name())
                }
            }
        )*
    };
}
named!(
    Phase,
    Mode,
    ReasonCode,
    ShutdownOutcome,
    ResourceState,
    ResourceType,
    Leak,
    Reclaim
);

/// Serializes as the document that is made of it.
macro_rules! documented {
    ($($type:ty => $document:ident),* $(,)?) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    $document::of(self).serialize(serializer)
                }
            }
        )*
    };
}
documented! {
    ShutdownReport => ReportDocument,
    RunnerReport => RunnerDocument,
    ResourceReport => ResourceDocument,
    PhaseReport => PhaseDocument,
    HandlerReport => HandlerDocument,
    FailureReport => FailureDocument,
    Reason => ReasonDocument,
    Activity => ActivityDocument,
    Predecessor => PredecessorDocument,
    Shortening => ShorteningDocument,
}

#[derive(Serialize)]
struct ReportDocument<'a> {
    segment: &'a str,
    generation: u32,
    outcome: ShutdownOutcome,
    mode: Mode,
    reason: &'a Reason,
    began: Option<String>,
    ended: Option<String>,
    shortened: Option<Shortening>,
    total_us: u64,
    phases: &'a [PhaseReport],
    runners: &'a [RunnerReport],
    failures: Vec<&'a FailureReport>,
    untold_failures: u32,
    predecessors: &'a [Predecessor],
    handlers: &'a [HandlerReport],
    resources: &'a [ResourceReport],
}

impl<'a> ReportDocument<'a> {
    fn of(report: &'a ShutdownReport) -> Self {
        Self {
            segment: &report.segment,
            generation: report.generation,
            outcome: report.outcome,
            mode: report.mode,
            reason: &report.reason,
            began: report.began.map(rfc3339),
            ended: report.ended.map(rfc3339),
            shortened: report.shortened,
            total_us: micros(report.total),
            phases: &report.phases,
            runners: &report.runners,
            failures: report.failures().collect(),
            untold_failures: report.untold_failures(),
            predecessors: &report.predecessors,
            handlers: &report.handlers,
            resources: &report.resources,
        }
    }
}

#[derive(Serialize)]
struct Acknowledged {
    signaling: Option<u64>,
    draining: Option<u64>,
    closing: Option<u64>,
}

#[derive(Serialize)]
struct RunnerDocument<'a> {
    id: &'a str,
    pid: u32,
    alive: bool,
    dead: bool,
    stopped: bool,
    ended_us: Option<u64>,
    outcome: Option<&'static str>,
    cause: Option<&'a str>,
    late: Option<Phase>,
    failures: &'a [FailureReport],
    untold_failures: u32,
    blocked_in: Option<Phase>,
    observed_us: Option<u64>,
    ack_us: Acknowledged,
    in_flight: u32,
    progress: u64,
    activity: Option<&'a Activity>,
    locks_held: &'a [String],
    lock_wanted: Option<&'a str>,
    own_phase: Phase,
    last_words: &'a str,
    restarts: u64,
    last_death: Option<String>,
}

impl<'a> RunnerDocument<'a> {
    fn of(runner: &'a RunnerReport) -> Self {
        let [signaling, draining, closing] = runner.acknowledged.map(|at| at.map(micros));
        Self {
            id: &runner.id,
            pid: runner.pid,
            alive: runner.alive,
            dead: runner.dead,
            stopped: runner.stopped,
            ended_us: runner.ended.map(micros),
            outcome: runner.outcome.as_ref().map(Outcome::name),
            cause: match &runner.outcome {
                Some(Outcome::Failed { cause }) => Some(cause),
                _ => None,
            },
            late: runner.late,
            failures: &runner.failures,
            untold_failures: runner.untold_failures,
            blocked_in: runner.blocked_in,
            observed_us: runner.observed.map(micros),
            ack_us: Acknowledged {
                signaling,
                draining,
                closing,
            },
            in_flight: runner.in_flight,
            progress: runner.progress,
            activity: runner.activity.as_ref(),
            locks_held: &runner.locks_held,
            lock_wanted: runner.lock_wanted.as_deref(),
            own_phase: runner.own_phase,
            last_words: &runner.last_words,
            restarts: runner.restarts,
            last_death: runner.last_death.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
struct ResourceDocument<'a> {
    name: &'a str,
    runner: &'a str,
    #[serde(rename = "type")]
    kind: ResourceType,
    state: ResourceState,
    since_us: u64,
    order: i32,
    depends_on: &'a [String],
    took_us: Option<u64>,
    late_us: Option<u64>,
    error: Option<&'a str>,
    system: Option<&'a str>,
    reclaimed: Option<Reclaim>,
    leak: Option<Leak>,
}

impl<'a> ResourceDocument<'a> {
    fn of(resource: &'a ResourceReport) -> Self {
        Self {
            name: &resource.name,
            runner: &resource.runner,
            kind: resource.kind,
            state: resource.state,
            since_us: micros(resource.since),
            order: resource.order,
            depends_on: &resource.depends_on,
            took_us: resource.took.map(micros),
            late_us: resource.late.map(micros),
            error: resource.error.as_deref(),
            system: resource.system.as_deref(),
            reclaimed: resource.reclaimed,
            leak: resource.leak,
        }
    }
}

#[derive(Serialize)]
struct ShorteningDocument {
    pid: u32,
    after_us: u64,
    budget_us: u64,
}

impl ShorteningDocument {
    fn of(by: &Shortening) -> Self {
        Self {
            pid: by.pid,
            after_us: micros(by.after),
            budget_us: micros(by.budget),
        }
    }
}

#[derive(Serialize)]
struct PredecessorDocument<'a> {
    id: &'a str,
    deaths: u64,
    last_death: Option<String>,
    pid: u32,
    last_words: &'a str,
    replaced: bool,
}

impl<'a> PredecessorDocument<'a> {
    fn of(past: &'a Predecessor) -> Self {
        Self {
            id: &past.id,
            deaths: past.deaths,
            last_death: past.last_death.map(rfc3339),
            pid: past.pid,
            last_words: &past.last_words,
            replaced: past.replaced,
        }
    }
}

#[derive(Serialize)]
struct PhaseDocument {
    phase: Phase,
    us: u64,
}

impl PhaseDocument {
    fn of(phase: &PhaseReport) -> Self {
        Self {
            phase: phase.phase,
            us: micros(phase.duration),
        }
    }
}

#[derive(Serialize)]
struct HandlerDocument<'a> {
    name: &'a str,
    phase: Phase,
    outcome: &'static str,
    panic: Option<&'a str>,
    us: u64,
}

impl<'a> HandlerDocument<'a> {
    fn of(handler: &'a HandlerReport) -> Self {
        let (outcome, panic) = match &handler.outcome {
            HandlerOutcome::Finished => ("Finished", None),
            HandlerOutcome::Panicked(message) => ("Panicked", Some(message.as_str())),
            HandlerOutcome::Abandoned => ("Abandoned", None),
            HandlerOutcome::Skipped => ("Skipped", None),
        };
        Self {
            name: &handler.name,
            phase: handler.phase,
            outcome,
            panic,
            us: micros(handler.duration),
        }
    }
}

#[derive(Serialize)]
struct FailureDocument<'a> {
    runner: &'a str,
    source: &'static str,
    name: &'a str,
    phase: Phase,
    kind: &'static str,
    cause: &'a str,
}

impl<'a> FailureDocument<'a> {
    fn of(failure: &'a FailureReport) -> Self {
        Self {
            runner: &failure.runner,
            source: failure.source.name(),
            name: &failure.name,
            phase: failure.phase,
            kind: failure.kind.name(),
            cause: &failure.cause,
        }
    }
}

#[derive(Serialize)]
struct ReasonDocument<'a> {
    code: ReasonCode,
    text: &'a str,
    pid: u32,
}

impl<'a> ReasonDocument<'a> {
    fn of(reason: &'a Reason) -> Self {
        Self {
            code: reason.code,
            text: &reason.text,
            pid: reason.pid,
        }
    }
}

#[derive(Serialize)]
struct ActivityDocument<'a> {
    text: &'a str,
    since_us: u64,
}

impl<'a> ActivityDocument<'a> {
    fn of(activity: &'a Activity) -> Self {
        Self {
            text: &activity.text,
            since_us: micros(activity.since),
        }
    }
}
