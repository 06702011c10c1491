//! Journal and timeline: cheap statements about what was written down.
//!
//! *Journal*: sequences grow; a registration joins at most once and ends at most once, in
//! this order (both records of a runner that left are written by its own process, and
//! nobody dies before it has joined); nobody is recorded as dead who was not doomed. A
//! record may be missing: its writer was killed before it wrote it, or the ring has
//! forgotten it. An id that was taken over joins and ends twice at most, in any order: the
//! first holder may be found dead late. Read after the storm, when nothing moves.
//!
//! *Timeline* of a complete generation: phases in order, each from where the one before
//! ended, the last until the end; in patient rounds none was forced.

use std::collections::HashMap;
use std::time::Duration;

use ebbtide::{Journal, JournalEvent, Phase, Timeline};

use crate::ledger::Ledger;
use crate::ledger::line::Line;

/// What the journal says of one registration.
#[derive(Default)]
struct Life {
    joined: Option<u64>,
    ended: Option<u64>,
    joins: u32,
    ends: u32,
}

pub fn check(ledger: &Ledger, journal: &Journal) -> Result<(), String> {
    let mut last = 0;
    let mut lives: HashMap<&str, Life> = HashMap::new();
    for record in journal {
        if record.sequence <= last || record.sequence > journal.last {
            let (sequence, end) = (record.sequence, journal.last);
            return Err(format!("journal: {sequence} after {last}, of {end}"));
        }
        last = record.sequence;
        // Joiners use one id again and again.
        let Some(id) = record.runner.as_deref().filter(|id| id.starts_with('r')) else {
            continue;
        };
        let line = Line::of(ledger, id);
        let life = lives.entry(id).or_default();
        life.joins += u32::from(record.event == JournalEvent::Joined);
        life.ends += u32::from(matches!(
            record.event,
            JournalEvent::Left { .. } | JournalEvent::Died
        ));
        let has_heir = line.is_some_and(|line| line.heir().is_some());
        if has_heir && life.joins.max(life.ends) > 2 {
            return Err(format!("journal: {id}: more often than twice: {record:?}"));
        }
        let before = match &record.event {
            JournalEvent::Joined => life.joined.replace(record.sequence).or(life.ended),
            JournalEvent::Left { .. } | JournalEvent::Died => life.ended.replace(record.sequence),
            _ => None,
        };
        if let Some(before) = before.filter(|_| !has_heir) {
            return Err(format!("journal: {id}: {before} before {record:?}"));
        }
        if record.event == JournalEvent::Died && line.is_some_and(|line| !line.may_be_dead()) {
            return Err(format!("journal: {record:?}, but it was never killed"));
        }
    }
    Ok(())
}

/// Of a generation that is complete.
pub fn check_timeline(ledger: &Ledger, timeline: &Timeline) -> Result<(), String> {
    let mut end = Duration::ZERO;
    let mut last = Phase::Running;
    for phase in &timeline.phases {
        let until = phase.until.unwrap_or(timeline.total);
        let is_right = phase.phase > last && phase.from == end && until >= phase.from;
        if !is_right || phase.forced && ledger.is_patient() {
            return Err(format!("timeline: {phase:?} after {last} until {end:?}"));
        }
        (last, end) = (phase.phase, until);
    }
    if last != Phase::Closing || end != timeline.total {
        let total = timeline.total;
        return Err(format!("timeline: {last} until {end:?}, of {total:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ebbtide::{JournalRecord, Segment};

    use super::*;
    use crate::ledger::scratch;

    fn real() -> (tempfile::TempDir, Ledger, Segment) {
        let (directory, ledger) = scratch();
        let options = ebbtide::SegmentOptions::new().directory(directory.path().join("d"));
        let segment = options.create("journal").unwrap();
        let line = Line::take(&ledger, 1);
        let runner = ebbtide::Runner::join(&segment, &line.id()).unwrap();
        let coordinator = ebbtide::ShutdownCoordinator::new(&segment);
        let request = ebbtide::ShutdownRequest::new();
        let all = ebbtide::Scope::All;
        coordinator.initiate_shutdown(&all, &request).unwrap();
        runner.run_shutdown().unwrap();
        (directory, ledger, segment)
    }

    #[test]
    fn what_the_library_writes_is_right() {
        let _alone = crate::alone();
        let (_directory, ledger, segment) = real();
        assert_eq!(check(&ledger, &segment.journal().unwrap()), Ok(()));
        let timeline = segment.timeline().unwrap().unwrap();
        assert_eq!(check_timeline(&ledger, &timeline), Ok(()));
    }

    #[test]
    fn records_that_cannot_be_are_caught() {
        let _alone = crate::alone();
        let (_directory, ledger, segment) = real();
        let journal = segment.journal().unwrap();
        let changed = |change: fn(&mut Vec<JournalRecord>)| {
            let mut journal = journal.clone();
            change(&mut journal.records);
            check(&ledger, &journal)
        };
        assert!(changed(|records| records.swap(0, 1)).is_err());
        let died = |records: &mut Vec<JournalRecord>| {
            records.retain(|one| one.event == JournalEvent::Joined);
            let mut death = records[0].clone();
            death.sequence += 1;
            death.event = JournalEvent::Died;
            records.push(death);
        };
        assert!(changed(died).unwrap_err().contains("never killed"));
        ledger.doom(1);
        assert_eq!(changed(died), Ok(()));
        let twice = |records: &mut Vec<JournalRecord>| {
            for record in records {
                record.event = JournalEvent::Joined;
            }
        };
        assert!(changed(twice).is_err());
    }

    #[test]
    fn phases_with_a_gap_are_caught() {
        let _alone = crate::alone();
        let (_directory, ledger, segment) = real();
        let mut timeline = segment.timeline().unwrap().unwrap();
        timeline.phases[1].from += Duration::from_micros(1);
        assert!(check_timeline(&ledger, &timeline).is_err());
        timeline.phases.remove(1);
        assert!(check_timeline(&ledger, &timeline).is_err());
    }
}
