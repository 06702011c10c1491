//! Liveness: nobody who lives is reported dead.
//!
//! The parent dooms a process before it sends a signal that may end it, so a death that
//! the library reports and for which no doom is found afterwards did not happen. This holds
//! for stopped processes and for those that closed their descriptors alike.
//!
//! A report of many runners is put together from many words, and a slot may get a new
//! holder while it is read; so a death counts when the same id is reported dead again and
//! again ([`repeated`](super::repeated)). One that was wrongly marked dead stays so until its slot is
//! used again. The report of a generation whose members have all ended is exact.

use ebbtide::{Outcome, RunnerReport, ShutdownCoordinator};

use super::repeated;
use crate::ledger::Ledger;
use crate::ledger::line::Line;

fn is_dead(report: &RunnerReport) -> bool {
    report.dead || report.outcome == Some(Outcome::Died)
}

/// The runner is reported dead and was never killed.
fn is_false(ledger: &Ledger, report: &RunnerReport) -> bool {
    is_dead(report) && Line::of(ledger, &report.id).is_some_and(|line| !line.may_be_dead())
}

/// One runner of a report in which nothing moves any more.
pub fn of_ended(ledger: &Ledger, report: &RunnerReport) -> Result<(), String> {
    match is_false(ledger, report) {
        true => Err(text(ledger, &report.id)),
        false => Ok(()),
    }
}

/// Asks for the status, in the middle of everything.
pub fn in_status(ledger: &Ledger, coordinator: &ShutdownCoordinator) {
    let dead = || {
        let runners = coordinator.status().ok()?.runners;
        let wrong = runners.into_iter().find(|one| is_false(ledger, one))?;
        Some(wrong.id)
    };
    if let Some(id) = repeated(dead) {
        ledger.violate(&text(ledger, &id));
    }
}

fn text(ledger: &Ledger, id: &str) -> String {
    match Line::of(ledger, id) {
        Some(line) => format!("reported dead: {}, who was never killed", line.who()),
        None => format!("reported dead: {id}, which is nobody"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::scratch;

    #[test]
    fn only_of_those_who_were_killed_a_death_is_believed() {
        let _alone = crate::alone();
        let (_directory, ledger) = scratch();
        let segments = tempfile::tempdir().unwrap();
        let options = ebbtide::SegmentOptions::new().directory(segments.path().join("d"));
        let segment = options.create("deaths").unwrap();
        let line = Line::take(&ledger, 1);
        let runner = ebbtide::Runner::join(&segment, &line.id()).unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        in_status(&ledger, &coordinator);
        assert!(ledger.violations().is_empty());
        let mut report = coordinator.status().unwrap().runners.remove(0);
        assert_eq!(of_ended(&ledger, &report), Ok(()));
        for outcome in [None, Some(Outcome::Died)] {
            report.dead = outcome.is_none();
            report.outcome = outcome;
            assert!(of_ended(&ledger, &report).is_err());
        }
        ledger.doom(1);
        assert_eq!(of_ended(&ledger, &report), Ok(()));
        drop(runner);
    }
}
