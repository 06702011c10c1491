//! A process that joins and leaves as fast as it can, is refused while a shutdown is on,
//! and starts and ends threads. It does no work and acknowledges nothing.
//!
//! A refused join leaves no record, but an admitted one does, and the records of a
//! generation are 1024: were there more, those of runners that died would be used again
//! before their books are closed. So joiners together stay within half of them, where there
//! are books.

use std::sync::Arc;
use std::time::Duration;

use ebbtide::limits::MAX_RUNNERS;
use ebbtide::{CoordinationError, Phase, Runner, ShutdownCoordinator};

use super::{Member, aim, churn};
use crate::ledger::Head;
use crate::ledger::act::Act;
use crate::ledger::line::{Line, State};
use crate::oracle::membership;
use crate::plan::Kind;
use crate::support::Child;

pub fn joiner(child: &Child) {
    let mut member = Member::of(child);
    let ledger = Arc::clone(&member.ledger);
    let line = Line::take_as_joiner(&ledger, member.process);
    let mut was_admitted = false;
    let hammers = ledger.kind() == Kind::Hammer;
    while !member.has_stopped(Head::StopVisitors) {
        let times = match hammers {
            true => member.random.below(2_000),
            false => member.random.below(50),
        };
        for _ in 0..times {
            if member.has_stopped(Head::StopVisitors) {
                return;
            }
            if !member.may_join() {
                break;
            }
            member.join_and_leave(line, &mut was_admitted);
        }
        let bursts = if hammers { 20 } else { 2 };
        for _ in 0..member.random.below(bursts) {
            let (segment, random) = (&member.segment, &mut member.random);
            churn::churn(segment, &ledger, member.process, random);
        }
        std::thread::sleep(member.random.millis(0, if hammers { 3 } else { 20 }));
    }
}

impl Member {
    /// Whether there is room in the records, or it would be refused anyway.
    fn may_join(&self) -> bool {
        let generation = self.ledger.get(Head::Harvested) as u32 + 1;
        self.ledger.kind() == Kind::Hammer
            || self.ledger.admitted(generation) < MAX_RUNNERS as u64 / 2
            || ShutdownCoordinator::new(&self.segment)
                .status()
                .is_ok_and(|status| status.phase > Phase::Running)
    }

    fn join_and_leave(&mut self, line: Line<'_>, was_admitted: &mut bool) {
        line.set_state(State::Joining);
        let complete = membership::before_join(&self.ledger);
        // Rather one that will be admitted, as the one before was.
        let times = if *was_admitted { 2 } else { 256 };
        aim::at_call(&self.ledger, times, Duration::from_micros(4));
        let joined = Runner::join(&self.segment, &line.id());
        *was_admitted = joined.is_ok();
        let runner = match joined {
            Ok(runner) => runner,
            Err(CoordinationError::ShuttingDown { .. }) => {
                return self.ledger.count(Act::Refused);
            }
            Err(error) => panic!("join: {error:?}"),
        };
        line.set_joined(runner.generation());
        self.ledger.note_admitted(runner.generation());
        self.ledger.raise(Head::Begun, runner.generation().into());
        // Some of the time, as it reads all lines.
        if self.random.once_in(8) {
            membership::was_admitted(line, complete);
        } else {
            membership::is_still_here(line);
        }
        if self.random.once_in(16) {
            std::thread::sleep(Duration::from_micros(self.random.below(500)));
            membership::is_still_here(line);
        }
        line.set_state(State::Leaving);
        aim::at_call(&self.ledger, 64, Duration::from_micros(2));
        runner.leave();
    }
}
