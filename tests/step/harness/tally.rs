//! What a sweep has found.

use std::time::{Duration, Instant};

use crate::harness::point::Point;
use crate::harness::survivor::{Done, Violation};

/// The figures of one operation.
#[derive(Debug)]
pub struct Tally {
    pub name: &'static str,
    /// Instructions from its first to its last.
    pub length: u64,
    pub kills: u64,
    /// Stops of victims, all kills together.
    pub stops: u64,
    /// Victims that went another way than the first one, and so were killed at their end.
    pub missed: u64,
    /// Locks that came with the word that their owner had died.
    pub told: u64,
    /// The longest that anything asked of the survivor took.
    pub longest: Duration,
    /// Where, and what.
    pub violations: Vec<String>,
    begin: Instant,
}

impl Tally {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            length: 0,
            kills: 0,
            stops: 0,
            missed: 0,
            told: 0,
            longest: Duration::ZERO,
            violations: Vec::new(),
            begin: Instant::now(),
        }
    }

    pub fn killed(&mut self, found: [Done; 2]) {
        self.kills += 1;
        for done in found {
            self.told += u64::from(done.told);
            self.longest = self.longest.max(done.longest);
        }
    }

    /// Remembers where it was, and how to see it again.
    pub fn wrong(&mut self, point: Point, violation: &Violation) {
        self.kills += 1;
        let text = format!(
            "{} killed at {point}: {violation} \
             (again: EBBTIDE_STEP_OP='{}' EBBTIDE_STEP_K={point} cargo test --test step)",
            self.name, self.name
        );
        // At once: a run may be stopped before its end.
        eprintln!("step: found: {text}");
        self.violations.push(text);
    }

    pub const HEAD: &'static str = "\
| operation | instructions | kills | owner-died hand-overs | violations | longest survivor wait |
|---|--:|--:|--:|--:|--:|";

    /// A row of the table.
    pub fn row(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {:.1} ms |",
            self.name,
            self.length,
            self.kills,
            self.told,
            self.violations.len(),
            self.longest.as_secs_f64() * 1e3,
        )
    }

    /// The same for machines, with the speed.
    pub fn json(&self) -> String {
        let seconds = self.begin.elapsed().as_secs_f64();
        format!(
            "{{\"operation\":{:?},\"instructions\":{},\"kills\":{},\"hand_overs\":{},\
             \"violations\":{},\"longest_wait_ms\":{:.3},\"seconds\":{seconds:.1},\
             \"kills_per_second\":{:.1},\"stops\":{},\"missed\":{}}}",
            self.name,
            self.length,
            self.kills,
            self.told,
            self.violations.len(),
            self.longest.as_secs_f64() * 1e3,
            self.kills as f64 / seconds,
            self.stops,
            self.missed,
        )
    }
}
