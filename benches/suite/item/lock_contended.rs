//! Several processes want one lock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Fallible;
use crate::item::lock::COMPARED;
use crate::outcome::{Aim, Case, Role, Target, Unit};
use crate::peer::lock::{Lock, Means};
use crate::plan::Plan;
use crate::raw::{futex, kernel};
use crate::stats::{Series, alternate};
use crate::troop::{Lodging, Task, Troop};

/// Locks per second of all, and how fairly they were shared.
pub fn throughput(plan: &Plan, size: usize, pinned: bool) -> Fallible<[Case; 2]> {
    crate::pin(pinned)?;
    let mut troop = Troop::muster(
        size,
        Lodging {
            pinned,
            megabytes: 0,
        },
    )?;
    let window = Duration::from_millis(plan.pick(2, 20, 50));
    let mut names = vec![("std Mutex, one process", Role::Limit)];
    names.extend(COMPARED.map(|(means, role)| (means.name(), role)));
    let strides = vec![1; names.len()];
    let mut fairness = vec![Series::default(); names.len()];
    let mut turns = vec![0; names.len()];
    let rounds = plan.some_rounds(1, 8, 30);
    let series = alternate(rounds, &strides, |contender| {
        let counts = match contender.checked_sub(1) {
            None => in_threads(size, window, pinned)?,
            Some(place) => between_processes(&mut troop, COMPARED[place].0, window)?,
        };
        let all: u64 = counts.iter().sum();
        let least = counts.iter().min().copied().unwrap_or(0);
        let share = least as f64 * size as f64 / all.max(1) as f64;
        turns[contender] += 1;
        if turns[contender] > rounds.warm_up {
            fairness[contender].push(turns[contender], share);
        }
        Ok(all as f64 / window.as_secs_f64())
    })?;
    troop.dismiss()?;
    let target = Target::of(1.5, Aim::BestPeer);
    let label = format!("{size} processes");
    Ok([
        Case::new(format!("{label}, locks per second"), &names, &series)
            .unit(Unit::PerSecond)
            .pinned(pinned)
            .target(Some(target)),
        Case::new(format!("{label}, fairness"), &names, &fairness)
            .unit(Unit::Fairness)
            .pinned(pinned),
    ])
}

fn between_processes(troop: &mut Troop, means: Means, window: Duration) -> Fallible<Vec<u64>> {
    troop.ready(Task::Contend(means))?;
    troop.page().tell();
    thread::sleep(window);
    troop.stop()?;
    Ok(troop.page().notes(troop.size()).collect())
}

fn in_threads(size: usize, window: Duration, pinned: bool) -> Fallible<Vec<u64>> {
    let (mutex, stop) = (Mutex::new(0_u64), AtomicBool::new(false));
    let cores = crate::cores();
    let counts = thread::scope(|scope| {
        let contend = |index: usize| {
            if pinned {
                let core = cores[(index + 1) % cores.len()];
                kernel::run_on(&[core]).expect("it may run there");
            }
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                *mutex.lock().expect("nobody panics") += 1;
                count += 1;
            }
            count
        };
        let threads: Vec<_> = (0..size)
            .map(|index| scope.spawn(move || contend(index)))
            .collect();
        thread::sleep(window);
        stop.store(true, Ordering::Relaxed);
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|count| count.unwrap_or(0)).collect()
    });
    Ok(counts)
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
