//! A child whose main thread takes and gives one lock as it is told, and is a runner.

use ebbtide::{CrossProcessLock, LockGuard, Runner, Segment, ShutdownCoordinator};

use crate::support::{self, Child, HANG, event, reply};

/// - `join ID`
/// - `take NAME`: takes the lock on this thread; tells `took`, this thread's id as it sees
///   itself, and whether the owner before died.
/// - `give`
/// - `many NAME COUNT`: takes and gives it so often, and counts in a file.
/// - `signal ID`: sends a runner something harmless, and tells whether it was there.
/// - `try NAME`: tries to take the lock.
/// - `begin`: begins an item, and ends it.
/// - `reap`
/// - `sees PID`: whether its `/proc` shows a process.
/// - `close`: closes all descriptors but the first three, and stops itself.
/// - `run`: waits for a shutdown and goes through it.
pub fn hands(child: &Child) {
    let segment = child.open();
    let mut runner: Option<Runner> = None;
    let mut guard: Option<LockGuard<'static>> = None;
    loop {
        let order = child.order();
        let words: Vec<&str> = order.split(' ').collect();
        match words[0] {
            "join" => {
                let joined = Runner::join(&segment, words[1]);
                reply(&support::answer(joined.as_ref().map(drop)));
                runner = joined.ok();
            }
            "take" => {
                let taken = open(&segment, words[1]).lock_timeout(HANG).unwrap();
                let died = taken.previous_owner_died();
                taken.mark_consistent();
                event(&format!("took {} died={died}", nix::unistd::gettid()));
                guard = Some(taken);
            }
            "give" => {
                drop(guard.take());
                reply("ok");
            }
            "many" => {
                let lock = open(&segment, words[1]);
                for _ in 0..words[2].parse::<u32>().unwrap() {
                    let _inside = lock.lock_timeout(HANG).unwrap();
                    count(words[3]);
                }
                event("many");
            }
            "run" => {
                let runner = runner.take().unwrap();
                runner.wait_for_shutdown(None).unwrap();
                let report = runner.run_shutdown().unwrap();
                drop(runner);
                event(&format!("ran {}", support::summary(&report)));
            }
            "signal" => {
                let coordinator = ShutdownCoordinator::new(&segment);
                let process = coordinator.process(words[1]);
                let told = process.map(|process| process.signal(libc::SIGCONT).unwrap());
                reply(&support::answer(told));
            }
            "try" => {
                let lock = CrossProcessLock::open(&segment, words[1]);
                reply(&support::answer(
                    lock.and_then(|lock| lock.try_lock().map(drop)),
                ));
            }
            "begin" => reply(&support::answer(runner.as_ref().unwrap().begin().map(drop))),
            "reap" => reply(&support::answer(segment.reap())),
            "close" => {
                // SAFETY: takes numbers and touches no memory. What is closed belongs to the
                // library, which is what is tested.
                let code = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
                reply(&code.to_string());
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).unwrap();
            }
            "sees" => {
                let entry = std::path::Path::new("/proc").join(words[1]);
                reply(&entry.exists().to_string());
            }
            "quit" => return,
            other => panic!("no such order: {other}"),
        }
    }
}

/// A guard borrows its lock; there are few, so they may leak.
fn open(segment: &Segment, name: &str) -> &'static CrossProcessLock {
    Box::leak(Box::new(CrossProcessLock::open(segment, name).unwrap()))
}

/// Not atomic on purpose: two at once lose a count.
fn count(path: &str) {
    let before: u64 = std::fs::read_to_string(path).unwrap().parse().unwrap();
    std::thread::yield_now();
    let new = format!("{path}.new");
    std::fs::write(&new, (before + 1).to_string()).unwrap();
    // Whole at any time, also if we are killed now.
    std::fs::rename(&new, path).unwrap();
}
