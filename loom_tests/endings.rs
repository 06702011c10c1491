//! Counting a shutdown's ending (`table/endings.rs`): once, whichever process counts it, and
//! however late.

use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::World;
use crate::sync::{Mem, Word};
use crate::table::endings::Endings;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};

/// Any of them.
const OUTCOME: usize = 2;

/// The words, and the epoch that is Complete.
#[derive(Default)]
struct Group {
    endings: Endings<Loom>,
    epoch: <Loom as Mem>::U64,
}

type Count = fn(&Group, u64);

fn count(group: &Group, epoch: u64) {
    let is_on = || group.epoch.load(Acquire) == epoch;
    group.endings.count(OUTCOME, epoch, is_on);
}

/// The must-fail variant: it asks, and counts then.
fn ask_first(group: &Group, epoch: u64) {
    if group.epoch.load(Acquire) == epoch {
        group.endings.count(OUTCOME, epoch, || true);
    }
}

/// Counts both of two shutdowns, as the process that begins the generations does.
fn go_on(group: &Group, count: Count) {
    count(group, 0);
    let _ = group.epoch.compare_exchange(0, 1, AcqRel, Acquire);
    count(group, 1);
    group.epoch.store(2, Release);
}

/// A late counter of the first shutdown while another one counts two of them.
fn late(world: &Rc<World>, by: Count) {
    let group = Rc::new(Group::default());
    let shared = Rc::clone(&group);
    world.spawn(move |_| by(&shared, 0));
    let shared = Rc::clone(&group);
    world.spawn(move |_| go_on(&shared, count));
    world.finish();
    assert_eq!(group.endings.read(OUTCOME, None), 2);
}

#[test]
fn a_shutdown_is_counted_once() {
    Model::new("endings, a late counter").check(|world| late(world, count));
    must_fail("endings, asked before", || {
        Model::new("endings, asked before").check(|world| late(world, ask_first));
    });
}

#[test]
fn a_killed_counter_loses_no_shutdown_and_counts_none_twice() {
    kill_sweep(Model::new("endings, a killed counter"), |_, world| {
        let group = Rc::new(Group::default());
        let shared = Rc::clone(&group);
        world.spawn_victim(move |_| count(&shared, 0));
        let shared = Rc::clone(&group);
        world.spawn(move |_| {
            assert_eq!(shared.endings.read(OUTCOME, Some(0)), 1);
            go_on(&shared, count);
        });
        world.finish();
        assert_eq!(group.endings.read(OUTCOME, None), 2);
    });
}
