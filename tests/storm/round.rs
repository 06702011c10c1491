//! One round: a new group, a storm over it, and the check after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ebbtide::Segment;

use crate::after;
use crate::ledger::act::Act;
use crate::ledger::{Head, Ledger};
use crate::oracle::books::Harvester;
use crate::oracle::store::Store;
use crate::plan::Plan;
use crate::population::{KINDS, PARENT, Population};
use crate::support::Place;
use crate::tally::Tally;

/// Longest pauses between two kills of a round, in milliseconds.
const PAUSES: [u64; 4] = [3, 8, 14, 26];

/// The violations that were seen; none is the aim.
pub struct Outcome {
    pub tally: Tally,
    pub violations: Vec<String>,
}

/// Runs one round in a place of its own.
pub fn round(place: &Place, plan: &Plan, signs: &[&str]) -> Outcome {
    let segment = place.create();
    Store::open(&segment).fill();
    let ledger = Arc::new(Ledger::create(&place.scratch("storm")));
    ledger.set_pid(PARENT, std::process::id());
    plan.publish(&ledger);
    let stop = AtomicBool::new(false);
    let (toll, sums, checked, shown) = std::thread::scope(|scope| {
        let harvester = Harvester::new(&segment, &ledger);
        let harvest = scope.spawn(|| harvester.run(&stop));
        // Children die with the thread that started them: this one.
        let mut all = Population::new(place, &segment, &ledger, plan);
        let mut shown = Vec::new();
        let checked = if plan.faults.is_empty() {
            storm(&mut all, &ledger, plan);
            check(&segment, &ledger, &mut all, plan)
        } else {
            // Nothing can be said of the end of what is broken.
            shown = storm_until(&mut all, &ledger, plan, signs);
            Ok(())
        };
        // All that are left hang.
        let toll = all.end();
        stop.store(true, Ordering::Release);
        (toll, harvest.join().unwrap(), checked, shown)
    });
    let mut violations = match plan.faults.is_empty() {
        true => ledger.violations(),
        false => shown,
    };
    violations.extend(checked.err());
    violations.extend(left_threads(segment));
    for violation in &violations {
        println!("violation: {violation}");
    }
    let tally = Tally {
        rounds: 1,
        toll,
        sums,
        acts: Act::ALL.map(|act| ledger.counted(act)).to_vec(),
    };
    Outcome { tally, violations }
}

fn check(
    segment: &Segment,
    ledger: &Arc<Ledger>,
    all: &mut Population<'_>,
    plan: &Plan,
) -> after::Checked {
    after::calm(segment, ledger, all)?;
    after::alone(segment, ledger)?;
    if plan.takes_all_slots {
        after::renew(segment, ledger)?;
        after::slots::are_free(segment)?;
    }
    Ok(())
}

/// Until there were enough kills, or a violation.
fn storm(all: &mut Population<'_>, ledger: &Ledger, plan: &Plan) {
    let mut pace = Pace::new(all, plan);
    while ledger.get(Head::Violations) == 0 && all.toll.struck < plan.kills {
        all.collect();
        all.fill_up(pace.people);
        all.strike();
        let until = Instant::now() + pace.pause(all);
        all.stop_and_go(until);
    }
}

/// Without kills, over a must-fail variant, until each sign was seen. Returns the
/// first violation with each of them.
fn storm_until(
    all: &mut Population<'_>,
    ledger: &Ledger,
    plan: &Plan,
    signs: &[&str],
) -> Vec<String> {
    let mut pace = Pace::new(all, plan);
    let (began, mut next, mut found) = (Instant::now(), 0, Vec::new());
    while began.elapsed() < plan.length && found.len() < signs.len() {
        all.collect();
        all.fill_up(pace.people);
        std::thread::sleep(pace.pause(all));
        for text in ledger.violations_from(next) {
            next += 1;
            let is_new = |sign: &&str| text.contains(*sign) && !is_shown(&found, sign);
            if signs.iter().any(is_new) {
                found.push(text);
            }
        }
    }
    found
}

/// How many processes there are, and how fast they are killed.
struct Pace {
    people: [usize; KINDS.len()],
    longest: u64,
}

impl Pace {
    fn new(all: &mut Population<'_>, plan: &Plan) -> Self {
        let people = plan.people();
        Self {
            people: people.map(|(least, more)| least + all.random.below(more) as usize),
            longest: PAUSES[all.random.below(PAUSES.len() as u64) as usize] * plan.slowness(),
        }
    }

    fn pause(&mut self, all: &mut Population<'_>) -> Duration {
        all.random.millis(0, self.longest)
    }
}

/// Whether one of them has the sign.
pub fn is_shown(violations: &[String], sign: &str) -> bool {
    violations.iter().any(|text| text.contains(sign))
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
