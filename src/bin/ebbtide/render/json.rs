//! The JSON documents. Field names are a contract with scripts: add, never rename.

use std::time::Duration;

use ebbtide::{Outcome, RunnerReport, ShutdownReport};
use serde::Serialize;

use super::json_resource::{Resource, resources};
use super::{events, locks, rendezvous};
use crate::exit::Failure;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Any command that failed.
#[derive(Debug, Serialize)]
pub struct Error<'a> {
    error: ErrorBody<'a>,
}

#[derive(Debug, Serialize)]
struct ErrorBody<'a> {
    kind: &'static str,
    message: &'a str,
    code: u8,
}

impl<'a> Error<'a> {
    pub fn of(failure: &'a Failure) -> Self {
        Self {
            error: ErrorBody {
                kind: failure.code.kind(),
                message: &failure.message,
                code: failure.code as u8,
            },
        }
    }
}

/// `ls`.
#[derive(Debug, Serialize)]
pub struct Segments<'a> {
    pub segments: Vec<Segment<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Segment<'a> {
    pub name: &'a str,
    pub phase: Option<&'static str>,
    pub generation: Option<u32>,
    pub runners: Option<usize>,
    pub attached: Option<usize>,
    pub refused: Option<&'a str>,
}

/// `shutdown --no-wait`.
#[derive(Debug, Serialize)]
pub struct Begun<'a> {
    pub segment: &'a str,
    pub runner: Option<&'a str>,
    pub initiation: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Phase {
    pub phase: &'static str,
    pub us: u64,
}

pub fn phases(report: &ShutdownReport) -> Vec<Phase> {
    let phases = report.phases.iter();
    phases
        .map(|phase| Phase {
            phase: phase.phase.name(),
            us: micros(phase.duration),
        })
        .collect()
}

#[derive(Debug, Serialize)]
pub struct Acknowledged {
    signaling: Option<u64>,
    draining: Option<u64>,
    closing: Option<u64>,
}

impl Acknowledged {
    pub fn of(runner: &RunnerReport) -> Self {
        let [signaling, draining, closing] = runner.acknowledged.map(|at| at.map(micros));
        Self {
            signaling,
            draining,
            closing,
        }
    }
}

#[derive(Debug, Serialize)]
struct Activity<'a> {
    text: &'a str,
    since_us: u64,
}

impl<'a> Activity<'a> {
    fn of(activity: Option<&'a ebbtide::Activity>) -> Option<Self> {
        activity.map(|activity| Self {
            text: &activity.text,
            since_us: micros(activity.since),
        })
    }
}

#[derive(Debug, Serialize)]
struct Reason<'a> {
    code: &'static str,
    text: &'a str,
    pid: u32,
}

impl<'a> Reason<'a> {
    fn of(reason: &'a ebbtide::Reason) -> Self {
        Self {
            code: reason.code.name(),
            text: &reason.text,
            pid: reason.pid,
        }
    }
}

/// A runner in `status`, `shutdown` and `wait`.
#[derive(Debug, Serialize)]
struct Runner<'a> {
    id: &'a str,
    pid: u32,
    alive: bool,
    outcome: Option<&'static str>,
    cause: Option<&'a str>,
    blocked_in: Option<&'static str>,
    observed_us: Option<u64>,
    ack_us: Acknowledged,
    in_flight: u32,
    progress: u64,
    activity: Option<Activity<'a>>,
    locks_held: &'a [String],
    lock_wanted: Option<&'a str>,
    own_phase: &'static str,
    last_words: &'a str,
}

impl<'a> Runner<'a> {
    fn of(runner: &'a RunnerReport) -> Self {
        Self {
            id: &runner.id,
            pid: runner.pid,
            alive: runner.alive,
            outcome: runner.outcome.as_ref().map(Outcome::name),
            cause: match &runner.outcome {
                Some(Outcome::Failed { cause }) => Some(cause),
                _ => None,
            },
            blocked_in: runner.blocked_in.map(ebbtide::Phase::name),
            observed_us: runner.observed.map(micros),
            ack_us: Acknowledged::of(runner),
            in_flight: runner.in_flight,
            progress: runner.progress,
            activity: Activity::of(runner.activity.as_ref()),
            locks_held: &runner.locks_held,
            lock_wanted: runner.lock_wanted.as_deref(),
            own_phase: runner.own_phase.name(),
            last_words: &runner.last_words,
        }
    }
}

