//! One round: a new group, a storm over it, and the check after.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ebbtide::Segment;

use crate::support::Place;

use super::aftermath;
use super::harvest::{Harvester, Sums};
use super::ledger::{DEEDS, Deed, Ledger};
use super::population::{Population, Toll};
use super::random::Random;
use super::slots;
use super::store::Store;
use super::twin::Twin;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// The storm is over after so many, and not sooner.
    pub kills: u64,
    /// At least so long.
    pub length: Duration,
    pub twin: Twin,
    /// Whether it is proved at the end that no slot is lost, which takes a while.
    pub takes_all_slots: bool,
}

/// Runners, initiators and reapers of a round: at least so many, and so many more.
const PEOPLE: [(usize, u64); 3] = [(3, 8), (1, 3), (0, 3)];
/// Longest pauses of the killer in a round.
const PAUSES: [u64; 4] = [3, 8, 14, 30];

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub rounds: u64,
    pub toll: Toll,
    pub sums: Sums,
    pub deeds: [u64; DEEDS],
}

/// The violations that were seen; none is the aim.
pub struct Weather {
    pub tally: Tally,
    pub violations: Vec<String>,
}

/// Runs one round in a place of its own.
pub fn round(place: &Place, plan: &Plan) -> Weather {
    let segment = place.create();
    Store::open(&segment).fill();
    let ledger = Arc::new(Ledger::create(&place.scratch("storm")));
    let stop = AtomicBool::new(false);
    let random = Random::new(plan.seed);
    let (toll, sums, checked) = std::thread::scope(|scope| {
        let harvester = Harvester::new(&segment, &ledger);
        let harvest = scope.spawn(|| harvester.run(&stop));
        // Children die with the thread that started them: this one.
        let mut all = Population::new(place, &segment, &ledger, plan.twin, random);
        storm(&mut all, &ledger, plan);
        let checked = aftermath::calm(&segment, &ledger, &mut all)
            .and_then(|()| aftermath::alone(&segment, &ledger))
            .and_then(|()| match plan.takes_all_slots {
                true => {
                    aftermath::renew(&segment, &ledger).and_then(|()| slots::are_free(&segment))
                }
                false => Ok(()),
            });
        // Whoever is left hangs.
        let toll = all.end();
        stop.store(true, std::sync::atomic::Ordering::Release);
        (toll, harvest.join().unwrap(), checked)
    });
    let mut violations = ledger.violations();
    violations.extend(checked.err());
    violations.extend(left_threads(segment));
    for violation in &violations {
        println!("violation: {violation}");
    }
    let tally = Tally {
        rounds: 1,
        toll,
        sums,
        deeds: Deed::ALL.map(|deed| ledger.counted(deed)),
    };
    Weather { tally, violations }
}

fn storm(all: &mut Population<'_>, ledger: &Ledger, plan: &Plan) {
    let began = Instant::now();
    let people = PEOPLE.map(|(least, more)| least + all.random.below(more) as usize);
    let pause = PAUSES[all.random.below(PAUSES.len() as u64) as usize];
    while (all.toll.killed < plan.kills || began.elapsed() < plan.length)
        && ledger.violations().is_empty()
    {
        all.bury();
        all.fill_up(people);
        if plan.kills > 0 {
            all.strike();
        }
        all.go_on(false);
        std::thread::sleep(all.random.millis(0, pause));
    }
}

/// Threads of the library that live on after the last handle.
fn left_threads(segment: Segment) -> Option<String> {
    drop(segment);
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names: Vec<_> = tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .filter(|name| name.starts_with("ebbtide-"))
        .collect();
    (!names.is_empty()).then(|| format!("threads that are left: {names:?}"))
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        let (toll, more) = (&mut self.toll, &other.toll);
        toll.started += more.started;
        toll.killed += more.killed;
        toll.stopped += more.stopped;
        toll.terminated += more.terminated;
        let (sums, more) = (&mut self.sums, &other.sums);
        sums.generations += more.generations;
        sums.runners += more.runners;
        sums.died += more.died;
        sums.begun += more.begun;
        sums.finished += more.finished;
        sums.orphaned += more.orphaned;
        sums.open_brackets += more.open_brackets;
        for (sum, more) in self.deeds.iter_mut().zip(other.deeds) {
            *sum += more;
        }
    }

    pub fn of(&self, deed: Deed) -> u64 {
        self.deeds[deed as usize]
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (toll, sums) = (&self.toll, &self.sums);
        writeln!(
            f,
            "rounds {}, processes {}, SIGKILL {}, SIGSTOP {}, SIGTERM {}",
            self.rounds, toll.started, toll.killed, toll.stopped, toll.terminated
        )?;
        writeln!(
            f,
            "generations {}, runners {}, died {}; items begun {} = finished {} + orphaned {} \
             (open brackets {})",
            sums.generations,
            sums.runners,
            sums.died,
            sums.begun,
            sums.finished,
            sums.orphaned,
            sums.open_brackets
        )?;
        for deed in Deed::ALL {
            write!(f, "{deed:?} {}  ", self.of(deed))?;
        }
        Ok(())
    }
}
