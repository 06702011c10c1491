//! Orders that may block.

use std::fs::OpenOptions;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::{
    CoordinationError, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, Runner, Scope,
    Segment, ShutdownCoordinator, ShutdownOutcome, ShutdownReport,
};

use super::child::{answer, die, event, summary};
use super::orders::scope;
use super::{HANG, rendezvous};

/// Verbs that may block.
pub fn start(runner: Option<Arc<Runner>>, segment: &Segment, order: &str) {
    let (segment, order) = (segment.clone(), order.to_owned());
    std::thread::spawn(move || {
        let words: Vec<&str> = order.split(' ').collect();
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        let runner = || runner.as_ref().expect("it has joined");
        let text = match words[0] {
            "wait" => answer(runner().wait_for_shutdown(Some(Duration::from_millis(number(1))))),
            // As most programs do.
            // Again and again, whatever is called off, until one is completed.
            "run-on" => loop {
                runner().wait_for_shutdown(None).unwrap();
                match runner().run_shutdown() {
                    Ok(report) if report.outcome == ShutdownOutcome::Cancelled => {}
                    Ok(report) => break summary(&whole(&segment, runner(), report)),
                    Err(CoordinationError::NotShuttingDown) => {}
                    Err(error) => break format!("err {error:?}"),
                }
            },
            "run" => {
                runner().wait_for_shutdown(None).unwrap();
                match runner().run_shutdown() {
                    Ok(report) => {
                        for one in &report.handlers {
                            event(&format!(
                                "handled {} {} {:?}",
                                one.phase, one.name, one.outcome
                            ));
                        }
                        summary(&whole(&segment, runner(), report))
                    }
                    Err(error) => format!("err {error:?}"),
                }
            }
            "complete" => {
                let coordinator = ShutdownCoordinator::new(&segment);
                let timeout = Duration::from_millis(number(2));
                match coordinator.wait_for_shutdown_complete(&scope(words[1]), timeout) {
                    Ok(report) => summary(&report),
                    Err(error) => format!("err {error:?}"),
                }
            }
            "exclude" => exclude(&segment, words[1], words[2], number(3)),
            "consume" => consume(&segment),
            "produce" => produce(&segment, words.get(1) == Some(&"and-die")),
            // Answers each ping with a pong.
            "play" => {
                let open = |name| CrossProcessEvent::open(&segment, name).unwrap();
                let (ping, pong) = (open("ping"), open("pong"));
                for _ in 0..number(1) {
                    assert!(ping.wait(Some(HANG)).unwrap());
                    ping.clear().unwrap();
                    pong.set().unwrap();
                }
                "ok".into()
            }
            "await" => {
                let flag = CrossProcessEvent::open(&segment, words[1]).unwrap();
                answer(flag.wait(Some(Duration::from_millis(number(2)))))
            }
            "claim" | "next" | "permit" | "arrive" => rendezvous::follow(&segment, &words),
            other => panic!("no such order: {other}"),
        };
        // What this thread holds is given back before the parent hears of the end.
        drop(segment);
        event(&format!("{} {text}", words[0]));
    });
}

/// The report of all, for a runner whose own names itself only.
fn whole(segment: &Segment, runner: &Runner, own: ShutdownReport) -> ShutdownReport {
    let all = ShutdownCoordinator::new(segment)
        .report(&Scope::All)
        .unwrap();
    let is_alone = !all.runners.iter().any(|one| one.id == runner.id())
        || all.outcome == ShutdownOutcome::Running;
    if is_alone || own.outcome == ShutdownOutcome::Cancelled {
        own
    } else {
        all
    }
}

/// Takes a lock many times and shows that nobody else is inside, by a file that must
/// not exist; counts in another file, which no kill may leave wrong.
fn exclude(segment: &Segment, name: &str, directory: &str, times: u64) -> String {
    let lock = CrossProcessLock::open(segment, name).unwrap();
    let inside = std::path::Path::new(directory).join("inside");
    let counter = std::path::Path::new(directory).join("counter");
    let mut deaths = 0;
    for _ in 0..times {
        let guard = lock.lock().unwrap();
        if guard.previous_owner_died() {
            deaths += 1;
            let _ = std::fs::remove_file(&inside);
            guard.mark_consistent();
        }
        if let Err(error) = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&inside)
        {
            return format!("violated: {error}");
        }
        let count: u64 = std::fs::read_to_string(&counter)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        std::fs::write(counter.with_extension("new"), (count + 1).to_string()).unwrap();
        std::fs::rename(counter.with_extension("new"), &counter).unwrap();
        std::fs::remove_file(&inside).unwrap();
        drop(guard);
    }
    format!("ok {deaths}")
}

/// Takes one thing when there is one. Tells when it begins to wait.
fn consume(segment: &Segment) -> String {
    let lock = CrossProcessLock::open(segment, "box").unwrap();
    let changed = CrossProcessCondvar::open(segment, "changed").unwrap();
    let full = CrossProcessEvent::open(segment, "full").unwrap();
    let mut guard = lock.lock().unwrap();
    event("waiting");
    guard = changed.wait_while(guard, || !full.is_set()).unwrap();
    full.clear().unwrap();
    format!("died={}", guard.previous_owner_died())
}

/// Puts one thing; or dies holding the lock, before it has told anybody.
fn produce(segment: &Segment, die_inside: bool) -> String {
    let lock = CrossProcessLock::open(segment, "box").unwrap();
    let changed = CrossProcessCondvar::open(segment, "changed").unwrap();
    let full = CrossProcessEvent::open(segment, "full").unwrap();
    let guard = lock.lock().unwrap();
    full.set().unwrap();
    if die_inside {
        die()
    }
    changed.notify_one().unwrap();
    drop(guard);
    "ok".into()
}
