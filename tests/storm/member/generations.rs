//! The phase and generation of the group, exactly, and how the next generation begins.
//!
//! A status is read word by word, and its reader may be stopped in between; and while a
//! group is renewed it reads as Complete with the number of the next generation. So two
//! statuses are asked for: if the generation is the same in both, the phase of the second
//! one was read while it lasted. And Complete is that generation's own if it was known to
//! have begun before: a process had joined it, or had begun it.

use std::time::{Duration, UNIX_EPOCH};

use ebbtide::{CoordinationError, CrossProcessLock, Phase, Segment, ShutdownCoordinator};

use super::acts::HANGS;
use super::{Member, aim};
use crate::ledger::act::Act;
use crate::ledger::{Head, Ledger};
use crate::oracle::membership;
use crate::plan::Kind;
use crate::random::Random;

/// Longest time that the group stays Complete where generations are begun as fast as
/// possible, so that there is time for joins that are refused.
const REST_MICROS: u64 = 60_000;

/// Generation and phase of one moment; not Complete.
pub fn phase_of(coordinator: &ShutdownCoordinator) -> Option<(u32, Phase)> {
    let before = coordinator.status().ok()?.generation;
    let status = coordinator.status().ok()?;
    let is_certain = status.generation == before && status.phase != Phase::Complete;
    is_certain.then_some((status.generation, status.phase))
}

/// The generation that is complete.
fn complete(coordinator: &ShutdownCoordinator, ledger: &Ledger) -> Option<u32> {
    let before = coordinator.status().ok()?.generation;
    let has_begun = ledger.get(Head::Begun) >= u64::from(before);
    let status = coordinator.status().ok()?;
    let is_certain = has_begun && status.generation == before && status.phase == Phase::Complete;
    is_certain.then_some(before)
}

impl Member {
    /// After Complete, once the books of the ended generation are closed. One at a time,
    /// as reading the books and the beginning are two steps.
    pub fn begin_generation(&mut self) {
        std::thread::sleep(self.random.millis(1, 10));
        if self.ledger.kind() == Kind::Hammer {
            rest(&self.segment, &self.ledger, &mut self.random);
        }
        begin(&self.segment, &self.ledger, self.process);
    }
}

/// Where no process keeps books, one must ask which are gone; then the group rests.
fn rest(segment: &Segment, ledger: &Ledger, random: &mut Random) {
    let coordinator = ShutdownCoordinator::new(segment);
    let Some(generation) = complete(&coordinator, ledger) else {
        return;
    };
    ledger.raise(Head::Complete, generation.into());
    match coordinator.wait_gone(generation, Duration::from_millis(20)) {
        Ok(()) => ledger.raise(Head::Gone, generation.into()),
        Err(CoordinationError::Occupied { .. }) => {}
        Err(error) => panic!("wait_gone: {error:?}"),
    }
    let now = UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    let until = ledger.rest_until(generation, now + random.below(REST_MICROS));
    std::thread::sleep(Duration::from_micros(
        until.saturating_sub(now).min(REST_MICROS),
    ));
}

pub fn begin(segment: &Segment, ledger: &Ledger, process: usize) {
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
            ledger.raise(Head::Begun, generation.into());
            membership::generation_has_begun(ledger, generation, || ledger.describe(process));
            ledger.count(Act::Generation);
        }
        Err(CoordinationError::Occupied { .. } | CoordinationError::NotComplete { .. }) => {}
        Err(error) => panic!("begin_generation: {error:?}"),
    }
}
