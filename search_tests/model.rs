//! How a model is searched, and shown to be able to fail.

use std::time::Instant;

use super::automaton::hushed;
use super::schedule;
use super::search::{Figures, Found, Limits, Search};
use super::system::System;
use super::world::{self, World};

/// States of a search, short and long.
const STATES: (u64, u64) = (12_000_000, 200_000_000);
/// One step of time, in microseconds.
const UNIT: u64 = 1000;

/// Whether the long form was asked for (`ci/search.sh`).
pub(crate) fn is_long() -> bool {
    std::env::var("EBBTIDE_SEARCH").is_ok_and(|form| form == "long")
}

/// A number for the short form of a search, and one for the long form.
pub(crate) fn scaled<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// One model: its name, and what the search may do besides scheduling.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    name: String,
    states: u64,
    clock_runs: bool,
    ticks: u32,
    kills: u32,
    is_bounded: bool,
    stops: Option<u32>,
}

impl Model {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            states: scaled(STATES.0, STATES.1),
            clock_runs: false,
            ticks: 0,
            kills: 0,
            is_bounded: false,
            stops: None,
        }
    }

    /// Each reading of the clock is later than the one before. Default: the clock does not run.
    pub(crate) fn clock_runs(mut self) -> Self {
        self.clock_runs = true;
        self
    }

    /// Limits how often time passes. Default: never.
    pub(crate) fn ticks(mut self, ticks: u32) -> Self {
        self.ticks = ticks;
        self
    }

    /// Limits the number of states. Default: twelve million, and more in the long form.
    pub(crate) fn states(mut self, states: u64) -> Self {
        self.states = states;
        self
    }

    /// Limits how many of the mortal actors are killed. Default: none.
    pub(crate) fn kills(mut self, kills: u32) -> Self {
        self.kills = kills;
        self
    }

    /// Searches all schedules in which actors are stopped at most `stops` times. Default: any
    /// number. For models of too many states.
    pub(crate) fn stops(mut self, stops: u32) -> Self {
        self.stops = Some(stops);
        self
    }

    /// The search may end at the limit of states. Default: that is a failure.
    pub(crate) fn bounded(mut self) -> Self {
        self.is_bounded = true;
        self
    }

    /// Searches the model and prints one line.
    ///
    /// # Panics
    /// With the schedule, when a check fails or a wake-up is lost; and when the search
    /// was cut short.
    pub(crate) fn holds(self, setup: impl FnOnce(&mut World)) {
        let mut system = self.build(setup);
        let (found, figures) = self.search(&mut system, "holds");
        if let Some(found) = found {
            let found = schedule::shortened(&mut system, found);
            let schedule = schedule::print(&mut system, &found);
            panic!("model {:?}: {}\n{schedule}", self.name, found.failure.0);
        }
        let is_whole = !figures.is_cut || self.is_bounded;
        assert!(
            is_whole,
            "model {:?}: cut at the limit of states",
            self.name
        );
    }

    /// Searches a model that is known to fail; returns the schedule that shows it.
    ///
    /// # Panics
    /// When nothing is found.
    pub(crate) fn must_be_found(self, setup: impl FnOnce(&mut World)) -> String {
        let mut system = self.build(setup);
        let (found, figures) = self.search(&mut system, "found");
        let cut = if figures.is_cut { ", cut short" } else { "" };
        let Some(found) = found else {
            panic!("model {:?}: nothing was found{cut}", self.name);
        };
        let found = schedule::shortened(&mut system, found);
        println!(
            "  found: {} ({} steps, {} stops)",
            found.failure.0,
            found.path.len(),
            found.stops,
        );
        let schedule = schedule::print(&mut system, &found);
        if std::env::var_os("EBBTIDE_SCHEDULE").is_some() {
            println!("{schedule}");
        }
        schedule
    }

    fn build(&self, setup: impl FnOnce(&mut World)) -> System {
        let mut system = world::build(setup);
        (system.unit, system.clock_runs) = (UNIT, self.clock_runs);
        (system.max_ticks, system.max_kills) = (self.ticks, self.kills);
        if self.kills > 0 {
            system.share_with_kernel();
        }
        system
    }

    fn search(&self, system: &mut System, what: &str) -> (Option<Found>, Figures) {
        let begin = Instant::now();
        let limits = Limits {
            states: self.states,
            stops: self.stops,
        };
        let mut search = Search::new(system, limits);
        search.walk();
        let found = search.run();
        let figures = search.figures;
        let mut cut = String::new();
        if let Some(stops) = self.stops {
            cut = format!(", at most {stops} stops");
        }
        if figures.is_cut {
            cut += ", cut at the limit of states";
        }
        println!(
            "search {} ({what}): {} states, {} schedules, longest {}, {} local states{cut}, {:.2} s",
            self.name,
            figures.states,
            figures.schedules,
            figures.longest,
            system.nodes(),
            begin.elapsed().as_secs_f64()
        );
        (found, figures)
    }
}

/// Runs a check that must panic; returns its message.
///
/// # Panics
/// When it passes.
pub(crate) fn must_panic(check: impl FnOnce()) -> String {
    match hushed(check) {
        Ok(()) => panic!("it passed"),
        Err(message) => message,
    }
}
