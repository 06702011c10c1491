//! A process that begins shutdowns and changes its mind.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebbtide::{CoordinationError, Initiation, Mode, Scope, ShutdownCoordinator, ShutdownRequest};

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
            (Kind::Hammer, _) => member.random.millis(0, 10),
            _ => member.random.millis(5, 40),
        };
        std::thread::sleep(pause);
        match kind {
            Kind::Hammer => member.hammer(),
            _ => member.initiate(),
        }
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

    fn hammer(&mut self) {
        match self.random.below(8) {
            _ if self.is_held() => {}
            0 => self.initiate(),
            1 => self.alone(|member, coordinator| member.force(coordinator)),
            2..=4 => self.alone(|member, coordinator| {
                terms::watch(&member.ledger, coordinator, member.process);
            }),
            _ => self.initiate_and_cancel(),
        }
        self.begin_generation();
    }

    /// As fast as it can, for some milliseconds.
    fn initiate_and_cancel(&mut self) {
        let coordinator = ShutdownCoordinator::new(&self.segment);
        let request = terms::watched_request(self.process);
        let end = Instant::now() + Duration::from_millis(self.random.below(60));
        while Instant::now() < end && !self.is_held() {
            for _ in 0..50 {
                aim::at_call(&self.ledger, 16, Duration::from_micros(3));
                match coordinator.initiate_shutdown(&Scope::All, &request) {
                    // Complete: a process must begin the next generation first.
                    Ok(Initiation::Over) => return,
                    // Another one's, which is that one's to cancel.
                    Ok(Initiation::Merged) => break,
                    Ok(_) => {}
                    Err(error) => panic!("initiate: {error:?}"),
                }
                if coordinator.cancel_shutdown(&Scope::All).is_ok() {
                    self.ledger.count(Act::Cancel);
                }
            }
        }
    }

    /// Forces a shutdown past each stopped process, after some quiet time in which others
    /// join.
    fn force(&mut self, coordinator: &ShutdownCoordinator) {
        let (code, text) = plan::reason(self.process);
        std::thread::sleep(self.random.millis(2, 12));
        let request = ShutdownRequest::new().timeout(Duration::from_millis(10));
        let request = request.reason(code, text);
        let patience = Duration::from_millis(200);
        let forced = coordinator
            .initiate_shutdown(&Scope::All, &request)
            .and_then(|_| coordinator.wait_for_shutdown_complete(&Scope::All, patience));
        match forced {
            Ok(_) => self.ledger.count(Act::Shutdown),
            Err(CoordinationError::TimedOut { .. } | CoordinationError::NotShuttingDown) => {}
            Err(error) => panic!("forced: {error:?}"),
        }
    }

    /// Whether the shutdown of another one is to be left alone.
    fn is_held(&self) -> bool {
        match (self.ledger.get(Head::Hold) as usize).checked_sub(1) {
            Some(process) => process != self.process && !self.ledger.is_doomed(process),
            None => false,
        }
    }

    /// Does something while the other initiators hold still; but for those that are stopped
    /// in the middle of an initiation.
    fn alone(&mut self, act: impl FnOnce(&mut Self, &ShutdownCoordinator)) {
        let mine = self.process as u64 + 1;
        let before = self.ledger.get(Head::Hold);
        if self.is_held() || !self.swap_hold(before, mine) {
            return;
        }
        let coordinator = ShutdownCoordinator::new(&self.segment);
        act(self, &coordinator);
        self.swap_hold(mine, 0);
    }

    fn swap_hold(&self, from: u64, to: u64) -> bool {
        let hold = self.ledger.head(Head::Hold);
        let swapped = hold.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        swapped.is_ok()
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
