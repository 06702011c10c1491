//! Counting an item of work in and out.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::sync::WaitGroup;
use ebbtide::Runner;
use tokio_util::task::TaskTracker;

use crate::Fallible;
use crate::outcome::{Item, Role, Target};
use crate::plan::Plan;
use crate::timing::{Batch, batches};
use crate::troop::{options, scratch};

/// A batch of threads, which have to be started.
const LONG: Duration = Duration::from_millis(4);

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let scratch = scratch()?;
    let segment = options(scratch.path()).create("inflight")?;
    let runner = Runner::join(&segment, "runner")?;
    let (tracker, group, word) = (TaskTracker::new(), WaitGroup::new(), AtomicU64::new(0));
    let limit = || {
        black_box(&word).fetch_add(1, Ordering::AcqRel);
        black_box(&word).fetch_sub(1, Ordering::AcqRel);
    };
    let ours = || drop(black_box(&runner).begin().expect("nothing drains"));
    let tracked = || drop(black_box(&tracker).token());
    let grouped = || drop(black_box(&group).clone());

    let mut cases = Vec::new();
    for pinned in plan.pinnings() {
        crate::pin(pinned)?;
        let contenders = vec![
            Batch::new("two atomic additions", Role::Limit, limit),
            Batch::new("begin, drop", Role::Ours, ours),
            Batch::new("tokio-util TaskTracker", Role::Peer, tracked),
            Batch::new("crossbeam WaitGroup", Role::Peer, grouped),
        ];
        let case = batches(plan, "1 thread", contenders)?;
        let target = Target::of_limit(1.2);
        cases.push(case.pinned(pinned).target(Some(target)));
    }
    crate::pin(false)?;
    let contenders = vec![
        threaded("two atomic additions", Role::Limit, &limit),
        threaded("begin, drop", Role::Ours, &ours),
        threaded("tokio-util TaskTracker", Role::Peer, &tracked),
        threaded("crossbeam WaitGroup", Role::Peer, &grouped),
    ];
    cases.push(batches(plan, "16 threads at once", contenders)?);
    Ok(Item {
        name: "inflight",
        title: "In-flight work: begin and end",
        about: "The limit is two atomic additions to one word. With 16 threads: nanoseconds of \
                the whole machine per item, all threads counting on the same object.",
        cases,
        missing: Vec::new(),
    })
}

fn threaded<'a>(name: &'a str, role: Role, one: &'a (impl Fn() + Sync)) -> Batch<'a> {
    const THREADS: u64 = 16;
    let run = move |times: u64| {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..times.div_ceil(THREADS)).for_each(|_| one()));
            }
        });
    };
    Batch::many(name, role, run).length(LONG)
}
