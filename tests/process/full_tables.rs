//! A table that is full says so and by whom; what the dead held is free again.

use std::sync::mpsc;

use crate::support::{self, Agent, Child, HANG, Place, Shutdown, both, both_with, die, reply};
use ebbtide::{
    CoordinationError, CrossProcessLock, Gravity, Invariant, Liveness, LockError, Runner, Segment,
    SegmentError, ShutdownCoordinator, limits,
};

#[track_caller]
fn full(result: Result<Runner, CoordinationError>) -> Vec<ebbtide::Holder> {
    match result {
        Err(CoordinationError::Segment(SegmentError::Full {
            table: "runners",
            capacity,
            held_by,
        })) => {
            assert_eq!(capacity, limits::MAX_RUNNERS);
            held_by
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_runner_after_the_last_slot_is_refused_with_who_holds_them() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runners: Vec<_> = (0..limits::MAX_RUNNERS)
            .map(|index| Runner::join(&segment, &format!("runner-{index}")).unwrap())
            .collect();
        for _ in 0..2 {
            let held_by = full(Runner::join(&segment, "one more"));
            assert_eq!(held_by.len(), limits::MAX_RUNNERS);
            assert!(
                held_by
                    .iter()
                    .all(|holder| holder.pid == std::process::id())
            );
        }
        let mut other = place.agent(&segment);
        let told = other.ask("join one-more");
        assert!(told.starts_with("err Full"), "{}", &told[..100]);
        let text = segment_error(Runner::join(&segment, "one more"));
        assert!(text.contains("1024 entries") && text.len() < 1000, "{text}");
        // A place that is given back is a place to have.
        runners.swap_remove(500).leave();
        assert_eq!(other.ask("join one-more"), "ok");
        full(Runner::join(&segment, "two more"));
        assert_eq!(
            place
                .status()
                .runners
                .iter()
                .filter(|r| r.outcome.is_none())
                .count(),
            limits::MAX_RUNNERS
        );

        // The largest group there can be is shut down like any other.
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(HANG);
        for phase in ebbtide::Phase::ACKNOWLEDGED {
            for runner in &runners {
                runner.acknowledge(phase).unwrap();
            }
            assert_eq!(other.ask(&format!("acknowledge {phase}")), "InTime");
        }
        let report = coordinator.complete();
        assert_eq!(report.outcome, ebbtide::ShutdownOutcome::Completed);
        assert_eq!(report.runners.len(), limits::MAX_RUNNERS);
    });
}

fn segment_error(result: Result<Runner, CoordinationError>) -> String {
    result.unwrap_err().to_string()
}

fn crowd(child: &Child) {
    let segment = child.open();
    let runners: Vec<_> = (0..50)
        .map(|index| Runner::join(&segment, &format!("crowd-{index}")).unwrap())
        .collect();
    reply("ok");
    child.order();
    drop(runners);
    die()
}

#[test]
fn slots_of_the_dead_are_reaped_when_they_are_needed() {
    both_with(here!(), &[("crowd", crowd)], |place| {
        let segment = place.create();
        let mut crowd = Agent::spawn(place, "crowd", Some(&segment));
        assert_eq!(crowd.reply("join"), "ok");
        let mut runners: Vec<_> = (0..limits::MAX_RUNNERS - 50)
            .map(|index| Runner::join(&segment, &format!("runner-{index}")).unwrap())
            .collect();
        let held_by = full(Runner::join(&segment, "one more"));
        assert_eq!(
            held_by
                .iter()
                .filter(|holder| holder.pid == crowd.pid())
                .count(),
            50
        );
        crowd.kill();
        for index in 0..50 {
            runners.push(Runner::join(&segment, &format!("heir-{index}")).unwrap());
        }
        full(Runner::join(&segment, "one more"));
        assert_eq!(place.status().attached, 1);
        assert_eq!(segment.reap().unwrap(), 0);
    });
}

#[test]
fn processes_that_come_and_go_do_not_use_the_table_up() {
    both(here!(), |place| {
        let segment = place.create();
        for round in 0..limits::MAX_PROCESSES + 10 {
            let other = place.options.open(Place::NAME).unwrap();
            drop(other);
            if round % 500 == 0 {
                // Also one that is killed.
                place.agent(&segment).kill();
            }
        }
        assert!(place.status().attached <= 4);
        segment.reap().unwrap();
        assert_eq!(place.status().attached, 1);
    });
}

