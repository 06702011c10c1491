//! Several processes want one lock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::item::lock::COMPARED;
use crate::outcome::{Aim, Case, Role, Target, Unit};
use crate::peer::lock::{Lock, Means};
use crate::plan::Plan;
use crate::raw::{futex, kernel};
use crate::stats::{Series, alternate};
use crate::troop::{Line, Lodging, Task, Troop};

/// The longest that a sample of the counts is apart from the next, so long as this process
/// gets to run: what is shorter than that between two locks of a process is not seen.
const SAMPLED: Duration = Duration::from_millis(1);

/// More processes than cores take turns of some milliseconds; a round is to hold several of
/// each one's.
const TURN: Duration = Duration::from_millis(25);

/// What came of one round.
struct Round {
    counts: Vec<u64>,
    /// The longest that one of them was seen to go without the lock.
    longest: Duration,
}

/// Of all rounds of one contender.
#[derive(Clone, Default)]
struct Shares {
    least: Series,
    greatest: Series,
    longest: Series,
    /// How many times a process did not have the lock at all in a round.
    starved: usize,
}

impl Shares {
    fn add(&mut self, number: usize, round: &Round) {
        let Round { counts, longest } = round;
        let all: u64 = counts.iter().sum();
        let share = |count: Option<&u64>| {
            let count = count.copied().unwrap_or(0);
            count as f64 * counts.len() as f64 / all.max(1) as f64
        };
        self.least.push(number, share(counts.iter().min()));
        self.greatest.push(number, share(counts.iter().max()));
        self.longest.push(number, longest.as_nanos() as f64);
        self.starved += counts.iter().filter(|count| **count == 0).count();
    }

    fn starved(&self) -> Series {
        let mut series = Series::default();
        series.push(0, self.starved as f64);
        series
    }
}

/// Locks per second of all, and how fairly they were shared.
pub fn throughput(plan: &Plan, size: usize, pinned: bool) -> Fallible<Vec<Case>> {
    crate::pin(pinned)?;
    let mut troop = Troop::muster(
        size,
        Lodging {
            pinned,
            megabytes: 0,
        },
    )?;
    let is_crowd = size > 4;
    let window = match is_crowd {
        true => TURN * plan.pick(1, size as u32, size as u32),
        false => Duration::from_millis(plan.pick(2, 20, 50)),
    };
    let mut names = vec![("std Mutex, one process", Role::Limit)];
    names.extend(COMPARED.map(|(means, role)| (means.name(), role)));
    let strides = vec![1; names.len()];
    let mut shares = vec![Shares::default(); names.len()];
    let mut turns = vec![0; names.len()];
    let rounds = match is_crowd {
        true => plan.some_rounds(1, 2, 8),
        false => plan.some_rounds(1, 8, 30),
    };
    let series = alternate(rounds, &strides, |contender| {
        let round = match contender.checked_sub(1) {
            None => in_threads(size, window, pinned)?,
            Some(place) => between_processes(&mut troop, COMPARED[place].0, window)?,
        };
        turns[contender] += 1;
        if turns[contender] > rounds.warm_up {
            shares[contender].add(turns[contender], &round);
        }
        let all: u64 = round.counts.iter().sum();
        Ok(all as f64 / window.as_secs_f64())
    })?;
    troop.dismiss()?;
    let label = format!("{size} processes");
    let of = |what: &str, unit: Unit, of: fn(&Shares) -> Series| {
        let series: Vec<_> = shares.iter().map(of).collect();
        Case::new(format!("{label}, {what}"), &names, &series)
            .unit(unit)
            .pinned(pinned)
    };
    Ok(vec![
        Case::new(format!("{label}, locks per second"), &names, &series)
            .unit(Unit::PerSecond)
            .pinned(pinned)
            .target(Some(Target::of(1.5, Aim::BestPeer))),
        of("starved in a round", Unit::Count, Shares::starved)
            .target(Some(Target::of(0.0, Aim::Absolute))),
        of("least share", Unit::Fairness, |shares| shares.least.clone()),
        of("greatest share", Unit::Fairness, |shares| {
            shares.greatest.clone()
        }),
        of("longest wait of any", Unit::Nanoseconds, |shares| {
            shares.longest.clone()
        }),
    ])
}

