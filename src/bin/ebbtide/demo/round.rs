//! One round: start, shut down, strike, wait, check.

use std::thread;
use std::time::{Duration, Instant};

use ebbtide::{
    Mode, Outcome, ReasonCode, RunnerReport, Scope, Segment, ShutdownCoordinator, ShutdownReport,
    ShutdownRequest,
};

use super::crew::{Crew, Member, Role};
use super::random;
use super::work::Tally;
use crate::args::Demo;
use crate::exit::{Failure, chain};
use crate::output::complain;
use crate::render::report::Extra;
use crate::render::{json, time};

/// Signals strike within this time of the start; the work in hand takes about as long.
const STRIKES: Duration = Duration::from_millis(12);

/// The deadline is reached in the segment; this is only against the unforeseen.
const PATIENCE: Duration = Duration::from_secs(5);

/// What happened in a round.
#[derive(Debug)]
pub struct Round {
    /// Runners in the order of their numbers.
    pub report: ShutdownReport,
    /// One for each of the report's runners.
    pub extras: Vec<Extra>,
    pub broadcast: json::Spread,
    /// Processes (and, in the last round, segments) left behind.
    pub leftovers: usize,
    /// What did not go as it must; empty if all is well.
    pub complaints: Vec<String>,
}

impl Round {
    pub fn play(
        args: &Demo,
        segment: &Segment,
        coordinator: &ShutdownCoordinator,
    ) -> Result<Self, Failure> {
        let mut crew = Crew::start(args, segment)?;
        let request = ShutdownRequest::new()
            .timeout(args.timeout)
            .reason(ReasonCode::Requested, "the demo ends");
        let strikes = plan(&crew, args.timeout)?;
        let patience = args.timeout.saturating_add(PATIENCE);
        let planned = strikes.as_slice();
        let mut report = thread::scope(|scope| {
            let start = Instant::now();
            coordinator.initiate_shutdown(&Scope::All, &request)?;
            scope.spawn(move || strike(planned, start));
            coordinator.wait_for_shutdown_complete(&Scope::All, patience)
        })?;
        let fates: Vec<String> = crew.0.iter().map(|member| fate(member, &strikes)).collect();
        drop(strikes);
        let leftovers = crew.end();
        let of = |member: &Member| report.runners.iter().find(|r| r.id == member.id).cloned();
        let reports: Vec<Option<RunnerReport>> = crew.0.iter().map(of).collect();
        let mut complaints: Vec<String> = crew
            .0
            .iter()
            .zip(&reports)
            .filter_map(|(member, report)| complaint(member, report.as_ref()))
            .collect();
        if leftovers > 0 {
            complaints.push(format!("{leftovers} of the processes did not end"));
        }
        let both = reports.into_iter().zip(fates);
        let both = both.filter_map(|(report, fate)| Some((report?, fate)));
        let (runners, fates): (Vec<_>, Vec<_>) = both.unzip();
        report.runners = runners;
        let extras = report
            .runners
            .iter()
            .zip(fates)
            .map(|(runner, fate)| Extra {
                items: Tally::parse(&runner.last_words),
                fate,
            });
        Ok(Self {
            extras: extras.collect(),
            broadcast: spread(&report.runners),
            leftovers,
            complaints,
            report,
        })
    }

    pub fn document(&self) -> json::Round {
        let runners = self.report.runners.iter().zip(&self.extras);
        json::Round {
            segment: self.report.segment.clone(),
            generation: self.report.generation,
            outcome: self.report.outcome.name(),
            total_us: u64::try_from(self.report.total.as_micros()).unwrap_or(u64::MAX),
            phases: self.report.phases.clone(),
            runners: runners
                .map(|(runner, extra)| json::RoundRunner {
                    id: runner.id.clone(),
                    pid: runner.pid,
                    outcome: runner.outcome.as_ref().map(Outcome::name),
                    blocked_in: runner.blocked_in.map(ebbtide::Phase::name),
                    ack_us: json::Acknowledged::of(runner),
                    items_begun: extra.items.map(|items| items.0),
                    items_finished: extra.items.map(|items| items.1),
                })
                .collect(),
            broadcast_us: self.broadcast,
            leftovers: self.leftovers,
        }
    }

