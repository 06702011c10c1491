//! Writers of the failure table that are stopped in the middle.

use super::*;
use crate::table::stopped::{Stopped, stop_everywhere};

type Table = Failures<Stopped, 20>;

const GONE: (usize, u64) = (0, 1);
const A: (usize, u64) = (1, 1);
const B: (usize, u64) = (2, 1);

fn tell(table: &Table, by: (usize, u64), phase: Phase, name: &str) -> bool {
    let failing = Failing {
        source: FailureSource::Handler,
        kind: FailureKind::Failed,
        phase,
        name,
        cause: name,
        resource: None,
    };
    table.tell(by, (7, 8), 99, &failing, |other| other == GONE)
}

fn names(table: &Table, of: (usize, u64)) -> Vec<(String, String)> {
    let all = table.of(of).into_iter();
    all.map(|read| (read.name, read.cause)).collect()
}

fn both(name: &str) -> (String, String) {
    (name.into(), name.into())
}

/// Both want the entry of one that is gone.
#[test]
fn one_entry_is_claimed_by_one_of_two() {
    stop_everywhere(
        || {
            let table = Table::default();
            assert!(tell(&table, GONE, Phase::Closing, "gone"));
            table
        },
        |table| assert!(tell(table, A, Phase::Closing, "a")),
        |table| assert!(tell(table, B, Phase::Closing, "b")),
        |table| {
            assert_eq!(names(table, A), [both("a")]);
            assert_eq!(names(table, B), [both("b")]);
            assert_eq!(names(table, GONE), []);
            assert!(table.faults().next().is_none());
        },
    );
}

/// A reader that is stopped while the entry comes to another holder reads nothing of that one.
#[test]
fn a_stopped_reader_mixes_no_two_failures() {
    stop_everywhere(
        || {
            let table = Table::default();
            assert!(tell(&table, GONE, Phase::Closing, "gone"));
            table
        },
        |table| {
            let read = names(table, GONE);
            assert!(read.is_empty() || read == [both("gone")], "{read:?}");
        },
        |table| assert!(tell(table, B, Phase::Closing, "b")),
        |table| assert_eq!(names(table, B), [both("b")]),
    );
}

#[test]
fn a_holder_has_so_many_places_and_those_of_others_stay() {
    let table = Table::default();
    for _ in 0..FAILURES_PER_RUNNER {
        assert!(tell(&table, A, Phase::Signaling, "a"));
    }
    assert!(!tell(&table, A, Phase::Signaling, "one more"));
    assert_eq!(table.of(A).len(), FAILURES_PER_RUNNER);
    assert!(tell(&table, B, Phase::Signaling, "b"));
    assert!(
        table.has(B, |epochs, at| epochs == (7, 8) && at == 99)
            && !table.has(B, |epochs, _| epochs.0 == 8)
    );
}

#[test]
fn what_a_cancelled_shutdown_undid_is_withdrawn() {
    let table = Table::default();
    assert!(tell(&table, A, Phase::Signaling, "told"));
    assert!(tell(&table, A, Phase::Draining, "drained"));
    table.withdraw(A, Phase::Signaling);
    assert_eq!(names(&table, A), [both("told")]);
    table.withdraw(A, Phase::Running);
    assert_eq!(names(&table, A), []);
    assert!(table.faults().next().is_none());
}
