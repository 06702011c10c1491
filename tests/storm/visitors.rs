//! Those who are no runners: initiators, who begin shutdowns and change their minds, and
//! reapers, who clear up, look, come and go.

use std::time::Duration;

use ebbtide::{
    CoordinationError, DeadlockDetector, Mode, Phase, ReasonCode, Scope, SegmentError,
    ShutdownCoordinator, ShutdownRequest,
};

use crate::support::{Child, Place};

use super::ledger::{Deed, Head};
use super::worker::Member;

pub fn initiator(child: &Child) {
    let mut member = Member::of(child);
    while member.ledger.get(Head::StopVisitors) == 0 {
        std::thread::sleep(member.random.millis(20, 150));
        member.initiate();
    }
}

impl Member {
    fn initiate(&mut self) {
        let coordinator = ShutdownCoordinator::new(&self.segment);
        let scope = self.scope(&coordinator);
        let modes = [Mode::Graceful, Mode::Graceful, Mode::Fast, Mode::Immediate];
        let pick = |member: &mut Self| modes[member.random.below(4) as usize];
        let timeout = self.random.millis(150, 2_000);
        let request = ShutdownRequest::new()
            .timeout(timeout)
            .cap(timeout * 2)
            .mode(pick(self))
            .reason(ReasonCode::Idle, "it storms");
        match coordinator.initiate_shutdown(&scope, &request) {
            Ok(_) => self.ledger.count(Deed::Shutdown),
            // The one runner has ended.
            Err(CoordinationError::NoSuchRunner { .. }) => return,
            Err(error) => panic!("initiate: {error:?}"),
        }
        if self.random.once_in(3) {
            std::thread::sleep(self.random.millis(0, 8));
            if coordinator.cancel_shutdown(&scope).is_ok() {
                self.ledger.count(Deed::Cancel);
            }
        }
        if self.random.once_in(2) && coordinator.escalate(&scope, pick(self)).is_ok() {
            self.ledger.count(Deed::Escalate);
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

    /// Mostly one runner, so that the group gets to work at all.
    fn scope(&mut self, coordinator: &ShutdownCoordinator) -> Scope {
        if self.random.once_in(3) {
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

pub fn reaper(child: &Child) {
    let mut member = Member::of(child);
    let detector = DeadlockDetector::new(&member.segment);
    while member.ledger.get(Head::StopVisitors) == 0 {
        std::thread::sleep(member.random.millis(1, 30));
        member.segment.reclaim().unwrap();
        member.ledger.count(Deed::Reap);
        detector.cycles().unwrap();
        let coordinator = ShutdownCoordinator::new(&member.segment);
        let status = coordinator.status().unwrap();
        coordinator.report(&Scope::All).unwrap();
        if let Some(runner) = status.runners.first() {
            // Opened by identity; nobody is signalled.
            match coordinator.process(&runner.id) {
                Ok(_) | Err(CoordinationError::NoSuchRunner { .. }) => {}
                Err(error) => panic!("process: {error:?}"),
            }
        }
        // Attaches and detaches.
        match child.options.open(Place::NAME) {
            Ok(again) => assert_eq!(again.token(), member.segment.token()),
            Err(error @ SegmentError::Full { .. }) => panic!("{error}"),
            Err(error) => panic!("open: {error:?}"),
        }
        let seen = child
            .options
            .observe(Place::NAME)
            .unwrap()
            .status()
            .unwrap();
        assert!(seen.phase <= Phase::Complete);
        if member.random.once_in(3) {
            std::thread::sleep(Duration::from_micros(300));
            member.begin_generation();
        }
    }
}