    /// Whether a Ctrl-C came in between.
    pub fn is_interrupted(&self) -> bool {
        self.report.mode > Mode::Graceful
    }
}

/// Who is struck, and when after the start. Those struck hold an item that never ends, so
/// the shutdown is under way whenever that is.
fn plan(crew: &Crew, budget: Duration) -> Result<Vec<(Duration, &Member)>, Failure> {
    let within = STRIKES.min(budget / 4).as_micros().max(1);
    let within = u64::try_from(within).unwrap_or(u64::MAX);
    let mut strikes = crew
        .0
        .iter()
        .filter(|member| member.role.signal().is_some())
        .map(|member| Ok((Duration::from_micros(random()? % within), member)))
        .collect::<Result<Vec<_>, Failure>>()?;
    strikes.sort_by_key(|strike| strike.0);
    Ok(strikes)
}

/// What was done to a member, in words.
fn fate(member: &Member, strikes: &[(Duration, &Member)]) -> String {
    let strike = strikes.iter().find(|strike| strike.1.id == member.id);
    let moment = strike.map(|strike| time(strike.0)).unwrap_or_default();
    match member.role {
        Role::Survivor => String::new(),
        Role::Killed => format!("killed at {moment}"),
        Role::Stopped => format!("frozen at {moment}"),
        Role::Hung => "hangs".into(),
    }
}

fn strike(strikes: &[(Duration, &Member)], start: Instant) {
    for (moment, member) in strikes {
        thread::sleep((start + *moment).saturating_duration_since(Instant::now()));
        let Some(signal) = member.role.signal() else {
            continue;
        };
        // A strike that misses shows in the outcome.
        if let Err(error) = member.process.signal(signal as i32) {
            complain(&format!("cannot signal {}: {}", member.id, chain(&error)));
        }
    }
}

/// What is wrong with a runner's end, if anything.
fn complaint(member: &Member, report: Option<&RunnerReport>) -> Option<String> {
    let id = &member.id;
    let Some(report) = report else {
        return Some(format!("{id} is not in the report"));
    };
    let outcome = report.outcome.as_ref().map_or("no outcome", Outcome::name);
    match member.role {
        Role::Survivor => match (Tally::parse(&report.last_words), member.ended) {
            _ if report.outcome != Some(Outcome::Completed) => {
                Some(format!("{id} should have completed: {outcome}"))
            }
            (Some((begun, finished)), _) if begun != finished => Some(format!(
                "{id} lost items: {begun} begun, {finished} finished"
            )),
            (None, _) => Some(format!("{id} did not tell its counts")),
            (_, Some(status)) if !status.success() => Some(format!("{id}: {status}")),
            _ => None,
        },
        Role::Killed => (report.outcome != Some(Outcome::Died) || !member.was_killed())
            .then(|| format!("{id} was killed: {outcome}")),
        Role::Stopped | Role::Hung => (report.outcome != Some(Outcome::TimedOut)
            || report.blocked_in.is_none())
        .then(|| format!("{id} should be named with its phase: {outcome}")),
    }
}

/// From the start to when each runner has observed it.
fn spread(runners: &[RunnerReport]) -> json::Spread {
    let observed = runners.iter().filter_map(|runner| runner.observed);
    let mut all: Vec<u64> = observed
        .map(|at| u64::try_from(at.as_micros()).unwrap_or(u64::MAX))
        .collect();
    all.sort_unstable();
    // The smallest value that at least so many per cent do not exceed.
    let rank = |percent: usize| {
        let place = (all.len() * percent).div_ceil(100).max(1) - 1;
        all.get(place).copied()
    };
    json::Spread {
        min: rank(0),
        p50: rank(50),
        p99: rank(99),
        max: rank(100),
    }
}
