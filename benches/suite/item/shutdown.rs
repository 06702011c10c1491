//! The whole shutdown of N idle runners.

use std::time::Duration;

use ebbtide::{Scope, ShutdownOutcome, ShutdownRequest};

use crate::Fallible;
use crate::outcome::{Case, Item, Role, Target};
use crate::peer::old_protocol::{self, Sleeps};
use crate::plan::Plan;
use crate::raw::futex;
use crate::stats::{Series, alternate};
use crate::troop::{Lodging, Place, Task, Troop};

const BUDGET: Duration = Duration::from_secs(600);

/// The three ends of a whole shutdown, in nanoseconds after its beginning.
#[derive(Clone, Copy, Default)]
struct Ends {
    /// The last phase was published.
    complete: f64,
    /// The initiator knew.
    known: f64,
    /// The last process went on.
    through: f64,
}

const CONTENDERS: [(&str, Role, Task, usize); 6] = [
    ("three futex barriers", Role::Limit, Task::Barriers, 0),
    (
        "three barriers of three words",
        Role::Aside,
        Task::BarriersOfThree,
        0,
    ),
    ("ebbtide", Role::Ours, Task::Shutdown, 0),
    (
        "three pthread barriers",
        Role::Peer,
        Task::PthreadBarriers,
        0,
    ),
    (
        "old file protocol, no sleeps",
        Role::Peer,
        Task::OldProtocol(Sleeps::None),
        700,
    ),
    (
        "old file protocol",
        Role::Peer,
        Task::OldProtocol(Sleeps::Listed),
        5_500,
    ),
];

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let mut cases = Vec::new();
    for size in plan.sizes() {
        for pinned in plan.pinnings() {
            cases.extend(cases_of(plan, size, pinned)?);
        }
    }
    Ok(Item {
        name: "shutdown",
        title: "Shutdown of N idle runners, three phases",
        about: "The limit: a futex broadcast and three sense-reversing barriers of one futex \
                word each, which know of no deaths, deadlines or reports. Of three words: the same \
                barriers, each sleep a futex_waitv on two more words with a time limit, as ours \
                must to learn of a death and of a shutdown of one runner alone. Ours: \
                `initiate_shutdown`, `run_shutdown` in each runner, \
                `wait_for_shutdown_complete`; each runner has left in the end and holds its \
                report. The old protocol is a model (`peer/old_protocol.rs`), measured up to \
                N = 8.",
        cases,
        missing: Vec::new(),
    })
}

fn cases_of(plan: &Plan, size: usize, pinned: bool) -> Fallible<Vec<Case>> {
    crate::pin(pinned)?;
    let mut troop = Troop::muster(
        size,
        Lodging {
            pinned,
            megabytes: 0,
        },
    )?;
    let rounds = plan.rounds(size);
    // It is slow whatever is done about it.
    let fits = |millis: usize| millis == 0 || (size <= 8 && !pinned && !plan.is_test());
    let chosen: Vec<_> = CONTENDERS
        .into_iter()
        .filter(|(.., millis)| fits(*millis))
        .collect();
    let names: Vec<_> = chosen
        .iter()
        .map(|(name, role, ..)| (*name, *role))
        .collect();
    let stride = |millis| match millis {
        0 => 1,
        _ => rounds.counted.div_ceil(plan.pick(1, 1, 3)),
    };
    let strides: Vec<_> = chosen.iter().map(|(.., millis)| stride(*millis)).collect();
    let mut ends = vec![Vec::new(); chosen.len()];
    let known = alternate(rounds, &strides, |contender| {
        let one = match chosen[contender].2 {
            Task::Shutdown => one_shutdown(&mut troop)?,
            Task::OldProtocol(sleeps) => old(&mut troop, sleeps)?,
            task => three_barriers(&mut troop, task)?,
        };
        ends[contender].push(one);
        Ok(one.known)
    })?;
    troop.dismiss()?;
    let of = |end: fn(&Ends) -> f64| -> Vec<Series> {
        let all = ends.iter().zip(&known).zip(&strides);
        let series = all.map(|((ends, known), stride)| {
            let mut series = Series::default();
            let counted = known.summary().rounds;
            for (place, one) in ends[ends.len() - counted..].iter().enumerate() {
                series.push(place * stride, end(one));
            }
            series
        });
        series.collect()
    };
    let case = |until: &str, series: &[Series]| {
        Case::new(format!("N = {size}, {until}"), &names, series)
            .size(size)
            .pinned(pinned)
    };
    let target = Some(Target::of_limit(1.5));
    Ok(vec![
        case("Complete is published", &of(|ends| ends.complete)).target(target.clone()),
        case("the initiator knows", &known),
        case("the last runner is through", &of(|ends| ends.through)),
    ])
}

fn three_barriers(troop: &mut Troop, task: Task) -> Fallible<Ends> {
    troop.ready(task)?;
    let is_pthread = task == Task::PthreadBarriers;
    let end = troop.page().barrier.0.sense().wrapping_add(3);
    let began = futex::now();
    if is_pthread {
        troop.page().condition.0.broadcast();
        // The C library's barrier cannot be watched from outside.
        troop.done()?;
    } else {
        let page = troop.page();
        page.tell();
        // Seen phase by phase, as an ebbtide waiter does.
        page.barrier.0.watch(end, |word, expected| match task {
            Task::BarriersOfThree => page.sleep_on_three(word, expected),
            _ => page.sleep(word, expected),
        });
    }
    let known = futex::now();
    if !is_pthread {
        troop.done()?;
    }
    let page = troop.page();
    let through = page.last(troop.size());
    let complete = match is_pthread {
        true => page.notes(troop.size()).min().unwrap_or(0),
        false => page.barrier.0.passed(),
    };
    Ok(Ends {
        complete: complete.saturating_sub(began) as f64,
        known: (known - began) as f64,
        through: through.saturating_sub(began) as f64,
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
        complete: report.total.as_nanos() as f64,
        known: (known - began) as f64,
        through: troop.page().last(troop.size()).saturating_sub(began) as f64,
    })
}

fn old(troop: &mut Troop, sleeps: Sleeps) -> Fallible<Ends> {
    let folder = Place::old_path(troop.scratch());
    troop.ready(Task::OldProtocol(sleeps))?;
    let began = futex::now();
    old_protocol::initiate(&folder, troop.size(), sleeps)?;
    let known = (futex::now() - began) as f64;
    troop.done()?;
    old_protocol::clear(&folder, troop.size())?;
    Ok(Ends {
        complete: known,
        known,
        through: troop.page().last(troop.size()).saturating_sub(began) as f64,
    })
}
