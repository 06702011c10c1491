//! A process dies: how soon somebody goes on.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ebbtide::{Scope, ShutdownCoordinator, ShutdownRequest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, gettid};

use crate::Fallible;
use crate::outcome::{Aim, Case, Item, Role, Target};
use crate::peer::lock::{Lock, Means};
use crate::plan::Plan;
use crate::raw::{futex, kernel};
use crate::stats::{Series, alternate};
use crate::troop::{Lodging, Mapped, Place, SEGMENT, Task, Troop, options};

/// How the death is noticed.
#[derive(Clone, Copy)]
enum Notice {
    /// By the next owner of the lock that it held.
    Lock(Means),
    /// By whoever waits for the shutdown that it holds up.
    Phase,
    Pidfd,
}

const ROBUST: &str = "pthread robust";

const CONTENDERS: [(&str, Role, Notice); 5] = [
    (ROBUST, Role::Peer, Notice::Lock(Means::Robust)),
    (
        "ebbtide, new owner",
        Role::Ours,
        Notice::Lock(Means::Ebbtide),
    ),
    ("ebbtide, phase advanced", Role::Aside, Notice::Phase),
    ("pidfd readable", Role::Peer, Notice::Pidfd),
    ("OFD lock", Role::Peer, Notice::Lock(Means::Description)),
];

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let mut cases = Vec::new();
    for pinned in plan.pinnings() {
        let mut ours: Vec<(usize, Series)> = Vec::new();
        for megabytes in plan.pick(vec![0], vec![0, 256], vec![0, 256, 1024]) {
            let (case, series) = case(plan, pinned, megabytes)?;
            cases.push(case);
            ours.push((megabytes, series));
        }
        if let [(_, none), .., (most, large)] = ours.as_slice() {
            let names = [("without", Role::Limit), ("with", Role::Ours)];
            let label = format!("ebbtide, new owner: with {most} MB resident against without");
            let case = Case::new(label, &names, &[none.clone(), large.clone()]);
            cases.push(case.pinned(pinned).target(Some(Target::of_limit(1.2))));
        }
    }
    Ok(Item {
        name: "death",
        title: "Death of an owner, or of a runner, until somebody goes on",
        about: "From SIGKILL until the waiter, in another process, has the lock, or Complete \
                (three phases, all of which the dead one held up), or a readable descriptor. \
                The dead one had so much memory resident.",
        cases,
        missing: Vec::new(),
    })
}

fn case(plan: &Plan, pinned: bool, megabytes: usize) -> Fallible<(Case, Series)> {
    crate::pin(pinned)?;
    let rounds = match megabytes {
        0 => plan.some_rounds(1, 12, 60),
        1..512 => plan.some_rounds(1, 3, 15),
        _ => plan.some_rounds(1, 3, 7),
    };
    let series = alternate(rounds, &[1; CONTENDERS.len()], |contender| {
        one(CONTENDERS[contender].2, Lodging { pinned, megabytes })
    })?;
    let names = CONTENDERS.map(|(name, role, _)| (name, role));
    let case = Case::new(format!("{megabytes} MB resident"), &names, &series)
        .pinned(pinned)
        .target(Some(Target::of(1.2, Aim::Named(ROBUST))));
    Ok((case, series[1].clone()))
}

fn one(notice: Notice, lodging: Lodging) -> Fallible<f64> {
    let mut troop = Troop::muster(1, lodging)?;
    troop.ready(match notice {
        Notice::Lock(means) => Task::Hold(means),
        Notice::Phase | Notice::Pidfd => Task::Ignore,
    })?;
    let pid = troop.pid(0);
    let (place, coordinator) = (troop.place(1, 1), troop.coordinator.clone());
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let ended = wait(notice, &place, &coordinator, pid, &tell);
            ended.map_err(|why| why.to_string())
        });
        until_asleep(told.recv()?)?;
        let began = futex::now();
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL)?;
        let ended = waiter.join().map_err(|_| "the waiter panicked")??;
        Ok(ended.saturating_sub(began) as f64)
    })
}

/// The waiter's part, in a thread of its own, which it tells of before it waits; when it
/// went on.
fn wait(
    notice: Notice,
    place: &Place,
    coordinator: &ShutdownCoordinator,
    pid: u32,
    tell: &mpsc::Sender<i32>,
) -> Fallible<u64> {
    match notice {
        Notice::Lock(means) => {
            let page = Mapped::open(&place.page_path())?;
            let segment = options(&place.scratch).open(SEGMENT)?;
            let lock = Lock::open(means, place, &page, &segment)?;
            tell.send(gettid().as_raw())?;
            Ok(lock.with(futex::now))
        }
        Notice::Phase => {
            let budget = Duration::from_secs(600);
            let request = ShutdownRequest::new().timeout(budget);
            coordinator.initiate_shutdown(&Scope::All, &request)?;
            tell.send(gettid().as_raw())?;
            coordinator.wait_for_shutdown_complete(&Scope::All, budget)?;
            Ok(futex::now())
        }
        Notice::Pidfd => {
            let process = kernel::pidfd(pid)?;
            tell.send(gettid().as_raw())?;
            kernel::readable(&process);
            Ok(futex::now())
        }
    }
}

/// Until that thread of this process sleeps. It said before that what it does next is to
/// wait, so a sleep that is seen ten times over is that one.
fn until_asleep(tid: i32) -> Fallible {
    let began = Instant::now();
    let mut seen = 0;
    while seen < 10 {
        let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat"))?;
        let state = text.rsplit(')').next().unwrap_or("").trim_start();
        seen = if state.starts_with('S') { seen + 1 } else { 0 };
        if began.elapsed() > Duration::from_secs(10) {
            return Err("the waiter did not fall asleep".into());
        }
        thread::yield_now();
    }
    Ok(())
}
