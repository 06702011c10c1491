//! What the live view shows, as plain values: taken from a status and a report, or made up
//! by a test.

use std::collections::BTreeMap;
use std::time::Duration;

use ebbtide::{
    HeldLock, LockThread, Mode, Outcome, Phase, RunnerReport, ShutdownReport, Status, WantedLock,
};

use crate::output::plain;
use crate::render::status::{OVERDUE, doing};
use crate::render::time;

/// One look at a segment. Every text is free of what could steer the terminal.
#[derive(Clone, Debug)]
pub struct Scene {
    pub segment: String,
    pub generation: u32,
    pub phase: Phase,
    pub mode: Mode,
    /// Why and by whom; empty while no shutdown is on or over.
    pub reason: String,
    /// Of the shutdown; to its end if it is over.
    pub elapsed: Duration,
    pub remaining: Duration,
    pub phase_remaining: Duration,
    /// Since when the present phase should have been forced, and nobody was there to do it.
    pub overdue: Option<Duration>,
    /// How long each phase entered so far took, or takes.
    pub phases: Vec<(Phase, Duration)>,
    /// A sentence each.
    pub blockers: Vec<String>,
    pub runners: Vec<Runner>,
    pub resources: Vec<Resource>,
    pub locks: Vec<Lock>,
    pub attached: usize,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The id as it is, for actions.
    pub key: String,
    pub id: String,
    pub pid: u32,
    pub state: State,
    /// The phase of its own shutdown, if it is shut down alone.
    pub own_phase: Phase,
    /// When it had done Signaling, Draining and Closing, after the start.
    pub done: [Option<Duration>; 3],
    /// Of a dead one: from its last sign of life to when it was found dead, or to now.
    pub silent: Option<(Duration, Duration)>,
    /// What there is to say besides.
    pub note: String,
}

/// How a runner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle,
    Works,
    /// It has done the present phase, and the others have not.
    Waits,
    /// The present phase waits for it.
    Blocks,
    /// It is shut down alone.
    Alone,
    Dead,
    Completed,
    /// It did every phase, with failures.
    Flawed,
    Abandoned,
    TimedOut,
    Forced,
    Failed,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Works => "works",
            Self::Waits => "waits",
            Self::Blocks => "BLOCKS",
            Self::Alone => "alone",
            Self::Dead => "dead",
            Self::Completed => "done",
            Self::Flawed => "flawed",
            Self::Abandoned => "abandoned",
            Self::TimedOut => "late",
            Self::Forced => "forced",
            Self::Failed => "failed",
        }
    }

    /// Whether something is wrong with it.
    pub const fn is_bad(self) -> bool {
        matches!(
            self,
            Self::Blocks
                | Self::Dead
                | Self::Flawed
                | Self::Abandoned
                | Self::TimedOut
                | Self::Forced
                | Self::Failed
        )
    }
}

#[derive(Clone, Debug)]
pub struct Resource {
    pub name: String,
    pub state: String,
    pub note: String,
    pub is_bad: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Lock {
    pub name: String,
    pub held_by: Vec<String>,
    pub wanted_by: Vec<String>,
}

impl Scene {
    pub fn of(status: &Status, report: &ShutdownReport, locks: Vec<Lock>) -> Self {
        let lags = |id: &str| status.laggards.iter().any(|laggard| laggard.id == id);
        let is_on = status.phase != Phase::Running;
        let runners = status.runners.iter();
        Self {
            segment: plain(&status.segment),
            generation: status.generation,
            phase: status.phase,
            mode: status.mode,
            reason: reason(status),
            elapsed: status.elapsed.unwrap_or_default(),
            remaining: status.remaining.unwrap_or_default(),
            phase_remaining: status.phase_remaining.unwrap_or_default(),
            overdue: status.phase_overdue.filter(|since| *since >= OVERDUE),
            phases: match is_on {
                true => report
                    .phases
                    .iter()
                    .map(|p| (p.phase, p.duration))
                    .collect(),
                false => Vec::new(),
            },
            blockers: status
                .laggards
                .iter()
                .map(|one| plain(&one.to_string()))
                .collect(),
            runners: runners
                .map(|one| Runner {
                    silent: silence(one, status.elapsed.unwrap_or_default()),
                    ..runner(one, is_on, lags(&one.id))
                })
                .collect(),
            resources: status.resources.iter().map(resource).collect(),
            locks,
            attached: status.attached,
        }
    }

    /// Whether a shutdown of all is under way.
    pub fn is_on(&self) -> bool {
        !matches!(self.phase, Phase::Running | Phase::Complete)
    }

    /// Whether anything moves by itself, so that the clocks must be drawn often.
    pub fn is_moving(&self) -> bool {
        self.is_on() || self.runners.iter().any(Runner::is_going_alone)
    }

    /// The length of the time line: the budget, or what was needed of it.
    pub fn length(&self) -> Duration {
        match self.phase {
            Phase::Complete => self.elapsed,
            _ => self.elapsed.saturating_add(self.remaining),
        }
    }

