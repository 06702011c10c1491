//! Numbers for monitors, in the text format of Prometheus.

mod page;

use std::fmt;
use std::time::UNIX_EPOCH;

use crate::api::lock_wait::lock_name;
use crate::api::report::{RunnerReport, ShutdownOutcome};
use crate::api::resource::ResourceState;
use crate::api::status::Status;
use crate::api::view::View;
use crate::error::SegmentError;
use crate::limits::{MAX_LOCKS, TALLY_BOUNDS_MICROS};
use crate::note::Kind;
use crate::phase::{Mode, Phase};
use crate::sync::{Env, Real};
use crate::table::tallies::Histogram;
use page::{Page, seconds};

const BUCKETS: usize = TALLY_BOUNDS_MICROS.len() + 1;

/// What is counted by the kind of its note.
const COUNTED: [(&str, &str, Kind); 9] = [
    (
        "shutdowns_total",
        "Shutdowns begun, of the group or of one runner.",
        Kind::Initiated,
    ),
    (
        "shutdowns_merged_total",
        "Requests that were merged into a shutdown under way.",
        Kind::Merged,
    ),
    (
        "shutdowns_cancelled_total",
        "Shutdowns called off.",
        Kind::Cancelled,
    ),
    (
        "escalations_total",
        "Shutdowns made harder.",
        Kind::Escalated,
    ),
    ("extensions_total", "Extensions granted.", Kind::Extended),
    (
        "deaths_total",
        "Runners that were found dead and counted out, all generations; those that nobody has \
         counted out yet are among ebbtide_runners of state dead.",
        Kind::Died,
    ),
    (
        "lock_owner_deaths_total",
        "Locks taken by an owner who was told that one before it had died.",
        Kind::OwnerDied,
    ),
    (
        "deadlocks_total",
        "Deadlocks resolved by a thread that gave up.",
        Kind::Deadlock,
    ),
    (
        "lock_order_violations_total",
        "Pairs of locks found to be taken in conflicting orders.",
        Kind::LockOrder,
    ),
];

