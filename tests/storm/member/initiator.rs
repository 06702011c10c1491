//! A process that begins shutdowns and changes its mind.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebbtide::{CoordinationError, Mode, Scope, ShutdownCoordinator};

use super::{Member, aim};
use crate::ledger::Head;
use crate::ledger::act::Act;
use crate::oracle::terms;
use crate::plan::{self, Kind};
use crate::support::Child;

pub fn initiator(child: &Child) {
    let mut member = Member::of(child);
    let kind = member.ledger.kind();
    while !member.has_stopped(Head::StopVisitors) {
        let pause = match (kind, member.ledger.faults().is_empty()) {
            (Kind::Mixed, true) => member.random.millis(20, 150),
            _ => member.random.millis(5, 40),
        };
        std::thread::sleep(pause);
        if kind == Kind::Hammer {
            member.initiate_and_cancel();
            member.watch_terms();
            if member.is_held() {
                continue;
            }
        }
        member.initiate();
    }
}

impl Member {
    fn initiate(&mut self) {
        let coordinator = ShutdownCoordinator::new(&self.segment);
        let scope = self.scope(&coordinator);
        let (code, text) = plan::reason(self.process);
        let request = plan::request(&self.ledger, &mut self.random).reason(code, text);
        aim::at_call(&self.ledger, 2, Duration::from_micros(5));
        match coordinator.initiate_shutdown(&scope, &request) {
            Ok(_) => self.ledger.count(Act::Shutdown),
            // The one runner has ended.
            Err(CoordinationError::NoSuchRunner { .. }) => return,
            Err(error) => panic!("initiate: {error:?}"),
        }
        if self.random.once_in(3) && !self.ledger.is_patient() {
            std::thread::sleep(self.random.millis(0, 8));
            if coordinator.cancel_shutdown(&scope).is_ok() {
                self.ledger.count(Act::Cancel);
            }
        }
        let mode = [Mode::Graceful, Mode::Fast, Mode::Fast, Mode::Immediate]
            [self.random.below(self.ledger.modes()) as usize];
        if self.random.once_in(2) && coordinator.escalate(&scope, mode).is_ok() {
            self.ledger.count(Act::Escalate);
        }
        if self.random.once_in(2) {
            match coordinator.wait_for_shutdown_complete(&scope, self.random.millis(1, 400)) {
                Ok(_)
                | Err(
                    CoordinationError::TimedOut { .. }
                    | CoordinationError::NotShuttingDown
                    | CoordinationError::NoSuchRunner { .. },
                ) => {}
                Err(error) => panic!("complete: {error:?}"),
            }
        }
        self.begin_generation();
    }

    /// As fast as it can, for some milliseconds.
    fn initiate_and_cancel(&mut self) {
        let coordinator = ShutdownCoordinator::new(&self.segment);
        let (code, text) = plan::reason(self.process);
        let request = plan::request(&self.ledger, &mut self.random).reason(code, text);
        let end = Instant::now() + Duration::from_millis(self.random.below(60));
        while Instant::now() < end && !self.is_held() {
            for _ in 0..50 {
                aim::at_call(&self.ledger, 16, Duration::from_micros(3));
                let initiated = coordinator.initiate_shutdown(&Scope::All, &request);
                initiated.unwrap_or_else(|error| panic!("initiate: {error:?}"));
                if coordinator.cancel_shutdown(&Scope::All).is_ok() {
                    self.ledger.count(Act::Cancel);
                }
            }
        }
    }

    /// Whether the shutdown of another one is to be left alone.
    fn is_held(&self) -> bool {
        match (self.ledger.get(Head::Hold) as usize).checked_sub(1) {
            Some(process) => process != self.process && !self.ledger.is_doomed(process),
            None => false,
        }
    }

    /// Initiates with terms of its own, and watches whether they stay, while the others hold
    /// still; but for those that are stopped in the middle of an initiation.
    fn watch_terms(&mut self) {
        let (hold, mine) = (self.ledger.head(Head::Hold), self.process as u64 + 1);
        let before = hold.load(Ordering::Acquire);
        let is_free = !self.is_held();
        let swap = |from, to| hold.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        if !is_free || swap(before, mine).is_err() {
            return;
        }
        let coordinator = ShutdownCoordinator::new(&self.segment);
        terms::watch(&self.ledger, &coordinator, self.process);
        let _ = swap(mine, 0);
    }

    /// Mostly one runner, so that the group gets to work at all.
    fn scope(&mut self, coordinator: &ShutdownCoordinator) -> Scope {
        let of_all = match self.ledger.kind() {
            _ if !self.ledger.faults().is_empty() => 1,
            Kind::Mixed => 3,
            Kind::Patient | Kind::Hammer => 2,
        };
        if self.random.once_in(of_all) {
            return Scope::All;
        }
        let status = coordinator.status().unwrap();
        let living: Vec<_> = status
            .runners
            .iter()
            .filter(|runner| runner.alive)
            .collect();
        if living.is_empty() {
            return Scope::All;
        }
        Scope::runner(&living[self.random.below(living.len() as u64) as usize].id)
    }
}
