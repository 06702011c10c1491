//! The rounds: both contenders in turn, with the same processes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ebbtide::{Scope, ShutdownOutcome, ShutdownRequest};

use crate::Fallible;
use crate::futex;
use crate::page::Task;
use crate::plan::Plan;
use crate::stats::{Series, Table};
use crate::troop::Troop;

/// So long that no phase is ever forced.
const BUDGET: Duration = Duration::from_secs(600);

const CAVEAT: &str = "Microseconds. The machine is shared, so the absolute numbers mean \
little, and the 99th percentile is mostly other people's work; the ratio is the median of \
the ratios of neighbouring rounds, which noise meets alike (in brackets: its middle half).";

/// Initiate → the last process has seen it.
pub fn broadcast(plan: &Plan) -> Fallible {
    const CONTENDERS: [Task; 3] = [Task::Told, Task::ToldOfTwo, Task::Observe];
    let mut table = Table::new(
        "Broadcast: initiate → the last of N processes has seen it",
        &["futex", "futex_waitv", "ebbtide"],
    );
    for size in plan.sizes() {
        let mut troop = Troop::muster(size)?;
        let mut series = CONTENDERS.map(|_| Series::default());
        alternate(plan, size, CONTENDERS.len(), |contender, counts| {
            let took = one_broadcast(&mut troop, CONTENDERS[contender])?;
            if counts {
                series[contender].push(took);
            }
            Ok(())
        })?;
        troop.dismiss()?;
        table.row(size, "", &series);
    }
    table.print(&format!(
        "{CAVEAT} futex: all sleep on one word. futex_waitv: the same, but each sleeps on \
         two words with a time limit, as it must to learn of deaths, too."
    ));
    Ok(())
}

/// Runs the contenders in turn, each time with another one first.
fn alternate(
    plan: &Plan,
    size: usize,
    contenders: usize,
    mut one: impl FnMut(usize, bool) -> Fallible,
) -> Fallible {
    let warm_up = plan.warm_up();
    for round in 0..warm_up + plan.rounds(size) {
        for turn in 0..contenders {
            one((round + turn) % contenders, round >= warm_up)?;
        }
    }
    Ok(())
}

fn one_broadcast(troop: &mut Troop, task: Task) -> Fallible<u64> {
    let request = ShutdownRequest::new().timeout(BUDGET);
    troop.ready(task)?;
    let began = futex::now();
    match task {
        Task::Observe => {
            troop.coordinator.initiate_shutdown(&Scope::All, &request)?;
        }
        _ => tell(troop),
    }
    troop.done()?;
    if task == Task::Observe {
        troop.coordinator.cancel_shutdown(&Scope::All)?;
    }
    Ok(troop.page().last(troop.size()).saturating_sub(began))
}

fn tell(troop: &Troop) {
    let told = &troop.page().told.0;
    told.fetch_add(1, Ordering::AcqRel);
    futex::wake_all(told);
}

/// The three ends of a whole shutdown, after its beginning.
struct Ends {
    /// The last phase was published.
    complete: u64,
    /// The initiator knew.
    known: u64,
    /// The last process went on.
    through: u64,
}

/// The whole shutdown of idle runners.
pub fn full(plan: &Plan) -> Fallible {
    const CONTENDERS: [Task; 3] = [Task::Barriers, Task::BarriersOfTwo, Task::Shutdown];
    let mut table = Table::new(
        "Shutdown of N idle runners, three phases",
        &["futex", "futex_waitv", "ebbtide"],
    );
    for size in plan.sizes() {
        let mut troop = Troop::muster(size)?;
        let mut complete = CONTENDERS.map(|_| Series::default());
        let mut known = CONTENDERS.map(|_| Series::default());
        let mut through = CONTENDERS.map(|_| Series::default());
        alternate(plan, size, CONTENDERS.len(), |contender, counts| {
            let ends = match CONTENDERS[contender] {
                Task::Shutdown => one_shutdown(&mut troop)?,
                task => three_barriers(&mut troop, task)?,
            };
            if counts {
                complete[contender].push(ends.complete);
                known[contender].push(ends.known);
                through[contender].push(ends.through);
            }
            Ok(())
        })?;
        troop.dismiss()?;
        table.row(size, "Complete is published", &complete);
        table.row(size, "the initiator has its answer", &known);
        table.row(size, "the last runner is through", &through);
    }
    table.print(&format!(
        "{CAVEAT} futex, futex_waitv: a broadcast and three barriers, by the one or the other \
         wait; the initiator watches them. With ebbtide each runner has left in the end and \
         holds a report of all runners; the barriers tell nothing, and one death blocks \
         them for ever."
    ));
    Ok(())
}

fn three_barriers(troop: &mut Troop, task: Task) -> Fallible<Ends> {
    troop.ready(task)?;
    let barrier = &troop.page().barrier.0;
    let end = barrier.sense().wrapping_add(3);
    let began = futex::now();
    tell(troop);
    // Seen phase by phase, as an ebbtide waiter does.
    let page = troop.page();
    barrier.watch(end, |word, expected| match task {
        Task::BarriersOfTwo => page.sleep_on_two(word, expected),
        _ => page.sleep(word, expected),
    });
    let known = futex::now();
    troop.done()?;
    let page = troop.page();
    Ok(Ends {
        complete: page.barrier.0.passed().saturating_sub(began),
        known: known - began,
        through: page.last(troop.size()).saturating_sub(began),
    })
}

fn one_shutdown(troop: &mut Troop) -> Fallible<Ends> {
    let request = ShutdownRequest::new().timeout(BUDGET);
    troop.ready(Task::Shutdown)?;
    let began = futex::now();
    let coordinator = &troop.coordinator;
    coordinator.initiate_shutdown(&Scope::All, &request)?;
    let report = coordinator.wait_for_shutdown_complete(&Scope::All, BUDGET)?;
    let known = futex::now();
    troop.done()?;
    if report.outcome != ShutdownOutcome::Completed || report.runners.len() != troop.size() {
        return Err(format!("not everybody completed: {report:#?}").into());
    }
    troop.coordinator.begin_generation()?;
    Ok(Ends {
        complete: report.total.as_nanos() as u64,
        known: known - began,
        through: troop.page().last(troop.size()).saturating_sub(began),
    })
}
