//! The JSON documents. Field names are a contract with scripts: add, never rename.

use std::time::Duration;

use ebbtide::text::moment::rfc3339;
use ebbtide::{
    Activity, PhaseReport, Predecessor, Reason, ResourceReport, RunnerReport, Shortening,
    ShutdownOutcome,
};
use serde::Serialize;
use serde_json::Value;

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
    pub outcome: Option<&'static str>,
    pub began: Option<String>,
    pub ended: Option<String>,
    pub generation: Option<u32>,
    pub runners: Option<usize>,
    pub attached: Option<usize>,
    pub bytes: Option<u64>,
    pub refused: Option<&'a str>,
}

/// `shutdown --no-wait`.
#[derive(Debug, Serialize)]
pub struct Begun<'a> {
    pub segment: &'a str,
    pub runner: Option<&'a str>,
    pub initiation: &'static str,
}

/// `status --ready`, when it is.
#[derive(Debug, Serialize)]
pub struct Ready<'a> {
    pub segment: &'a str,
    pub ready: bool,
    pub runners: usize,
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
struct Laggard<'a> {
    id: &'a str,
    pid: u32,
    stopped: bool,
    phase: &'static str,
    since_us: u64,
    in_flight: u32,
    activity: Option<&'a Activity>,
    locks_held: &'a [String],
    lock_wanted: Option<&'a str>,
}

/// `status`.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    segment: &'a str,
    generation: u32,
    phase: &'static str,
    outcome: Option<&'static str>,
    began: Option<String>,
    ended: Option<String>,
    shortened: Option<Shortening>,
    mode: &'static str,
    reason: Option<&'a Reason>,
    elapsed_us: Option<u64>,
    remaining_us: Option<u64>,
    phase_remaining_us: Option<u64>,
    phase_overdue_us: Option<u64>,
    laggards: Vec<Laggard<'a>>,
    runners: &'a [RunnerReport],
    predecessors: &'a [Predecessor],
    attached: usize,
    lockless: Vec<Value>,
    keys: Vec<super::state::Key<'a>>,
    resources: &'a [ResourceReport],
    locks: Vec<Value>,
    inconsistent_locks: Vec<Value>,
    lock_waits: Vec<Value>,
    events: Vec<events::Event<'a>>,
    semaphores: Vec<rendezvous::Semaphore<'a>>,
    barriers: Vec<rendezvous::Barrier<'a>>,
}

impl<'a> Status<'a> {
    pub fn of(status: &'a ebbtide::Status) -> Self {
        let laggards = status.laggards.iter().map(|laggard| Laggard {
            id: &laggard.id,
            pid: laggard.pid,
            stopped: laggard.stopped,
            phase: laggard.phase.name(),
            since_us: micros(laggard.since),
            in_flight: laggard.in_flight,
            activity: laggard.activity.as_ref(),
            locks_held: &laggard.locks_held,
            lock_wanted: laggard.lock_wanted.as_deref(),
        });
        Self {
            segment: &status.segment,
            generation: status.generation,
            phase: status.phase.name(),
            outcome: status.outcome.map(ShutdownOutcome::name),
            began: status.began.map(rfc3339),
            ended: status.ended.map(rfc3339),
            shortened: status.shortened,
            mode: status.mode.name(),
            reason: status.reason.as_ref(),
            elapsed_us: status.elapsed.map(micros),
            remaining_us: status.remaining.map(micros),
            phase_remaining_us: status.phase_remaining.map(micros),
            phase_overdue_us: status.phase_overdue.map(micros),
            laggards: laggards.collect(),
            runners: &status.runners,
            predecessors: &status.predecessors,
            attached: status.attached,
            lockless: (status.lockless.iter())
                .map(|holder| serde_json::json!({ "name": holder.name, "pid": holder.pid }))
                .collect(),
            keys: super::state::keys(&status.keys),
            resources: &status.resources,
            locks: locks::held(&status.locks),
            inconsistent_locks: locks::inconsistent(&status.inconsistent_locks),
            lock_waits: locks::wanted(&status.lock_waits),
            events: events::list(&status.events),
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
    pub phases: Vec<PhaseReport>,
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