/// In a process of its own, as it uses something up that all tests of a process share.
fn hoarder(child: &Child) {
    let mut handles = vec![child.open()];
    let error = loop {
        match child.options.open(Place::NAME) {
            Ok(segment) => handles.push(segment),
            Err(error) => break error,
        }
        assert!(handles.len() < limits::MAX_PROCESSES, "no end");
    };
    assert_is!(error, SegmentError::Io { .. } | SegmentError::Full { .. });
    reply(&handles.len().to_string());
    child.order();
    handles.pop();
    handles.push(child.options.open(Place::NAME).unwrap());
    drop(handles);
}

#[test]
fn an_attachment_more_than_forks_can_know_of_is_refused_cleanly() {
    both_with(here!(), &[("hoarder", hoarder)], |place| {
        let segment = place.create();
        let mut hoarder = Agent::spawn(place, "hoarder", Some(&segment));
        let handles: usize = hoarder.reply("hoard").parse().unwrap();
        assert!(handles >= 100);
        assert_eq!(place.status().attached, handles + 1);
        hoarder.tell("go on");
        assert!(hoarder.ended().success());
        assert_eq!(place.status().attached, 1);
    });
}

#[test]
fn threads_that_come_and_go_do_not_use_the_table_up() {
    both(here!(), |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        for _ in 0..limits::MAX_THREADS + 100 {
            let lock = lock.clone();
            // Joined, not scoped: a scope ends before its threads' own ends.
            std::thread::spawn(move || drop(lock.lock().unwrap()))
                .join()
                .unwrap();
        }
    });
}

/// The calling thread ends, and nothing of it is run any more: no destructor, no libc.
fn end_without_a_word() -> ! {
    // SAFETY: ends this thread only; its stack stays mapped and is never used again.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has ended")
}

/// Threads that each take a lock and end without a word, in a process that lives on.
fn ends_threads(child: &Child) {
    let segment = child.open();
    let count: usize = child.order().parse().unwrap();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let (ready, is_ready) = mpsc::channel();
    for number in 0..count {
        let (segment, ready) = (segment.clone(), ready.clone());
        let end = move || {
            let name = format!("lock {}", number % 100);
            let lock = CrossProcessLock::open(&segment, &name).unwrap();
            std::mem::forget(lock.try_lock());
            ready.send(()).unwrap();
            end_without_a_word()
        };
        let thread = std::thread::Builder::new().stack_size(64 * 1024);
        thread.spawn(end).unwrap();
        is_ready.recv().unwrap();
    }
    support::until_true("all have ended", || threads() == before);
    reply("ok");
    child.order();
    // Of the process in which they ended, too.
    let lock = CrossProcessLock::open(&segment, "lock 50").unwrap();
    reply(&lock.lock().unwrap().previous_owner_died().to_string());
    child.order();
}

/// What a thread that has no slot yet gets of a lock.
fn lock_by_another_thread(segment: &Segment, name: &str) -> Result<bool, LockError> {
    let lock = CrossProcessLock::open(segment, name)?;
    let by_another = || lock.lock().map(|guard| guard.previous_owner_died());
    std::thread::scope(|scope| scope.spawn(by_another).join().unwrap())
}

#[test]
fn threads_that_ended_without_a_word_leave_their_slots_to_others() {
    both_with(here!(), &[("ends threads", ends_threads)], |place| {
        let segment = place.create();
        CrossProcessLock::open(&segment, "device").unwrap();
        let mut other = Agent::spawn(place, "ends threads", Some(&segment));
        // Two keepers, and this thread, which opened a lock.
        other.tell(&(limits::MAX_THREADS - 3).to_string());
        assert_eq!(other.reply("end threads"), "ok");
        if place.liveness == Liveness::Portable || support::is_portable_forced() {
            // Only the end of their process reports them.
            let full = lock_by_another_thread(&segment, "lock 7");
            let full = format!("{:?}", full.unwrap_err());
            assert!(full.starts_with("Full: table threads"), "{full:.200}");
            other.kill();
            assert!(lock_by_another_thread(&segment, "lock 7").unwrap());
            return;
        }
        let left = segment.check().unwrap();
        let of_threads = |one: &&ebbtide::Finding| one.invariant == Invariant::Attached;
        assert!(left.findings.iter().filter(of_threads).count() > 0);
        assert_eq!(left.worst(), Some(Gravity::Left));
        assert!(lock_by_another_thread(&segment, "lock 7").unwrap());
        assert!(
            segment.check().unwrap().is_sound(),
            "all were freed at once"
        );
        other.tell("lock");
        assert_eq!(other.reply("lock"), "true");
        assert_eq!(place.status().attached, 2);
    });
}