/// The numbers of one moment. As text they are a page of the Prometheus text format 0.0.4,
/// every sample with the label `segment`.
///
/// Counters and histograms are kept in the segment since its creation, whoever looks; they
/// begin anew with a new segment. Each is counted by the process that acts: one killed
/// between an act and its count loses that count.
#[derive(Clone, Debug)]
pub struct Metrics {
    status: Status,
    held: usize,
    waiting: usize,
    counts: Vec<(&'static str, &'static str, u64)>,
    phases: [Durations; 3],
    shutdowns: Durations,
    lock_waits: Durations,
    contended: Vec<(String, u64)>,
    ended: Vec<(ShutdownOutcome, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Durations {
    buckets: [u64; BUCKETS],
    micros: u64,
}

impl Durations {
    fn of(histogram: &Histogram<Real>) -> Self {
        let (buckets, micros) = histogram.read();
        Self { buckets, micros }
    }
}

impl<E: Env<Real>> View<'_, E> {
    pub(crate) fn metrics(&self) -> Result<Metrics, SegmentError> {
        let tables = self.tables;
        let tallies = &tables.tallies;
        let mut counts: Vec<_> = COUNTED
            .iter()
            .map(|(name, help, kind)| (*name, *help, tallies.counted(*kind)))
            .collect();
        counts.push((
            "phases_forced_total",
            "Phases that went on without somebody who was late.",
            tallies.forced(),
        ));
        counts.push((
            "journal_records_total",
            "Records written to the journal.",
            tables.journal.head(),
        ));
        let contended = (0..MAX_LOCKS)
            .map(|lock| (lock, tallies.contended(lock)))
            .filter(|(_, count)| *count > 0)
            .map(|(lock, count)| (lock_name(tables, lock), count));
        let epoch = tables.group.scope.control().epoch();
        let status = self.status()?;
        let ended = ShutdownOutcome::ENDS
            .iter()
            .enumerate()
            .map(|(index, outcome)| {
                // One that nobody has counted yet.
                let present = (status.outcome == Some(*outcome)).then_some(epoch);
                (*outcome, tallies.endings.read(index, present))
            });
        let ended = ended.collect();
        Ok(Metrics {
            ended,
            held: status.locks.len(),
            waiting: status.lock_waits.len(),
            status,
            counts,
            phases: core::array::from_fn(|at| Durations::of(&tallies.phases[at])),
            shutdowns: Durations::of(&tallies.shutdowns),
            lock_waits: Durations::of(&tallies.lock_waits),
            contended: contended.collect(),
        })
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = &self.status;
        let mut page = Page {
            out: f,
            segment: &status.segment,
        };
        page.group(status)?;
        page.runners(status)?;
        page.rest(status)?;
        page.gauge("locks_held", "Named locks that are held.", self.held)?;
        let help = "Threads that wait for a named lock.";
        page.gauge("lock_waiters", help, self.waiting)?;
        for (name, help, value) in &self.counts {
            page.family(name, "counter", help)?;
            page.sample(name, &[], value)?;
        }
        page.family(
            "lock_contentions_total",
            "counter",
            "How often a thread had to wait for a lock.",
        )?;
        for (lock, count) in &self.contended {
            page.sample("lock_contentions_total", &[("lock", lock)], count)?;
        }
        let help = "Shutdowns of the group that ran to their end, by outcome.";
        page.family("shutdowns_ended_total", "counter", help)?;
        for (outcome, count) in &self.ended {
            page.sample(
                "shutdowns_ended_total",
                &[("outcome", outcome.name())],
                count,
            )?;
        }
        let help = "How long threads waited for locks that they did not get at once.";
        page.family("lock_wait_seconds", "histogram", help)?;
        page.histogram("lock_wait_seconds", &[], &self.lock_waits)?;
        let help = "How long the phases of shutdowns of the group took.";
        page.family("phase_duration_seconds", "histogram", help)?;
        for (phase, durations) in Phase::ACKNOWLEDGED.iter().zip(&self.phases) {
            let labels = [("phase", phase.name())];
            page.histogram("phase_duration_seconds", &labels, durations)?;
        }
        let help = "How long shutdowns of the group took.";
        page.family("shutdown_duration_seconds", "histogram", help)?;
        page.histogram("shutdown_duration_seconds", &[], &self.shutdowns)
    }
}

impl Page<'_, '_> {
    fn group(&mut self, status: &Status) -> fmt::Result {
        let help = "The phase of the group: 1 for the present one.";
        self.family("phase", "gauge", help)?;
        for phase in [
            Phase::Running,
            Phase::Signaling,
            Phase::Draining,
            Phase::Closing,
            Phase::Complete,
        ] {
            let labels = [("phase", phase.name())];
            self.sample("phase", &labels, u8::from(phase == status.phase))?;
        }
        let help = "The mode of the shutdown under way or over: 1 for the present one.";
        self.family("mode", "gauge", help)?;
        for mode in [Mode::Graceful, Mode::Fast, Mode::Immediate] {
            let is_it = status.phase != Phase::Running && mode == status.mode;
            self.sample("mode", &[("mode", mode.name())], u8::from(is_it))?;
        }
        let help = "The generation of the group.";
        self.gauge("generation", help, status.generation)?;
        let help = "Processes attached to the segment.";
        self.gauge("processes", help, status.attached)?;
        for (name, help, value) in [
            (
                "shutdown_elapsed_seconds",
                "How long the shutdown under way or over has taken.",
                status.elapsed,
            ),
            (
                "shutdown_remaining_seconds",
                "Time left until the overall deadline.",
                status.remaining,
            ),
            (
                "phase_remaining_seconds",
                "Time left until the present phase is forced.",
                status.phase_remaining,
            ),
        ] {
            self.family(name, "gauge", help)?;
            if let Some(value) = value {
                self.sample(name, &[], seconds(value))?;
            }
        }
        let help = "Runners that hold the present phase up.";
        self.gauge("laggards", help, status.laggards.len())?;
        let help = "How long the present phase has waited for a runner.";
        self.family("laggard_seconds", "gauge", help)?;
        for laggard in unique(&status.laggards, |laggard| &laggard.id) {
            let labels = [
                ("runner", laggard.id.as_str()),
                ("phase", laggard.phase.name()),
            ];
            self.sample("laggard_seconds", &labels, seconds(laggard.since))?;
        }
        Ok(())
    }