    /// The phase that was on so long after the start.
    pub fn phase_at(&self, after: Duration) -> Phase {
        let mut end = Duration::ZERO;
        for (phase, took) in &self.phases {
            end = end.saturating_add(*took);
            if after < end {
                return *phase;
            }
        }
        self.phases.last().map_or(self.phase, |(phase, _)| *phase)
    }
}

impl Runner {
    /// Whether it is shut down alone, and that is not over.
    pub fn is_going_alone(&self) -> bool {
        self.state == State::Alone && self.own_phase != Phase::Complete
    }
}

fn reason(status: &Status) -> String {
    let Some(reason) = &status.reason else {
        return String::new();
    };
    let by = match reason.pid {
        0 => String::new(),
        pid => format!(", asked by pid {pid}"),
    };
    plain(&format!("{reason}{by}"))
}

fn runner(report: &RunnerReport, is_on: bool, blocks: bool) -> Runner {
    let state = match &report.outcome {
        Some(Outcome::Completed) => State::Completed,
        Some(Outcome::CompletedWithFailures) => State::Flawed,
        Some(Outcome::Abandoned) => State::Abandoned,
        Some(Outcome::TimedOut) => State::TimedOut,
        Some(Outcome::Died) => State::Dead,
        Some(Outcome::Forced) => State::Forced,
        Some(Outcome::Failed { .. }) => State::Failed,
        _ if !report.alive => State::Dead,
        _ if blocks => State::Blocks,
        _ if report.own_phase != Phase::Running => State::Alone,
        _ if is_on => State::Waits,
        _ if report.in_flight > 0 => State::Works,
        _ => State::Idle,
    };
    Runner {
        key: report.id.clone(),
        id: plain(&report.id),
        pid: report.pid,
        state,
        own_phase: report.own_phase,
        done: report.acknowledged,
        silent: None,
        note: plain(&note(report)),
    }
}

/// When a dead runner may have died.
fn silence(report: &RunnerReport, elapsed: Duration) -> Option<(Duration, Duration)> {
    let busy = report.activity.as_ref();
    let signs = [
        report.observed,
        report.acknowledged.into_iter().max().flatten(),
        busy.and_then(|activity| elapsed.checked_sub(activity.since)),
    ];
    let until = report.ended.unwrap_or(elapsed);
    let from = signs.into_iter().max().flatten().unwrap_or_default();
    report.dead.then_some((from.min(until), until))
}

fn note(report: &RunnerReport) -> String {
    let mut parts = Vec::new();
    if let Some(Outcome::Failed { cause }) = &report.outcome {
        parts.push(cause.clone());
    }
    if report.own_phase != Phase::Running {
        parts.push(format!("shut down alone: {}", report.own_phase));
    }
    if report.alive && report.in_flight > 0 {
        parts.push(format!("{} in flight", report.in_flight));
    }
    if let Some(activity) = report.activity.as_ref().filter(|_| report.alive) {
        parts.push(doing(&activity.text, activity.since));
    }
    if let Some(lock) = &report.lock_wanted {
        parts.push(format!("waits for lock {lock}"));
    }
    if !report.last_words.is_empty() {
        parts.push(format!("{:?}", report.last_words));
    }
    if report.progress > 0 {
        parts.push(format!("progress {}", report.progress));
    }
    parts.join("; ")
}

fn resource(report: &ebbtide::ResourceReport) -> Resource {
    let mut parts = vec![
        report.kind.to_string(),
        format!("for {}", time(report.since)),
    ];
    if !report.depends_on.is_empty() {
        parts.push(format!("needs {}", report.depends_on.join(", ")));
    }
    if let Some(leak) = report.leak {
        parts.push(format!("leak: {}", leak.name()));
    }
    let is_closed = report.state == ebbtide::ResourceState::Closed;
    Resource {
        name: plain(&report.full_name()),
        state: report.state.name().into(),
        note: plain(&parts.join("; ")),
        is_bad: report.leak.is_some() || !(is_closed || report.state.is_open()),
    }
}

/// The locks that somebody holds or waits for, by name.
pub fn locks(held: &[HeldLock], wanted: &[WantedLock]) -> Vec<Lock> {
    let mut all: BTreeMap<String, Lock> = BTreeMap::new();
    for one in held {
        let dead = if one.alive { "" } else { ", dead" };
        let who = format!("{}{dead}", who(&one.owner));
        all.entry(plain(&one.lock)).or_default().held_by.push(who);
    }
    for one in wanted {
        let who = format!("{} for {}", who(&one.waiter), time(one.since));
        all.entry(plain(&one.lock)).or_default().wanted_by.push(who);
    }
    let named = all.into_iter().map(|(name, lock)| Lock { name, ..lock });
    named.collect()
}

fn who(thread: &LockThread) -> String {
    match &thread.runner {
        Some(runner) => plain(runner),
        None => format!("pid {}", thread.pid),
    }
}
