//! Every table has an end, says so by name, and gives back what the dead had. Runners,
//! locks, keys and resources are in `tests/process`; here are the others.

use std::fmt::Debug;
use std::sync::mpsc;

use crate::support::{self, Agent, Child, HANG, Place, Role, both_with, once, once_with, reply};
use ebbtide::limits::{
    MAX_BARRIERS, MAX_CONDVARS, MAX_EVENTS, MAX_PROCESSES, MAX_SEMAPHORES, MAX_THREADS,
};
use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, Segment, SegmentError,
};

const ROLES: [(&str, Role); 2] = [("threads", threads), ("handles", handles)];

/// The one after the last is refused with the table's name and size; the last is still found.
fn ends<T, E: Debug>(table: &str, capacity: usize, open: impl Fn(&str) -> Result<T, E>) {
    for number in 0..capacity {
        open(&format!("{table} {number}")).unwrap();
    }
    let error = match open("one more") {
        Ok(_) => panic!("{table}: there was room for one more"),
        Err(error) => format!("{error:?}"),
    };
    assert!(
        error.contains(&format!("table {table} is full: {capacity} entries")),
        "{error}"
    );
    // With who is in it, as far as that fits a message.
    let first = error.contains(&format!("{table} 7 ("));
    let more = error.contains(&format!(" and {} more", capacity - 8));
    assert!(first && more, "{error}");
    open(&format!("{table} {}", capacity - 1)).unwrap();
}

#[test]
fn tables_of_names_end_and_say_which() {
    once(here!(), |place| {
        let segment = place.create();
        ends("condition variables", MAX_CONDVARS, |name| {
            CrossProcessCondvar::open(&segment, name)
        });
        ends("semaphores", MAX_SEMAPHORES, |name| {
            CrossProcessSemaphore::open(&segment, name, 1)
        });
        ends("barriers", MAX_BARRIERS, |name| {
            CrossProcessBarrier::open(&segment, name, 2)
        });
        ends("events", MAX_EVENTS, |name| {
            CrossProcessEvent::open(&segment, name)
        });
    });
}

/// Threads that each take a lock and stay, until told.
fn threads(child: &Child) {
    let segment = child.open();
    let count: usize = child.order().parse().unwrap();
    let (ready, is_ready) = mpsc::channel();
    for number in 0..count {
        let (segment, ready) = (segment.clone(), ready.clone());
        let thread = std::thread::Builder::new().stack_size(64 * 1024);
        let hold = move || {
            let name = format!("lock {}", number % 100);
            let lock = CrossProcessLock::open(&segment, &name).unwrap();
            let _tried = lock.try_lock();
            ready.send(()).unwrap();
            loop {
                std::thread::park();
            }
        };
        thread.spawn(hold).unwrap();
    }
    for _ in 0..count {
        is_ready.recv().unwrap();
    }
    reply("ok");
    child.order();
}

#[test]
fn the_table_of_threads_ends_and_recovers_from_the_dead() {
    both_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        // Three keepers, and this thread, which opened a lock.
        let taken = 4;
        let mut crowds = [(); 2].map(|()| Agent::spawn(place, "threads", Some(&segment)));
        let (half, rest) = (MAX_THREADS / 2, MAX_THREADS / 2 - taken);
        for (crowd, count) in crowds.iter_mut().zip([half, rest]) {
            crowd.tell(&count.to_string());
            assert_eq!(crowd.reply("threads"), "ok");
        }
        drop(lock.try_lock().unwrap());
        let refused = || {
            let lock = lock.clone();
            let one_more = std::thread::spawn(move || lock.try_lock().map(drop));
            format!("{:?}", one_more.join().unwrap())
        };
        let text = refused();
        let full = format!("table threads is full: {MAX_THREADS} entries");
        assert!(text.contains(&full), "{text:.300}");
        crowds[0].kill();
        assert_eq!(refused(), "Ok(())");
        for name in 0..100 {
            let lock = CrossProcessLock::open(&segment, &format!("lock {name}")).unwrap();
            // Of the dead, of the living, or of nobody: it can be asked.
            let _ = lock.try_lock();
        }
        crowds[1].kill();
        segment.reap().unwrap();
        assert_eq!(place.status().attached, 1);
    });
}

/// As many attachments as one process can have.
const EACH: usize = 200;

fn handles(child: &Child) {
    let first = child.open();
    let more: usize = child.order().parse().unwrap();
    let token = first.token();
    let open = |_| child.options.open_token(&token);
    let all: Result<Vec<Segment>, SegmentError> = (1..more).map(open).collect();
    match all {
        Ok(all) => {
            reply("ok");
            child.order();
            drop(all);
        }
        Err(error) => reply(&format!("{error:.300}")),
    }
}

#[test]
fn the_table_of_processes_ends_and_recovers_from_the_dead() {
    once_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let mut left = MAX_PROCESSES - 1;
        let mut crowds = Vec::new();
        while left > 0 {
            let mut crowd = Agent::spawn(place, "handles", Some(&segment));
            let count = left.min(EACH);
            crowd.tell(&count.to_string());
            assert_eq!(crowd.reply("handles"), "ok");
            crowds.push(crowd);
            left -= count;
        }
        assert_eq!(place.status().attached, MAX_PROCESSES);
        let error = place.options.open(Place::NAME).unwrap_err();
        assert_is!(
            &error,
            SegmentError::Full { table: "processes", capacity: MAX_PROCESSES, held_by }
                if held_by.len() == MAX_PROCESSES
        );
        crowds.pop().unwrap().kill();
        // Taken over from the dead when it is needed, without asking.
        drop(place.options.open(Place::NAME).unwrap());
        drop(crowds);
        support::until_true("all are gone", || {
            segment.reap().unwrap();
            place.status().attached == 1
        });
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        drop(lock.lock_timeout(HANG).unwrap());
    });
}
