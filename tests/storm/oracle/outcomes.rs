//! Outcomes: a report says of each runner what was done to it, and of the whole the worst.
//!
//! What a runner does to itself (a handler that panics, a cleanup that fails, going away in
//! the middle) is in its line *before* it happens, and a kill is known from the doom. Asked
//! when nothing of the generation moves any more.
//!
//! - *The whole* ([`of_all`]), in all rounds: the worst outcome of the runners that are in the
//!   report. Predecessors are not, so they decide nothing.
//! - *One runner* ([`of_one`]). In all rounds: one that took over an id is told of one death,
//!   and the dead one whose id was taken over is no part of the shutdown. In patient rounds
//!   nothing is late, forced or cancelled, so the outcome follows from the line: see
//!   [`wanted`].

use ebbtide::{Outcome, Phase, RunnerReport, ShutdownOutcome, ShutdownReport};

use crate::ledger::line::{Fate, Line, State};
use crate::plan::Kind;

fn rank(outcome: &Outcome) -> ShutdownOutcome {
    match outcome {
        Outcome::Completed => ShutdownOutcome::Completed,
        Outcome::CompletedWithFailures => ShutdownOutcome::CompletedWithFailures,
        Outcome::Abandoned => ShutdownOutcome::Abandoned,
        Outcome::Died | Outcome::Failed { .. } => ShutdownOutcome::Died,
        _ => ShutdownOutcome::TimedOut,
    }
}

/// The report of a generation that is complete and gone.
pub fn of_all(report: &ShutdownReport) -> Result<(), String> {
    let worst_first = [
        ShutdownOutcome::TimedOut,
        ShutdownOutcome::Died,
        ShutdownOutcome::Abandoned,
        ShutdownOutcome::CompletedWithFailures,
    ];
    let all = report.runners.iter().filter_map(|one| one.outcome.as_ref());
    let all: Vec<_> = all.map(rank).collect();
    let worst = worst_first.into_iter().find(|one| all.contains(one));
    match worst.unwrap_or(ShutdownOutcome::Completed) == report.outcome {
        true => Ok(()),
        false => Err(format!("the whole is not the worst of all: {report:?}")),
    }
}

/// The record of one runner that has ended.
pub fn of_one(line: Line<'_>, record: &RunnerReport) -> Result<(), String> {
    let who = || line.who();
    let most = u64::from(line.heir_of().is_some());
    if record.restarts > most {
        let restarts = record.restarts;
        return Err(format!(
            "{} was restarted {restarts} times: {record:?}",
            who()
        ));
    }
    let is_replaced = line.heir().is_some_and(|heir| {
        let status = heir.status();
        let joined = status.has_joined() || status.is(State::Closed);
        joined && status.generation() == line.generation()
    });
    if is_replaced {
        return Err(format!(
            "{} was replaced and still decides: {record:?}",
            who()
        ));
    }
    let outcome = record.outcome.as_ref();
    if line.ledger.kind() == Kind::Patient && !outcome.is_some_and(|one| wanted(line, one)) {
        let flaws = [Fate::Flawed, Fate::Parted, Fate::ByHand].map(|fate| line.has_fate(fate));
        let status = line.status();
        return Err(format!(
            "{} is reported {outcome:?}; {status:?}; flawed, parted, by hand: {flaws:?}: {record:?}",
            who()
        ));
    }
    Ok(())
}

/// Whether this is what may be said of a runner in a patient round.
fn wanted(line: Line<'_>, outcome: &Outcome) -> bool {
    let [flawed, parted, by_hand] =
        [Fate::Flawed, Fate::Parted, Fate::ByHand].map(|fate| line.has_fate(fate));
    let status = line.status();
    let is_undone = status.done() < Phase::Closing as u64;
    let ended_in_order = status.is(State::Closed);
    match outcome {
        // It had not left, and had not done every phase.
        _ if !ended_in_order && is_undone && status.is_member(true) => *outcome == Outcome::Died,
        Outcome::Completed => !flawed && !parted,
        Outcome::CompletedWithFailures => flawed && !parted,
        // By hand it may see its own shutdown end while that of all is on.
        Outcome::Abandoned => parted || by_hand,
        Outcome::Died => !ended_in_order,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::scratch;

    #[test]
    fn an_outcome_fits_what_was_done() {
        let (_directory, ledger) = scratch();
        let line = |fates: &[Fate], state| {
            let line = Line::take(&ledger, 1);
            line.set_joined(7);
            line.set_state(state);
            fates.iter().for_each(|fate| line.set_fate(*fate));
            line
        };
        let all = [
            Outcome::Completed,
            Outcome::CompletedWithFailures,
            Outcome::Abandoned,
            Outcome::Died,
            Outcome::TimedOut,
        ];
        let fits = |line| all.each_ref().map(|outcome| wanted(line, outcome));
        let closed = State::Closed;
        assert_eq!(fits(line(&[], closed)), [true, false, false, false, false]);
        let flawed = line(&[Fate::Flawed], closed);
        assert_eq!(fits(flawed), [false, true, false, false, false]);
        let parted = line(&[Fate::Parted], closed);
        assert_eq!(fits(parted), [false, false, true, false, false]);
        let killed = line(&[], State::Driving);
        assert_eq!(fits(killed), [false, false, false, true, false]);
        let leaving = line(&[Fate::Parted], State::Leaving);
        assert_eq!(fits(leaving), [false, false, true, true, false]);
    }

    #[test]
    fn an_id_has_one_heir() {
        let (_directory, ledger) = scratch();
        let [dead, first, second] = [1, 2, 3].map(|process| Line::take(&ledger, process));
        dead.set_joined(7);
        assert!(!first.inherit(dead));
        ledger.doom(1);
        ledger.end(1);
        assert!(first.inherit(dead) && !second.inherit(dead));
        assert_eq!(first.id(), dead.id());
    }
}
