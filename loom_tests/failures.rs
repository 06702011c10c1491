//! The failure table (`table/failures`): no entry is written by two holders, and no reader
//! takes parts of two failures for one.

use core::sync::atomic::Ordering::{Acquire, Release};
use std::rc::Rc;

use loom::sync::Mutex;

use super::memory::Loom;
use super::model::{Model, must_fail};
use super::world::World;
use crate::phase::Phase;
use crate::sync::{Mem, Word};
use crate::table::failures::{Failing, FailureKind, FailureSource, Failures};

const OLD: (usize, u64) = (0, 1);
const NEW: (usize, u64) = (1, 1);

/// One entry, so that the next holder needs that of the one before.
#[derive(Default)]
struct Table {
    failures: Failures<Loom, 1>,
    /// The old holder's slot has another generation.
    is_gone: <Loom as Mem>::U32,
}

fn tell(table: &Table, by: (usize, u64), name: &str) -> bool {
    let failing = Failing {
        source: FailureSource::Handler,
        kind: FailureKind::Failed,
        phase: Phase::Closing,
        name,
        cause: name,
        resource: None,
    };
    let at = by.0 as u64;
    let is_gone = |other| other == OLD && table.is_gone.load(Acquire) == 1;
    table.failures.tell(by, (at, at), at, &failing, is_gone)
}

/// What is read of a holder is one failure, whole, or none.
fn read(table: &Table, of: (usize, u64), name: &str) -> usize {
    let all = table.failures.of(of);
    for one in &all {
        let at = of.0 as u64;
        assert_eq!((one.epochs, one.at), ((at, at), at), "mixed");
        assert_eq!((&*one.name, &*one.cause), (name, name), "mixed");
    }
    all.len()
}

/// A thread of the old holder tells while another one leaves, and the next holder takes the
/// entry. `waits`: leaving waits for what is being written.
fn late_writer(world: &Rc<World>, waits: bool) {
    let table = Rc::new(Table::default());
    let has_left = Rc::new(Mutex::new(false));
    let (shared, lock) = (Rc::clone(&table), Rc::clone(&has_left));
    world.spawn(move |_| {
        let left = lock.lock().unwrap();
        let may = !*left;
        let guard = waits.then_some(left);
        if may {
            tell(&shared, OLD, "old");
        }
        drop(guard);
    });
    let shared = Rc::clone(&table);
    world.spawn(move |_| {
        *has_left.lock().unwrap() = true;
        shared.is_gone.store(1, Release);
        if tell(&shared, NEW, "new") {
            assert_eq!(read(&shared, NEW, "new"), 1);
        }
    });
    world.finish();
    // It found no place only where the old holder had it and was not seen to be gone.
    assert_eq!(read(&table, NEW, "new"), 1);
}

#[test]
fn a_late_writer_of_the_old_holder_writes_into_no_entry_of_the_next() {
    Model::new("failures, a late writer")
        .bound(2)
        .check(|world| late_writer(world, true));
    must_fail("failures, leaving does not wait", || {
        Model::new("failures, leaving does not wait")
            .bound(2)
            .check(|world| late_writer(world, false));
    });
}

#[test]
fn a_reader_mixes_no_two_failures() {
    Model::new("failures, a reader").bound(2).check(|world| {
        let table = Rc::new(Table::default());
        assert!(tell(&table, OLD, "old"));
        table.is_gone.store(1, Release);
        let shared = Rc::clone(&table);
        world.spawn(move |_| {
            read(&shared, OLD, "old");
            read(&shared, NEW, "new");
        });
        let shared = Rc::clone(&table);
        world.spawn(move |_| assert!(tell(&shared, NEW, "new")));
        world.finish();
        assert_eq!(read(&table, OLD, "old"), 0);
        assert_eq!(read(&table, NEW, "new"), 1);
    });
}
