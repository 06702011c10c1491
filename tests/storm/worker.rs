//! A runner of the storm: it joins, works on several threads, goes through shutdowns, and
//! joins again in the next generation, until it is told to stop or killed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ebbtide::{
    Acknowledged, CoordinationError, CrossProcessLock, Phase, ResourceManager, ResourceOptions,
    ResourceType, Runner, Segment, ShutdownCoordinator, ShutdownOutcome, ShutdownRequest,
    SignalPolicy, SystemResource,
};

use crate::support::Child;

use super::deeds::{Deeds, HANGS};
use super::ledger::{Deed, Head, Ledger};
use super::line::{File, Line, State, THREADS};
use super::population::{SCRATCH, number};
use super::random::Random;
use super::twin::Twin;

/// What every process of the storm has.
pub struct Member {
    pub segment: Segment,
    pub ledger: Arc<Ledger>,
    pub scratch: PathBuf,
    pub process: usize,
    pub random: Random,
}

impl Member {
    pub fn of(child: &Child) -> Self {
        let scratch = PathBuf::from(std::env::var_os(SCRATCH).unwrap());
        let (process, seed) = number();
        Self {
            ledger: Arc::new(Ledger::open(&scratch)),
            segment: child.open(),
            scratch,
            process,
            random: Random::new(seed),
        }
    }
}

pub fn runner(child: &Child) {
    let mut member = Member::of(child);
    if member.random.once_in(2) {
        let request = ShutdownRequest::new().timeout(Duration::from_secs(2));
        let policy = SignalPolicy::for_all(&member.segment).request(request);
        policy.install().unwrap();
    }
    while member.ledger.get(Head::Stop) == 0 {
        member.live();
    }
}

impl Member {
    /// One registration, from joining to leaving.
    fn live(&mut self) {
        let ledger = Arc::clone(&self.ledger);
        let line = Line::take(&ledger, self.process);
        let runner = match Runner::join(&self.segment, &line.id()) {
            Ok(runner) => Arc::new(runner),
            Err(CoordinationError::ShuttingDown { .. }) => {
                line.set_state(State::Refused);
                return self.begin_generation();
            }
            Err(error) => panic!("join: {error:?}"),
        };
        line.set_generation(runner.generation());
        line.set_state(State::Joined);
        ledger.count(Deed::Join);
        let resources = self.register(&runner, &line);
        self.handle(&runner);
        let finish = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let random = Random::new(self.random.next());
                let (runner, finish, segment) = (&runner, &finish, &self.segment);
                let (ledger, twin) = (&ledger, Twin::named());
                scope.spawn(move || {
                    let mut deeds = Deeds::new(segment, ledger, line, thread, random, twin);
                    while !finish.load(Ordering::Acquire) {
                        if !deeds.one(runner) {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                });
            }
            if self.random.once_in(4) {
                by_hand(&runner, &resources);
            } else {
                drive(&runner);
            }
            finish.store(true, Ordering::Release);
        });
        runner.leave();
        // Closed in a hurry, or by nobody: its owner lives, so it is the owner's.
        if line.file_is(File::Registered) {
            let _ = std::fs::remove_file(self.file(&line));
        }
        line.set_state(State::Closed);
        ledger.count(Deed::Leave);
    }

    fn file(&self, line: &Line<'_>) -> PathBuf {
        self.scratch.join("files").join(line.id())
    }

    /// Two resources, one of them a file that nobody may leave behind.
    fn register(&mut self, runner: &Runner, line: &Line<'_>) -> ResourceManager {
        let manager = ResourceManager::new(runner);
        let path = self.file(line);
        std::fs::write(&path, "").unwrap();
        line.set_file(File::Created);
        let (ledger, index) = (Arc::clone(&self.ledger), line.index);
        let file = ResourceOptions::new()
            .system(SystemResource::file(&path).unwrap())
            .cleanup(move |_| {
                std::fs::remove_file(&path)?;
                Line::at(&ledger, index).set_file(File::Removed);
                Ok::<_, std::io::Error>(())
            });
        match manager.register_resource("file", ResourceType::File, file) {
            Ok(file) => {
                line.set_file(File::Registered);
                let nap = self.random.below(2_000);
                let cache = ResourceOptions::new().depends_on(&file).cleanup(move |_| {
                    std::thread::sleep(Duration::from_micros(nap));
                    Ok::<_, std::io::Error>(())
                });
                // Refused when the shutdown closes the file already.
                let _ = manager.register_resource("cache", ResourceType::Custom, cache);
                self.ledger.count(Deed::Resource);
            }
            // 1024 of the dead at most, until somebody reaps.
            Err(error) => println!("no resource: {error}"),
        }
        manager
    }

    /// Handlers that take their time and ask for more.
    fn handle(&mut self, runner: &Arc<Runner>) {
        for phase in Phase::ACKNOWLEDGED {
            let (weak, ledger) = (Arc::downgrade(runner), Arc::clone(&self.ledger));
            let nap = self.random.below(6);
            let extends = self.random.once_in(3);
            let handler = move |_: &ebbtide::HandlerContext| {
                std::thread::sleep(Duration::from_millis(nap));
                let Some(runner) = weak.upgrade().filter(|_| extends) else {
                    return;
                };
                runner.progress();
                if runner.extend(Duration::from_millis(20)).is_ok() {
                    ledger.count(Deed::Extend);
                }
            };
            runner
                .register_shutdown_handler(phase, 0, "nap", handler)
                .unwrap();
        }
    }

    /// After Complete, once the books of the ended generation are closed. One at a time,
    /// as the look at the books and the beginning are two steps.
    pub fn begin_generation(&mut self) {
        std::thread::sleep(self.random.millis(1, 10));
        begin_generation(&self.segment, &self.ledger);
    }
}

