//! A runner of the storm: it joins, works on several threads, goes through shutdowns, and
//! joins again in the next generation, until the round ends or it is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ebbtide::{
    Acknowledged, CoordinationError, Phase, ResourceManager, Runner, ShutdownCoordinator,
    ShutdownOutcome, ShutdownRequest, SignalPolicy,
};

use super::acts::{Acts, HANGS};
use super::descriptors::Descriptors;
use super::{Member, aim, flaws, resources};
use crate::fault::Fault;
use crate::ledger::Head;
use crate::ledger::act::Act;
use crate::ledger::line::{Fate, File, Line, State, THREADS};
use crate::oracle::membership;
use crate::plan::Kind;
use crate::random::Random;
use crate::support::Child;

pub fn runner(child: &Child) {
    let mut member = Member::of(child);
    if member.ledger.kind() == Kind::Mixed && member.random.once_in(2) {
        let request = ShutdownRequest::new().timeout(Duration::from_secs(2));
        let policy = SignalPolicy::for_all(&member.segment).request(request);
        policy.install().unwrap();
        member.ledger.set_survives_term(member.process);
    }
    let closes = member.ledger.get(Head::Closes) != 0 && member.random.once_in(3);
    let mut descriptors = Descriptors::new(&member, closes);
    while !member.has_stopped(Head::Stop) {
        member.live(&mut descriptors);
    }
    let (ledger, process) = (Arc::clone(&member.ledger), member.process);
    drop(member);
    descriptors.check(&ledger, process);
}

impl Member {
    /// One registration, from joining to leaving.
    fn live(&mut self, descriptors: &mut Descriptors) {
        let ledger = Arc::clone(&self.ledger);
        let line = Line::take(&ledger, self.process);
        let is_heir = flaws::inherit(self, line);
        let complete = membership::before_join(&ledger);
        let Some(runner) = self.join(&line.id()) else {
            line.set_state(State::Refused);
            return self.begin_generation();
        };
        let runner = Arc::new(runner);
        line.set_joined(runner.generation());
        ledger.raise(Head::Begun, runner.generation().into());
        membership::was_admitted(line, complete);
        ledger.count(Act::Join);
        let resources = match is_heir {
            // Its files would have the names of those of the dead.
            true => ResourceManager::new(&runner),
            false => resources::register(self, &runner, line),
        };
        self.handle(&runner, line.index);
        if is_heir {
            ledger.count(Act::Heir);
        }
        let parts = flaws::befall(self, &runner, line, &resources);
        let finish = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let random = Random::new(self.random.next());
                let (runner, finish, segment) = (&runner, &finish, &self.segment);
                scope.spawn(move || {
                    let mut acts = Acts::new(segment, line, thread, random);
                    while !finish.load(Ordering::Acquire) {
                        if !acts.one(runner) {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                });
            }
            let closing = scope.spawn(|| descriptors.close_soon(&finish));
            if parts {
                assert!(matches!(runner.wait_for_shutdown(None), Ok(true)));
                membership::is_still_here(line);
                line.set_fate(Fate::Parted);
            } else if self.random.once_in(4) {
                line.set_fate(Fate::ByHand);
                by_hand(&runner, line, &resources);
            } else {
                drive(&runner, line);
            }
            finish.store(true, Ordering::Release);
            closing.join().unwrap();
        });
        line.set_state(State::Leaving);
        aim::at_call(&ledger, 4, Duration::from_micros(3));
        match parts && self.random.once_in(2) {
            true => drop(runner),
            false => runner.leave(),
        }
        if parts {
            ledger.count(Act::Part);
        }
        // Closed in a hurry, or by nobody: its owner lives, so it is the owner's.
        if line.file_is(File::Registered) {
            let _ = std::fs::remove_file(resources::path(self, &line));
        }
        line.set_state(State::Closed);
        ledger.count(Act::Leave);
        descriptors.check(&ledger, self.process);
    }

    /// `None`: refused, as a shutdown is on.
    fn join(&self, id: &str) -> Option<Runner> {
        let end = Instant::now() + HANGS;
        loop {
            aim::at_call(&self.ledger, 8, Duration::from_micros(5));
            match Runner::join(&self.segment, id) {
                Ok(runner) => return Some(runner),
                Err(CoordinationError::ShuttingDown { .. }) => {
                    self.ledger.count(Act::Refused);
                    return None;
                }
                // It may notice that its descriptors are gone, and needs a while to have
                // them again.
                Err(CoordinationError::Segment(error))
                    if self.ledger.has_closed(self.process) && Instant::now() < end =>
                {
                    println!("join: {error:?}");
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("join: {error:?}"),
            }
        }
    }

    /// Handlers that take their time and ask for more. The last of each phase writes down
    /// that the phase is done, and compares what it sees with what the others have done.
    fn handle(&mut self, runner: &Arc<Runner>, index: usize) {
        for phase in Phase::ACKNOWLEDGED {
            let (weak, ledger) = (Arc::downgrade(runner), Arc::clone(&self.ledger));
            let nap = self.random.below(match self.ledger.kind() {
                Kind::Hammer => 20,
                Kind::Mixed | Kind::Patient => 6,
            });
            let extends = self.random.once_in(3);
            let nap = move |_: &ebbtide::HandlerContext| {
                std::thread::sleep(Duration::from_millis(nap));
                let Some(runner) = weak.upgrade().filter(|_| extends) else {
                    return;
                };
                runner.progress();
                if runner.extend(Duration::from_millis(20)).is_ok() {
                    ledger.count(Act::Extend);
                }
            };
            let ledger = Arc::clone(&self.ledger);
            let coordinator = ShutdownCoordinator::new(&self.segment);
            let compares = self.random.once_in(2);
            let done = move |_: &ebbtide::HandlerContext| {
                let line = Line::at(&ledger, index);
                if ledger.is_patient() && compares {
                    compare(&coordinator, line);
                }
                if !ledger.faults().has(Fault::Early) {
                    line.set_done(phase);
                }
            };
            runner
                .register_shutdown_handler(phase, 0, "nap", nap)
                .unwrap();
            runner
                .register_shutdown_handler(phase, -1, "done", done)
                .unwrap();
        }
    }
}

