//! A process that joins and leaves as fast as it can, is refused while a shutdown is on,
//! and starts and ends threads. It does no work and acknowledges nothing.

use ebbtide::{CoordinationError, Runner};

use super::{Member, churn};
use crate::ledger::Head;
use crate::ledger::act::Act;
use crate::ledger::line::{Line, State};
use crate::oracle::membership;
use crate::plan::Kind;
use crate::support::Child;

pub fn joiner(child: &Child) {
    let mut member = Member::of(child);
    let ledger = std::sync::Arc::clone(&member.ledger);
    let line = Line::take_as_joiner(&ledger, member.process);
    let hammers = ledger.kind() == Kind::Hammer;
    while !member.has_stopped(Head::StopVisitors) {
        let times = match hammers {
            true => member.random.below(2_000),
            false => member.random.below(50),
        };
        for _ in 0..times {
            member.join_and_leave(line);
            if member.has_stopped(Head::StopVisitors) {
                return;
            }
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
    fn join_and_leave(&mut self, line: Line<'_>) {
        line.set_state(State::Joining);
        let complete = membership::before_join(&self.ledger);
        let runner = match Runner::join(&self.segment, &line.id()) {
            Ok(runner) => runner,
            Err(CoordinationError::ShuttingDown { .. }) => {
                return self.ledger.count(Act::Refused);
            }
            Err(error) => panic!("join: {error:?}"),
        };
        line.set_joined(runner.generation());
        // Some of the time, as it reads all lines.
        if self.random.once_in(8) {
            membership::was_admitted(line, complete);
        } else {
            membership::is_still_here(line);
        }
        if self.random.once_in(16) {
            std::thread::sleep(std::time::Duration::from_micros(self.random.below(500)));
            membership::is_still_here(line);
        }
        line.set_state(State::Leaving);
        runner.leave();
    }
}