    fn runners(&mut self, status: &Status) -> fmt::Result {
        let help = "Runners of the present generation: alive, dead (marked dead or not), or \
                    ended in order; without those that were replaced under their id, or that \
                    had died before the shutdown began.";
        self.family("runners", "gauge", help)?;
        for (state, is_it) in STATES {
            let of_it = status.runners.iter().filter(|runner| is_it(runner));
            self.sample("runners", &[("state", state)], of_it.count())?;
        }
        let help = "Runners of the present generation by outcome: of those that have one.";
        self.family("runner_outcomes", "gauge", help)?;
        for name in OUTCOMES {
            let outcome = |runner: &&RunnerReport| {
                runner.outcome.as_ref().is_some_and(|it| it.name() == name)
            };
            let of_it = status.runners.iter().filter(outcome).count();
            self.sample("runner_outcomes", &[("outcome", name)], of_it)?;
        }
        let help = "Handlers, drains, cleanups and force closures that failed, were skipped or \
                    were left behind, of the runners of the present generation.";
        let told = |runner: &RunnerReport| {
            runner.failures.len() + usize::try_from(runner.untold_failures).unwrap_or(usize::MAX)
        };
        self.gauge(
            "failures",
            help,
            status.runners.iter().map(told).sum::<usize>(),
        )?;
        // The living one of an id first: of two that live, the first.
        let alive: Vec<_> = status
            .runners
            .iter()
            .filter(|runner| runner.alive)
            .collect();
        let living = || unique(&alive, |runner| &runner.id);
        self.family("in_flight", "gauge", "Items that a runner is working on.")?;
        for runner in living() {
            self.sample("in_flight", &[("runner", &runner.id)], runner.in_flight)?;
        }
        let help = "Steps of progress that a runner has counted.";
        self.family("progress_total", "counter", help)?;
        for runner in living() {
            self.sample("progress_total", &[("runner", &runner.id)], runner.progress)?;
        }
        let help = "Earlier runners of the id of a living one that died.";
        self.family("runner_restarts_total", "counter", help)?;
        for runner in living() {
            self.sample(
                "runner_restarts_total",
                &[("runner", &runner.id)],
                runner.restarts,
            )?;
        }
        let help = "When the last earlier runner of the id of a living one was found dead, in \
                    seconds since 1970.";
        self.family("runner_last_death_timestamp_seconds", "gauge", help)?;
        for runner in living() {
            let at = runner
                .last_death
                .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            if let Some(at) = at {
                let labels = [("runner", runner.id.as_str())];
                self.sample("runner_last_death_timestamp_seconds", &labels, seconds(at))?;
            }
        }
        Ok(())
    }

    fn rest(&mut self, status: &Status) -> fmt::Result {
        let help = "Registered resources, by state.";
        self.family("resources", "gauge", help)?;
        for state in ResourceState::ALL {
            let of_it = status.resources.iter().filter(|one| one.state == state);
            let name = state.name().to_lowercase();
            self.sample("resources", &[("state", &name)], of_it.count())?;
        }
        Ok(())
    }
}

/// A state's label, and who is in it.
type State = (&'static str, fn(&RunnerReport) -> bool);

/// Every runner is in one of these.
const STATES: [State; 3] = [
    ("alive", |runner| runner.alive),
    ("dead", |runner| runner.dead),
    ("ended", |runner| !runner.alive && !runner.dead),
];

/// Names of outcomes.
const OUTCOMES: [&str; 7] = [
    "Completed",
    "CompletedWithFailures",
    "Abandoned",
    "TimedOut",
    "Died",
    "Forced",
    "Failed",
];

/// One of each name: two samples of one name and labels are no page. A name is there twice
/// when a runner of an older generation still lives, or when somebody wrote strange bytes.
fn unique<T>(all: &[T], name: impl Fn(&T) -> &String) -> impl Iterator<Item = &T> {
    let mut seen = std::collections::BTreeSet::new();
    all.iter().filter(move |one| seen.insert(name(one).clone()))
}
