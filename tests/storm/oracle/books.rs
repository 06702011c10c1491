//! Conservation of in-flight items: what was begun was finished, or is on record as in
//! flight with a process that died.
//!
//! After each generation, before the next may begin, the report's record of every runner
//! is compared with its line in the ledger. Of a runner that left in order the record
//! says zero and the line `begun = finished`. Of one that died the record says how many
//! items it had in flight, its *orphans*, and that is `begun - finished` of the line; a
//! thread that was killed between the announcement and the confirmation of a call (an open
//! bracket) makes one more or less right, and is counted.
//!
//! A process that is stopped is waited for: its line is settled when it has left and its
//! threads have ended, or its parent has waited for it. After that nothing of it changes.
//!
//! *Which generation is complete.* The library shows a group that is being renewed as
//! Complete with the number of the next generation, for as long as the process that renews
//! it is stopped. The start of the shutdown distinguishes the two: it is that of the
//! generation before until the next one is shut down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ebbtide::{Phase, RunnerReport, Scope, Segment, ShutdownCoordinator, ShutdownReport};

use super::{deaths, journal, membership, outcomes};
use crate::ledger::line::{Line, State};
use crate::ledger::{Head, Ledger};
use crate::plan::Kind;

/// Longer than any generation takes to go.
const LIMIT: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub generations: u64,
    pub runners: u64,
    pub died: u64,
    pub begun: u64,
    pub finished: u64,
    pub orphaned: u64,
    pub open_brackets: u64,
}

pub struct Harvester {
    ledger: Arc<Ledger>,
    segment: Segment,
    coordinator: ShutdownCoordinator,
    /// When the last shutdown began.
    started: Duration,
    sums: Sums,
}

impl Harvester {
    pub fn new(segment: &Segment, ledger: &Arc<Ledger>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            segment: segment.clone(),
            coordinator: ShutdownCoordinator::new(segment),
            started: Duration::ZERO,
            sums: Sums::default(),
        }
    }

    /// Closes the books of each generation that completes, until `stop` is set.
    pub fn run(mut self, stop: &AtomicBool) -> Sums {
        while !stop.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
            if self.ledger.kind() == Kind::Hammer {
                continue;
            }
            let status = self.coordinator.status().unwrap();
            let is_new = u64::from(status.generation) > self.ledger.get(Head::Harvested);
            if status.phase == Phase::Complete && is_new && self.is_its_own(status.generation) {
                self.ledger
                    .raise(Head::Complete, u64::from(status.generation));
                if let Err(problem) = self.close(status.generation) {
                    self.ledger.violate(&problem);
                }
                self.ledger
                    .raise(Head::Harvested, u64::from(status.generation));
            }
        }
        self.sums
    }

    /// Whether the shutdown that is complete is this generation's.
    fn is_its_own(&mut self, generation: u32) -> bool {
        let timeline = self.segment.timeline().unwrap();
        let timeline = timeline.filter(|timeline| {
            timeline.generation == generation && timeline.started > self.started
        });
        let Some(timeline) = timeline else {
            return false;
        };
        self.started = timeline.started;
        if let Err(problem) = journal::check_timeline(&self.ledger, &timeline) {
            self.ledger
                .violate(&format!("{problem}, in generation {generation}"));
        }
        true
    }

    fn close(&mut self, generation: u32) -> Result<(), String> {
        let by = || "the wait for it to be gone".to_owned();
        membership::phase_was_seen(&self.ledger, generation, Phase::Complete, by);
        let gone = self.coordinator.wait_gone(generation, LIMIT);
        gone.map_err(|error| format!("generation {generation} does not go: {error}"))?;
        self.ledger.raise(Head::Gone, u64::from(generation));
        let ledger = Arc::clone(&self.ledger);
        let first = self.report(generation)?;
        let ours: Vec<_> = ledger
            .all_lines()
            .filter(|line| !line.is_joiner())
            .filter(|line| line.generation() == generation || first.shows(line))
            .collect();
        for line in &ours {
            let end = Instant::now() + LIMIT;
            while !line.is_settled() {
                if Instant::now() > end {
                    return Err(format!("{} left and does not end", line.who()));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // Now nothing moves any more.
        let last = self.report(generation)?;
        for line in &ours {
            self.compare(line, last.record(line))?;
        }
        outcomes::of_all(&last)?;
        self.sums.generations += 1;
        Ok(())
    }

    fn report(&self, generation: u32) -> Result<ShutdownReport, String> {
        let report = self.coordinator.report(&Scope::All).unwrap();
        if report.generation != generation {
            return Err(format!("generation {} began by itself", report.generation));
        }
        Ok(report)
    }

    /// The record of one that left and was killed before its books were closed.
    fn alone(&self, id: &str) -> Result<RunnerReport, String> {
        let report = self.coordinator.report(&Scope::runner(id));
        let found = report.map(|report| report.runners.into_iter().next());
        match found {
            Ok(Some(record)) => Ok(record),
            other => Err(format!(
                "{id} died, and there is no record of it: {other:?}"
            )),
        }
    }

    fn compare(&mut self, line: &Line<'_>, record: Option<&RunnerReport>) -> Result<(), String> {
        let (who, books) = (line.who(), line.books());
        let in_order = line.is(State::Closed);
        self.sums.runners += 1;
        self.sums.begun += books.begun;
        self.sums.finished += books.finished;
        self.sums.open_brackets += books.most - books.least;
        if in_order && books.begun != books.finished {
            return Err(format!("{who} left in order: {books:?}"));
        }
        // Who left before the shutdown began is not in its report, and asked for by name.
        let alone = match record {
            // Its id has another holder, and its record perhaps, too.
            None if line.heir().is_some() => None,
            None if line.status().has_joined() => Some(self.alone(&line.id())?),
            _ => None,
        };
        let Some(record) = record.or(alone.as_ref()) else {
            return Ok(());
        };
        let in_flight = u64::from(record.in_flight);
        if in_flight < books.least || in_flight > books.most {
            return Err(format!(
                "{who}: {in_flight} in flight, but {books:?}: {record:?}"
            ));
        }
        if record.alive || record.outcome.is_none() {
            return Err(format!("{who} has no end: {record:?}"));
        }
        deaths::of_ended(&self.ledger, record)?;
        outcomes::of_one(*line, record)?;
        self.sums.orphaned += in_flight;
        self.sums.died += u64::from(!in_order);
        Ok(())
    }
}

trait Records {
    fn record(&self, line: &Line<'_>) -> Option<&RunnerReport>;
    fn shows(&self, line: &Line<'_>) -> bool {
        self.record(line).is_some()
    }
}

impl Records for ShutdownReport {
    fn record(&self, line: &Line<'_>) -> Option<&RunnerReport> {
        let (id, pid) = (line.id(), line.ledger.pid(line.process()?));
        let mut runners = self.runners.iter();
        runners.find(|runner| runner.id == id && runner.pid == pid)
    }
}
