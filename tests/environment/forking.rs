//! Forks while other threads are in every kind of wait, and forks before anything is
//! attached. `tests/process/fork.rs` has what each call answers in a child.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{self, Agent, Child, HANG, Role, Shutdown, both_with, event, reply};
use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, ResourceManager, ResourceOptions, ResourceType, Runner, Scope, Segment,
    SharedStateManager, ShutdownCoordinator, StateError,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork};

const ROLES: [(&str, Role); 2] = [("busy", busy), ("early", early)];

fn fork_mortal() -> ForkResult {
    // SAFETY: the child goes on in this one thread only, and allocates, which glibc
    // allows after a fork of a process with threads.
    let result = unsafe { fork() }.unwrap();
    if matches!(result, ForkResult::Child) {
        // No pipe and no parent ends it.
        alarm::set(HANG.as_secs() as u32);
    }
    result
}

/// A process of which every thread is at something.
struct Busy {
    threads: Vec<JoinHandle<()>>,
    /// Dropped: those that wait for nothing in the segment go on.
    go_on: Vec<Sender<()>>,
}

impl Busy {
    fn start(segment: &Segment, runner: &Arc<Runner>, manager: &ResourceManager) -> Self {
        let mut busy = Self {
            threads: Vec::new(),
            go_on: Vec::new(),
        };
        let all_begin = Arc::new(Barrier::new(9));
        let s = || (segment.clone(), Arc::clone(&all_begin));
        let (segment, begins) = s();
        busy.run(move || {
            let lock = CrossProcessLock::open(&segment, "held").unwrap();
            begins.wait();
            drop(lock.lock_timeout(HANG).unwrap());
        });
        let (segment, begins) = s();
        busy.run(move || {
            let lock = CrossProcessLock::open(&segment, "free").unwrap();
            let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
            let end = CrossProcessEvent::open(&segment, "end").unwrap();
            begins.wait();
            let mut guard = lock.lock().unwrap();
            while !end.is_set() {
                let soon = Duration::from_millis(200);
                guard = changed.wait_timeout(guard, soon).unwrap().0;
            }
        });
        let (segment, begins) = s();
        busy.run(move || {
            let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
            begins.wait();
            drop(permits.acquire_timeout(HANG).unwrap());
        });
        let (segment, begins) = s();
        busy.run(move || {
            let barrier = CrossProcessBarrier::open(&segment, "meeting", 2).unwrap();
            begins.wait();
            barrier.wait_timeout(HANG).unwrap();
        });
        let (segment, begins) = s();
        busy.run(move || {
            let end = CrossProcessEvent::open(&segment, "end").unwrap();
            begins.wait();
            smol::block_on(end.awaited()).unwrap();
        });
        let (segment, begins) = s();
        let told = busy.told();
        busy.run(move || {
            let state = SharedStateManager::open(&segment).unwrap();
            begins.wait();
            // In the middle, with the lock of all writers.
            let done = state.transaction(|tx| {
                let _ = told.recv();
                tx.set("key", "of the parent")?;
                Ok::<_, StateError>(())
            });
            done.unwrap();
        });
        let (_, begins) = s();
        let (waiting, manager) = (Arc::clone(runner), manager.clone());
        busy.run(move || {
            begins.wait();
            assert!(waiting.wait_for_shutdown(Some(HANG)).unwrap());
            waiting.run_shutdown().unwrap();
            drop(manager);
        });
        let (segment, begins) = s();
        let told = busy.told();
        busy.run(move || {
            let other = Runner::join(&segment, "other").unwrap();
            let manager = ResourceManager::new(&other);
            let slow = ResourceOptions::new().cleanup(move |_| {
                begins.wait();
                let _ = told.recv();
                Ok::<_, String>(())
            });
            manager
                .register_resource("slow", ResourceType::Custom, slow)
                .unwrap();
            assert!(manager.cleanup_resources(HANG).unwrap().is_clean());
        });
        all_begin.wait();
        busy
    }

    fn run(&mut self, body: impl FnOnce() + Send + 'static) {
        self.threads.push(std::thread::spawn(body));
    }

    fn told(&mut self) -> mpsc::Receiver<()> {
        let (go_on, told) = mpsc::channel();
        self.go_on.push(go_on);
        told
    }
}

