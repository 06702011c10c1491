//! Conservation: what was begun was finished, or is on record as in flight with somebody
//! who died.
//!
//! After each generation, before the next may begin, the report's record of every runner
//! is compared with its line in the ledger. Of a runner that left in order the record
//! says zero and the line `begun = finished`. Of one that died the record says how many
//! items it had in flight, its *orphans*, and that is `begun - finished` of the line; a
//! thread that was killed between the announcement and the confirmation of a call (an open
//! bracket) makes one more or less right, and is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ebbtide::{Phase, RunnerReport, Scope, Segment, ShutdownCoordinator, ShutdownReport};

use super::ledger::{Head, Ledger};
use super::line::{Line, State};

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
    coordinator: ShutdownCoordinator,
    sums: Sums,
}

impl Harvester {
    pub fn new(segment: &Segment, ledger: &Arc<Ledger>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            coordinator: ShutdownCoordinator::new(segment),
            sums: Sums::default(),
        }
    }

    /// Closes the books of each generation that completes, until told to stop.
    pub fn run(mut self, stop: &AtomicBool) -> Sums {
        while !stop.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
            let status = self.coordinator.status().unwrap();
            let is_new = u64::from(status.generation) > self.ledger.get(Head::Harvested);
            if status.phase == Phase::Complete && is_new {
                if let Err(problem) = self.close(status.generation) {
                    self.ledger.violate(&problem);
                }
                let harvested = self.ledger.head(Head::Harvested);
                harvested.store(status.generation.into(), Ordering::Release);
            }
        }
        self.sums
    }

    fn close(&mut self, generation: u32) -> Result<(), String> {
        let gone = self.coordinator.wait_gone(generation, LIMIT);
        gone.map_err(|error| format!("generation {generation} does not go: {error}"))?;
        let ledger = Arc::clone(&self.ledger);
        let first = self.report(generation)?;
        let ours: Vec<_> = (0..ledger.lines())
            .map(|index| Line::at(&ledger, index))
            .filter(|line| line.generation() == generation || first.shows(line))
            .collect();
        for line in &ours {
            let end = Instant::now() + LIMIT;
            while !line.is_settled() {
                if Instant::now() > end {
                    return Err(format!("{} left and does not end", line.id()));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // Now nothing moves any more.
        let last = self.report(generation)?;
        for line in &ours {
            self.compare(line, last.record(line))?;
        }
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
        let (id, books) = (line.id(), line.books());
        let in_order = line.is(State::Closed);
        self.sums.runners += 1;
        self.sums.begun += books.begun;
        self.sums.finished += books.finished;
        self.sums.open_brackets += books.most - books.least;
        if in_order && books.begun != books.finished {
            return Err(format!("{id} left in order: {books:?}"));
        }
        // Who left before the shutdown began is not in its report, and asked for by name.
        let alone = match record {
            None if line.is(State::Joined) => Some(self.alone(&id)?),
            _ => None,
        };
        let Some(record) = record.or(alone.as_ref()) else {
            return Ok(());
        };
        let in_flight = u64::from(record.in_flight);
        if in_flight < books.least || in_flight > books.most {
            return Err(format!(
                "{id}: {in_flight} in flight, but {books:?}: {record:?}"
            ));
        }
        if record.alive || record.outcome.is_none() {
            return Err(format!("{id} has no end: {record:?}"));
        }
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
        let id = line.id();
        self.runners.iter().find(|runner| runner.id == id)
    }
}