pub fn begin_generation(segment: &Segment, ledger: &Ledger) {
    let lock = CrossProcessLock::open(segment, "generation").unwrap();
    let guard = match lock.lock_timeout(HANGS) {
        Ok(guard) => guard,
        Err(error) => return ledger.violate(&format!("generation lock: {error}")),
    };
    guard.mark_consistent();
    let coordinator = ShutdownCoordinator::new(segment);
    let status = coordinator.status().unwrap();
    if status.phase != Phase::Complete
        || u64::from(status.generation) != ledger.get(Head::Harvested)
    {
        return;
    }
    match coordinator.begin_generation() {
        Ok(_) => ledger.count(Deed::Generation),
        Err(CoordinationError::Occupied { .. } | CoordinationError::NotComplete { .. }) => {}
        Err(error) => panic!("begin_generation: {error:?}"),
    }
}

/// Goes through shutdowns, whatever is called off, until one is over.
fn drive(runner: &Runner) {
    loop {
        match runner.wait_for_shutdown(None) {
            Ok(true) => {}
            other => panic!("wait_for_shutdown: {other:?}"),
        }
        match runner.run_shutdown() {
            Ok(report) if report.outcome == ShutdownOutcome::Cancelled => {}
            // Called off before we looked.
            Err(CoordinationError::NotShuttingDown) => {}
            Ok(_) => return,
            Err(error) => panic!("run_shutdown: {error:?}"),
        }
    }
}

/// The same by hand.
fn by_hand(runner: &Runner, resources: &ResourceManager) {
    loop {
        let (phase, mode) = (runner.phase(), runner.mode());
        if phase == Phase::Complete {
            return;
        }
        if phase == Phase::Closing {
            resources
                .cleanup_resources(Duration::from_millis(100))
                .unwrap();
        }
        if phase != Phase::Running {
            match runner.acknowledge(phase) {
                Ok(Acknowledged::InTime | Acknowledged::Late) => {}
                Err(CoordinationError::OutOfOrder { .. }) => {}
                other => panic!("acknowledge: {other:?}"),
            }
        }
        // Items in flight are no change of the phase.
        let soon = Duration::from_millis(5);
        runner.wait_for_change(phase, mode, Some(soon)).unwrap();
    }
}
