//! Stamps whose tags have come round are unset by whoever sees a shutdown first, and what
//! another thread of the runner has set meanwhile stands.

use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, must_fail};
use super::shutdown::LONG;
use super::world::World;
use crate::table::scope::Scope;
use crate::table::times::Times;

/// Half of all tags away from the first epoch: passes for a newer one there.
const ROUND: u32 = 0x7fff;

/// A shutdown in epoch 0, of a runner with a time from half of all tags ago.
struct Record {
    scope: Scope<Loom>,
    times: Times<Loom>,
}

fn record() -> Rc<Record> {
    let record = Record {
        scope: Scope::default(),
        times: Times::default(),
    };
    record.times.acked[0].set_once(ROUND, 1);
    let _ = record.scope.initiate(LONG, 1).unwrap();
    Rc::new(record)
}

/// As shipped, or without looking again before unsetting.
type Observe = fn(&Record, u32);

fn shipped(record: &Record, epoch: u32) {
    record.times.observe(&record.scope, epoch, 5);
}

fn hasty(record: &Record, epoch: u32) {
    if record.times.observed.get(epoch).is_none() {
        if let Some(old) = record.times.acked[0].misleading(epoch) {
            record.times.acked[0].forget(old);
        }
        record.times.observed.set_once(epoch, 5);
    }
}

/// Two threads of a runner, each of which sees the shutdown and does its first phase.
fn two_of_one_shutdown(observe: Observe) -> impl Fn(&Rc<World>) + Send + Sync + 'static {
    move |world| {
        let record = record();
        for _ in 0..2 {
            let record = Rc::clone(&record);
            world.spawn(move |_| {
                observe(&record, 0);
                record.times.acked[0].set_once(0, 6);
                assert_eq!(record.times.acked[0].get(0), Some(6));
            });
        }
        world.finish();
        assert_eq!(record.times.acked[0].get(0), Some(6));
        assert_eq!(record.times.observed.get(0), Some(5));
    }
}

/// One that still is in the shutdown of before, which was called off, and one in the next.
fn one_of_the_shutdown_before(observe: Observe) -> impl Fn(&Rc<World>) + Send + Sync + 'static {
    move |world| {
        let record = record();
        let stopped = Rc::clone(&record);
        world.spawn(move |_| observe(&stopped, 0));
        let next = Rc::clone(&record);
        world.spawn(move |_| {
            let _ = next.scope.cancel().unwrap();
            let _ = next.scope.initiate(LONG, 2).unwrap();
            observe(&next, 1);
            next.times.acked[0].set_once(1, 6);
        });
        world.finish();
        assert_eq!(record.times.acked[0].get(1), Some(6));
        assert_eq!(record.times.observed.get(1), Some(5));
    }
}

#[test]
fn what_is_set_in_this_shutdown_stands() {
    Model::new("times, two threads of one runner")
        .bound(3)
        .check(two_of_one_shutdown(shipped));
}

#[test]
fn one_that_was_stopped_unsets_nothing_of_the_next_shutdown() {
    Model::new("times, a thread of the shutdown before")
        .bound(3)
        .check(one_of_the_shutdown_before(shipped));
}

#[test]
fn unsetting_without_another_look_is_found_out() {
    must_fail("times, hasty", || {
        Model::new("times, hasty").check(two_of_one_shutdown(hasty));
    });
    must_fail("times, hasty, of the shutdown before", || {
        Model::new("times, hasty").check(one_of_the_shutdown_before(hasty));
    });
}