/// By a member that has not left: its generation cannot end meanwhile.
fn compare(coordinator: &ShutdownCoordinator, line: Line<'_>) {
    let status = coordinator.status().unwrap();
    let (generation, ledger) = (line.generation(), line.ledger);
    ledger.ensure(status.generation == generation, || {
        let (who, new) = (line.who(), status.generation);
        format!("{who} is a member of generation {generation}, but {new} has begun")
    });
    membership::phase_was_seen(ledger, generation, status.phase, || line.who());
}

/// Goes through shutdowns, whatever is cancelled, until one is over.
fn drive(runner: &Runner, line: Line<'_>) {
    loop {
        match runner.wait_for_shutdown(None) {
            Ok(true) => {}
            other => panic!("wait_for_shutdown: {other:?}"),
        }
        membership::is_still_here(line);
        line.set_state(State::Driving);
        aim::at_call(line.ledger, 8, Duration::from_micros(50));
        match runner.run_shutdown() {
            Ok(report) if report.outcome == ShutdownOutcome::Cancelled => {}
            // Cancelled before it was noticed.
            Err(CoordinationError::NotShuttingDown) => {}
            Ok(_) => return,
            Err(error) => panic!("run_shutdown: {error:?}"),
        }
        line.set_state(State::Joined);
    }
}

/// The same by hand.
fn by_hand(runner: &Runner, line: Line<'_>, resources: &ResourceManager) {
    let patience = match line.ledger.is_patient() {
        true => HANGS,
        false => Duration::from_millis(100),
    };
    loop {
        let (phase, mode) = (runner.phase(), runner.mode());
        membership::is_still_here(line);
        if phase == Phase::Complete {
            return;
        }
        if phase == Phase::Closing {
            resources.cleanup_resources(patience).unwrap();
        }
        if phase != Phase::Running {
            line.set_done(phase);
            aim::at_call(line.ledger, 4, Duration::from_micros(3));
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
