//! A process that is no runner: it clears up after the dead, attaches and detaches, and
//! asks the oracles that look from outside.

use std::time::Duration;

use ebbtide::{
    CoordinationError, DeadlockDetector, Gravity, Phase, Scope, SegmentError, ShutdownCoordinator,
};

use super::{Member, aim, generations};
use crate::ledger::Head;
use crate::ledger::act::Act;
use crate::oracle::{cleanup, deaths, membership, terms};
use crate::support::{Child, Place};

pub fn reaper(child: &Child) {
    let mut member = Member::of(child);
    let detector = DeadlockDetector::new(&member.segment);
    let coordinator = ShutdownCoordinator::new(&member.segment);
    while !member.has_stopped(Head::StopVisitors) {
        std::thread::sleep(member.random.millis(1, 20));
        aim::at_call(&member.ledger, 4, Duration::from_micros(200));
        let reaped = member.segment.reclaim().unwrap();
        cleanup::reclaimed(&member.ledger, &reaped);
        member.ledger.count(Act::Reap);
        detector.cycles().unwrap();
        member.look(&coordinator);
        member.attach_again(child);
        if member.random.once_in(3) {
            std::thread::sleep(Duration::from_micros(300));
            member.begin_generation();
        }
    }
}

impl Member {
    fn look(&mut self, coordinator: &ShutdownCoordinator) {
        let (ledger, process) = (&self.ledger, self.process);
        deaths::in_status(ledger, coordinator);
        terms::in_status(ledger, coordinator);
        if let Some((generation, phase)) = generations::phase_of(coordinator) {
            let by = || ledger.describe(process);
            membership::phase_was_seen(ledger, generation, phase, by);
        }
        coordinator.report(&Scope::All).unwrap();
        let status = coordinator.status().unwrap();
        if let Some(runner) = status.runners.first() {
            // Opened by identity; nobody is signalled.
            match coordinator.process(&runner.id) {
                Ok(_) | Err(CoordinationError::NoSuchRunner { .. }) => {}
                Err(error) => panic!("process: {error:?}"),
            }
        }
        if self.random.once_in(8) {
            let mut found = self.segment.check().unwrap().findings;
            found.retain(|finding| finding.gravity == Gravity::Broken);
            let is_sound = found.is_empty();
            self.ledger.ensure(is_sound, || format!("check: {found:?}"));
            self.ledger.count(Act::Check);
        }
    }

    fn attach_again(&self, child: &Child) {
        match child.options.open(Place::NAME) {
            Ok(again) => assert_eq!(again.token(), self.segment.token()),
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
    }
}
