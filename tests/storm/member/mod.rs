//! The processes of a storm, by what they do.

pub mod acts;
mod aim;
mod churn;
mod descriptors;
pub mod initiator;
pub mod joiner;
pub mod reaper;
mod resources;
pub mod runner;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::{CoordinationError, CrossProcessLock, Phase, Segment, ShutdownCoordinator};

use crate::ledger::act::Act;
use crate::ledger::{Head, Ledger};
use crate::oracle::membership;
use crate::plan::Kind;
use crate::population::{SCRATCH, number};
use crate::random::Random;
use crate::support::Child;
use acts::HANGS;

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
        let ledger = Arc::new(Ledger::open(&scratch));
        ledger.set_pid(process, std::process::id());
        aim::seed(seed);
        Self {
            ledger,
            segment: child.open(),
            scratch,
            process,
            random: Random::new(seed),
        }
    }

    pub fn has_stopped(&self, word: Head) -> bool {
        self.ledger.get(word) != 0
    }

    /// After Complete, once the books of the ended generation are closed. One at a time,
    /// as reading the books and the beginning are two steps.
    pub fn begin_generation(&mut self) {
        std::thread::sleep(self.random.millis(1, 10));
        begin_generation(&self.segment, &self.ledger, self.process);
    }
}

pub fn begin_generation(segment: &Segment, ledger: &Ledger, process: usize) {
    let coordinator = ShutdownCoordinator::new(segment);
    let lock = CrossProcessLock::open(segment, "generation").unwrap();
    let _guard;
    if ledger.kind() != Kind::Hammer {
        let guard = match lock.lock_timeout(HANGS) {
            Ok(guard) => guard,
            Err(error) => return ledger.violate(&format!("lock of generations: {error}")),
        };
        guard.mark_consistent();
        _guard = guard;
        let status = coordinator.status().unwrap();
        if status.phase != Phase::Complete
            || u64::from(status.generation) != ledger.get(Head::Harvested)
        {
            return;
        }
    }
    aim::at_call(ledger, 4, Duration::from_micros(8));
    match coordinator.begin_generation() {
        Ok(generation) => {
            membership::generation_has_begun(ledger, generation, || ledger.describe(process));
            ledger.count(Act::Generation);
        }
        Err(CoordinationError::Occupied { .. } | CoordinationError::NotComplete { .. }) => {}
        Err(error) => panic!("begin_generation: {error:?}"),
    }
}

/// The phase of the group, if the generation can be told for certain: it was the same
/// before and after the phase was read.
pub fn phase_of_generation(coordinator: &ShutdownCoordinator) -> Option<(u32, Phase)> {
    let before = coordinator.status().ok()?.generation;
    let status = coordinator.status().ok()?;
    // A group that is being renewed reads as Complete, with the next number.
    let is_certain = status.generation == before && status.phase != Phase::Complete;
    is_certain.then_some((status.generation, status.phase))
}
