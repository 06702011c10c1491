//! What a sweep of stops has found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use super::pair::{Guard, caught_if_narrow};
use super::route::{Kind, Route};
use super::run::{Fate, Pair, Stop};
use crate::harness::survivor::Violation;

/// The figures of one pair.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub stops: u64,
    pub violations: u64,
    /// The operation went another way.
    pub missed: u64,
}

/// Of one operation.
#[derive(Clone, Copy, Debug, Default)]
struct Length {
    instructions: u64,
    points: u64,
    atomic: u64,
}

/// All figures of a run.
#[derive(Debug)]
pub struct Tally {
    pairs: BTreeMap<(&'static str, &'static str), Figures>,
    lengths: BTreeMap<&'static str, Length>,
    /// Violations that must not be.
    bad: usize,
    /// Of pairs that rest on the width of a tag, with narrow tags.
    caught: usize,
    begin: Instant,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            pairs: BTreeMap::new(),
            lengths: BTreeMap::new(),
            bad: 0,
            caught: 0,
            begin: Instant::now(),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.operation.name, self.scenario.name)
    }
}

impl Tally {
    pub fn of(&self, pair: Pair) -> Figures {
        let key = (pair.operation.name, pair.scenario.name);
        self.pairs.get(&key).copied().unwrap_or_default()
    }

    fn entry(&mut self, pair: Pair) -> &mut Figures {
        let key = (pair.operation.name, pair.scenario.name);
        self.pairs.entry(key).or_default()
    }

    pub fn learnt(&mut self, operation: &'static str, route: &Route) {
        let atomic = route.points.iter().filter(|one| one.kind == Kind::Atomic);
        let length = Length {
            instructions: route.length,
            points: route.points.len() as u64,
            atomic: atomic.count() as u64,
        };
        self.lengths.insert(operation, length);
    }

    pub fn well(&mut self, pair: Pair) {
        self.entry(pair).stops += 1;
    }

    pub fn missed(&mut self, pair: Pair) {
        self.entry(pair).missed += 1;
    }

    /// Remembers what was wrong, and how to see it again.
    pub fn wrong(&mut self, pair: Pair, at: Option<Stop>, violation: &Violation) {
        let figures = self.entry(pair);
        figures.stops += 1;
        figures.violations += 1;
        let rests = cfg!(feature = "narrow") && pair.guard() == Guard::Width;
        if rests {
            self.caught += 1;
        } else {
            self.bad += 1;
        }
        let place = at.map_or("before its scene".into(), |at| at.to_string());
        let index = at.map_or(0, |at| at.point.index);
        let fate = at.map_or(Fate::GoesOn, |at| at.fate);
        let (operation, scenario) = (pair.operation.name, pair.scenario.name);
        let how = if rests {
            "caught, as its width is narrow"
        } else {
            "found"
        };
        let features = match cfg!(feature = "narrow") {
            true => " --features narrow",
            false => "",
        };
        // At once: a run may be stopped before its end.
        println!(
            "step: {how}: {pair}: {place}: {violation} (again: EBBTIDE_STEP=stops \
             EBBTIDE_STEP_OP='{operation}' EBBTIDE_STOP_LIFE='{scenario}' EBBTIDE_STEP_K={index} \
             EBBTIDE_STOP_FATE='{fate}' cargo test{features} --test step)"
        );
    }

    /// A pair that is wrong on purpose.
    pub fn must_be_found(&mut self, pair: Pair) {
        let found = self.of(pair).violations as usize;
        println!("step: {pair}: found {found} times, as it must be");
        self.bad -= found.min(self.bad);
        self.bad += usize::from(found == 0);
        self.pairs
            .remove(&(pair.operation.name, pair.scenario.name));
    }

    const HEAD: &'static str = "\
| operation | instructions | points | of them atomic | scenarios | stops | violations | other ways |
|---|--:|--:|--:|--:|--:|--:|--:|";

    /// Prints the table; how many violations there were. `is_whole`: all that rests on the
    /// width of a tag was tried, so with narrow tags something of it must have been caught.
    pub fn end(&self, is_whole: bool) -> usize {
        println!("{}", Self::HEAD);
        let mut stops = 0;
        for (operation, length) in &self.lengths {
            let pairs = self.pairs.iter().filter(|((name, _), _)| name == operation);
            let pairs: Vec<_> = pairs.collect();
            let sum = |figure: fn(&Figures) -> u64| -> u64 {
                pairs.iter().map(|(_, figures)| figure(figures)).sum()
            };
            if pairs.is_empty() {
                continue;
            }
            stops += sum(|figures| figures.stops);
            println!(
                "| {operation} | {} | {} | {} | {} | {} | {} | {} |",
                length.instructions,
                length.points,
                length.atomic,
                pairs.len(),
                sum(|figures| figures.stops),
                sum(|figures| figures.violations),
                sum(|figures| figures.missed),
            );
        }
        let seconds = self.begin.elapsed().as_secs_f64();
        println!(
            "step: {stops} stops in {seconds:.1} s ({:.0} per second), {} violations",
            stops as f64 / seconds,
            self.bad
        );
        let mut bad = self.bad;
        if cfg!(feature = "narrow") {
            println!(
                "step: {} caught that rest on the width of a tag",
                self.caught
            );
            let is_missing = |pair: &(&'static str, &'static str)| {
                let figures = self.pairs.get(pair);
                figures.is_none_or(|figures| figures.violations == 0)
            };
            for pair in caught_if_narrow().filter(|pair| is_whole && is_missing(pair)) {
                println!("step: {pair:?} was not caught with narrow tags");
                bad += 1;
            }
        }
        bad
    }
}