fn busy(child: &Child) {
    let segment = child.open();
    let runner = Arc::new(Runner::join(&segment, "busy").unwrap());
    let manager = ResourceManager::new(&runner);
    let coordinator = ShutdownCoordinator::new(&segment);
    let state = SharedStateManager::open(&segment).unwrap();
    let held = CrossProcessLock::open(&segment, "held").unwrap();
    let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
    let guard = held.lock().unwrap();
    let permit = permits.acquire().unwrap();
    let busy = Busy::start(&segment, &runner, &manager);
    for _ in 0..20 {
        match fork_mortal() {
            ForkResult::Child => {
                let refused = [
                    format!("{:?}", runner.run_shutdown()),
                    format!("{:?}", manager.cleanup_resources(HANG)),
                    format!("{:?}", state.set("key", "of the child")),
                    format!("{:?}", state.get("key")),
                    format!("{:?}", held.lock()),
                    format!("{:?}", permits.acquire()),
                    format!("{:?}", coordinator.status()),
                    format!(
                        "{:?}",
                        coordinator.wait_for_shutdown_complete(&Scope::All, HANG)
                    ),
                    format!("{:?}", segment.reap()),
                ];
                let wrong = refused.iter().find(|text| !text.contains("ForkedHandle"));
                if let Some(wrong) = wrong {
                    reply(&format!("{wrong:.200}"));
                }
                // Nothing that another thread had at the fork keeps its end up.
                drop((guard, permit, manager, runner));
                drop((coordinator, state, held, permits, segment));
                std::process::exit(i32::from(wrong.is_some()));
            }
            ForkResult::Parent { child: forked } => match waitpid(forked, None).unwrap() {
                WaitStatus::Exited(_, 0) => {}
                other => return reply(&format!("the forked child: {other:?}")),
            },
        }
    }
    reply("ok");
    child.order();
    drop((guard, permit, busy.go_on));
    CrossProcessEvent::open(&segment, "end")
        .unwrap()
        .set()
        .unwrap();
    CrossProcessBarrier::open(&segment, "meeting", 2)
        .unwrap()
        .wait_timeout(HANG)
        .unwrap();
    coordinator.begin(HANG);
    for thread in busy.threads {
        thread.join().unwrap();
    }
    reply(&support::summary(&coordinator.complete()));
}

#[test]
fn a_child_forked_in_the_middle_of_everything_ends_and_its_parent_goes_on() {
    both_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let mut busy = Agent::spawn(place, "busy", Some(&segment));
        assert_eq!(busy.reply("fork"), "ok");
        let status = place.status();
        assert_eq!(status.attached, 2);
        busy.tell("go on");
        // The other runner may have left before the shutdown began.
        let end = busy.reply("end");
        assert!(end.starts_with("Completed busy=Completed"), "{end}");
        assert!(busy.ended().success());
        let state = SharedStateManager::open(&segment).unwrap();
        assert_eq!(state.get("key").unwrap().unwrap(), b"of the parent");
    });
}

/// Nothing is attached at the fork: both are processes like any others, and when one dies
/// the other is not taken for it.
fn early(child: &Child) {
    match fork_mortal() {
        ForkResult::Child => {
            let segment = child.open();
            let runner = Runner::join(&segment, "child").unwrap();
            let lock = CrossProcessLock::open(&segment, "device").unwrap();
            let _guard = lock.lock().unwrap();
            event(&format!("joined {}", std::process::id()));
            let _ = runner.wait_for_shutdown(None);
            support::die();
        }
        ForkResult::Parent { child: forked } => {
            let segment = child.open();
            let runner = Runner::join(&segment, "parent").unwrap();
            reply("joined");
            runner.wait_for_shutdown(None).unwrap();
            let report = runner.run_shutdown().unwrap();
            waitpid(forked, None).unwrap();
            let lock = CrossProcessLock::open(&segment, "device").unwrap();
            let died = lock.lock_timeout(HANG).unwrap().previous_owner_died();
            reply(&format!("{} {died}", support::summary(&report)));
        }
    }
}

#[test]
fn processes_that_were_forked_before_they_attached_are_two() {
    both_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut early = Agent::spawn(place, "early", Some(&segment));
        assert_eq!(early.reply("join"), "joined");
        early.event("joined");
        assert_eq!(place.status().attached, 3);
        coordinator.begin(Duration::from_secs(3600));
        assert_eq!(early.reply("end"), "Died parent=Completed true");
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Died child=Died parent=Completed"
        );
        assert!(early.ended().success());
    });
}