/// Sleeps for a while, looking at the counts now and then; the longest that one of them stood
/// still.
fn watch(window: Duration, counts: impl Fn() -> Vec<u64>) -> Duration {
    let began = Instant::now();
    let mut seen: Vec<_> = counts().into_iter().map(|count| (count, began)).collect();
    let mut longest = Duration::ZERO;
    loop {
        let left = window.saturating_sub(began.elapsed());
        thread::sleep(left.min(SAMPLED));
        let now = Instant::now();
        for ((seen, since), count) in seen.iter_mut().zip(counts()) {
            longest = longest.max(now - *since);
            if count != *seen {
                (*seen, *since) = (count, now);
            }
        }
        if left.is_zero() {
            return longest;
        }
    }
}

fn between_processes(troop: &mut Troop, means: Means, window: Duration) -> Fallible<Round> {
    troop.ready(Task::Contend(means))?;
    let counts = || troop.page().notes(troop.size()).collect();
    troop.page().tell();
    let longest = watch(window, counts);
    troop.stop()?;
    let counts = troop.page().notes(troop.size()).collect();
    Ok(Round { counts, longest })
}

fn in_threads(size: usize, window: Duration, pinned: bool) -> Fallible<Round> {
    let (mutex, stop) = (Mutex::new(0_u64), AtomicBool::new(false));
    let counts: Vec<_> = (0..size).map(|_| Line(AtomicU64::new(0))).collect();
    let cores = crate::cores();
    let seen = || counts.iter().map(|one| one.0.load(Ordering::Relaxed));
    let longest = thread::scope(|scope| {
        let contend = |index: usize, own: &AtomicU64| {
            if pinned {
                let core = cores[(index + 1) % cores.len()];
                kernel::run_on(&[core]).expect("it may run there");
            }
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                *mutex.lock().expect("nobody panics") += 1;
                count += 1;
                own.store(count, Ordering::Relaxed);
            }
        };
        for (index, own) in counts.iter().enumerate() {
            scope.spawn(move || contend(index, &own.0));
        }
        let longest = watch(window, || seen().collect());
        stop.store(true, Ordering::Relaxed);
        longest
    });
    let counts = seen().collect();
    Ok(Round { counts, longest })
}

/// From before the unlock until the one who waits has it.
pub fn hand_off(plan: &Plan, pinned: bool) -> Fallible<Case> {
    crate::pin(pinned)?;
    let mut troop = Troop::muster(
        1,
        Lodging {
            pinned,
            megabytes: 0,
        },
    )?;
    let place = troop.place(0, 1);
    let names = COMPARED.map(|(means, role)| (means.name(), role));
    let names = names.map(|(name, role)| match role {
        // Between processes a futex is all there is.
        Role::Aside => (name, Role::Limit),
        role => (name, role),
    });
    let series = alternate(plan.some_rounds(2, 100, 500), &[1; 6], |contender| {
        let means = COMPARED[contender].0;
        let lock = {
            // It borrows the page, which the troop keeps mapped until it is dismissed.
            let page = crate::troop::Mapped::open(&place.page_path())?;
            let lock = Lock::open(means, &place, &page, &troop.segment)?;
            lock.with(|| -> Fallible<u64> {
                troop.ready(Task::HandOff(means))?;
                Ok(futex::now())
            })?
        };
        troop.done()?;
        let last = troop.page().last(1);
        Ok(last.saturating_sub(lock) as f64)
    })?;
    troop.dismiss()?;
    let target = Target::of(1.5, Aim::BestPeer);
    Ok(Case::new("handed to a sleeping process", &names, &series)
        .pinned(pinned)
        .target(Some(target)))
}