/// `shutdown` and `wait`.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    segment: &'a str,
    generation: u32,
    outcome: &'static str,
    mode: &'static str,
    reason: Reason<'a>,
    total_us: u64,
    phases: Vec<Phase>,
    runners: Vec<Runner<'a>>,
    resources: Vec<Resource<'a>>,
}

impl<'a> Report<'a> {
    pub fn of(report: &'a ShutdownReport) -> Self {
        Self {
            segment: &report.segment,
            generation: report.generation,
            outcome: report.outcome.name(),
            mode: report.mode.name(),
            reason: Reason::of(&report.reason),
            total_us: micros(report.total),
            phases: phases(report),
            runners: report.runners.iter().map(Runner::of).collect(),
            resources: resources(&report.resources),
        }
    }
}

#[derive(Debug, Serialize)]
struct Laggard<'a> {
    id: &'a str,
    pid: u32,
    phase: &'static str,
    since_us: u64,
    in_flight: u32,
    activity: Option<Activity<'a>>,
    locks_held: &'a [String],
    lock_wanted: Option<&'a str>,
}

/// `status`.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    segment: &'a str,
    generation: u32,
    phase: &'static str,
    mode: &'static str,
    reason: Option<Reason<'a>>,
    elapsed_us: Option<u64>,
    remaining_us: Option<u64>,
    phase_remaining_us: Option<u64>,
    laggards: Vec<Laggard<'a>>,
    runners: Vec<Runner<'a>>,
    attached: usize,
    keys: Vec<super::state::Key<'a>>,
    resources: Vec<Resource<'a>>,
    events: Vec<events::Event<'a>>,
    locks: Vec<serde_json::Value>,
    semaphores: Vec<rendezvous::Semaphore<'a>>,
    barriers: Vec<rendezvous::Barrier<'a>>,
}

impl<'a> Status<'a> {
    pub fn of(status: &'a ebbtide::Status) -> Self {
        let laggards = status.laggards.iter().map(|laggard| Laggard {
            id: &laggard.id,
            pid: laggard.pid,
            phase: laggard.phase.name(),
            since_us: micros(laggard.since),
            in_flight: laggard.in_flight,
            activity: Activity::of(laggard.activity.as_ref()),
            locks_held: &laggard.locks_held,
            lock_wanted: laggard.lock_wanted.as_deref(),
        });
        Self {
            segment: &status.segment,
            generation: status.generation,
            phase: status.phase.name(),
            mode: status.mode.name(),
            reason: status.reason.as_ref().map(Reason::of),
            elapsed_us: status.elapsed.map(micros),
            remaining_us: status.remaining.map(micros),
            phase_remaining_us: status.phase_remaining.map(micros),
            laggards: laggards.collect(),
            runners: status.runners.iter().map(Runner::of).collect(),
            attached: status.attached,
            keys: super::state::keys(&status.keys),
            resources: resources(&status.resources),
            events: events::list(&status.events),
            locks: locks::held(&status.locks),
            semaphores: rendezvous::semaphores(&status.semaphores),
            barriers: rendezvous::barriers(&status.barriers),
        }
    }
}

/// `demo`, one round.
#[derive(Debug, Serialize)]
pub struct Round {
    pub segment: String,
    pub generation: u32,
    pub outcome: &'static str,
    pub total_us: u64,
    pub phases: Vec<Phase>,
    pub runners: Vec<RoundRunner>,
    pub broadcast_us: Spread,
    pub leftovers: usize,
}

#[derive(Debug, Serialize)]
pub struct RoundRunner {
    pub id: String,
    pub pid: u32,
    pub outcome: Option<&'static str>,
    pub blocked_in: Option<&'static str>,
    pub ack_us: Acknowledged,
    pub items_begun: Option<u64>,
    pub items_finished: Option<u64>,
}

/// How long it took, over all runners that observed the shutdown.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    pub min: Option<u64>,
    pub p50: Option<u64>,
    pub p99: Option<u64>,
    pub max: Option<u64>,
}

/// `demo` with several rounds.
#[derive(Debug, Serialize)]
pub struct Rounds<'a> {
    pub rounds: &'a [Round],
}
