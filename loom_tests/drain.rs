//! The in-flight gate against the drainer: no item works after the drainer has gone on.

use std::rc::Rc;

use loom::cell::UnsafeCell;

use super::memory::Loom;
use super::model::{Model, must_fail};
use super::shutdown::{LONG, group, initiate};
use super::world::{NEVER, World};
use crate::phase::Phase;
use crate::sync::Mem;
use crate::table::group::Group;
use crate::table::inflight::{Gate, Look};

type Shared = Group<Loom, 1>;
type Begin = fn(&Shared, &Gate<Loom>) -> bool;

fn look(group: &Shared) -> Look {
    let control = group.scope.control();
    Look {
        refuses: control.refuses_work(),
        epochs: (control.epoch(), 0),
    }
}

fn begin(group: &Shared, gate: &Gate<Loom>) -> bool {
    gate.begin(|| look(group))
}

/// The twin: looks at the phase, counts itself in, and never minds the gate.
fn begin_without_gate(group: &Shared, gate: &Gate<Loom>) -> bool {
    let unchanged = Look {
        refuses: false,
        epochs: (0, 0),
    };
    !look(group).refuses && gate.begin(|| unchanged)
}

fn drain(gate: &Gate<Loom>) {
    loop {
        let count = gate.close();
        if count == 0 {
            return;
        }
        Loom::wait(gate.cell(), count, NEVER);
    }
}

/// A worker takes two items while the phase moves to Draining and the drainer waits
/// for zero. The resource is used by the worker only inside items, and by the drainer
/// only after it: loom reports any race.
fn work_against_drain(world: &Rc<World>, begin: Begin) {
    let group = group::<1>(world, 1);
    let _ = initiate(&group, world, LONG);
    let gate = Rc::new(Gate::<Loom>::default());
    let resource = Rc::new(UnsafeCell::new(0_u32));
    let (shared, door, used) = (Rc::clone(&group), Rc::clone(&gate), Rc::clone(&resource));
    world.spawn(move |_| {
        for _ in 0..2 {
            if begin(&shared, &door) {
                used.with(|_| ());
                door.end();
            }
        }
    });
    world.spawn(move |_| {
        let control = group.scope.control();
        group.scope.publish(control, Phase::Draining, 1);
        drain(&gate);
        resource.with_mut(|_| ());
    });
    world.finish();
}

#[test]
fn nothing_is_in_flight_after_draining() {
    Model::new("in-flight gate against drain")
        .bound(3)
        .check(|world| work_against_drain(world, begin));
}

#[test]
fn a_gate_that_is_not_looked_at_is_caught() {
    must_fail("begin looks at the phase only", || {
        Model::new("gate ignored").check(|world| work_against_drain(world, begin_without_gate));
    });
}

/// A cancelled shutdown left the gate closed: work is let in again, and the next
/// shutdown drains it.
#[test]
fn a_gate_left_closed_by_a_cancelled_shutdown_lets_work_in() {
    Model::new("gate left closed, begin against drain")
        .bound(2)
        .check(|world| {
            let group = group::<1>(world, 1);
            let _ = initiate(&group, world, LONG);
            let gate = Rc::new(Gate::<Loom>::default());
            assert_eq!(gate.close(), 0);
            let _ = group.scope.cancel().unwrap();
            assert!(begin(&group, &gate), "refused although nothing is on");
            gate.end();
            let resource = Rc::new(UnsafeCell::new(0_u32));
            let (shared, door, used) = (Rc::clone(&group), Rc::clone(&gate), Rc::clone(&resource));
            world.spawn(move |_| {
                if begin(&shared, &door) {
                    used.with(|_| ());
                    door.end();
                }
            });
            world.spawn(move |initiator| {
                let _ = initiate(&group, initiator.env(), LONG);
                let control = group.scope.control();
                group.scope.publish(control, Phase::Draining, 1);
                drain(&gate);
                resource.with_mut(|_| ());
            });
            world.finish();
        });
}

/// Workers of one runner count themselves in and out; the last wakes the drainer.
#[test]
fn the_last_item_wakes_the_drainer() {
    Model::new("last item wakes the drainer")
        .bound(2)
        .check(|world| {
            let gate = Rc::new(Gate::<Loom>::default());
            let open = Look {
                refuses: false,
                epochs: (0, 0),
            };
            for _ in 0..2 {
                assert!(gate.begin(|| open));
                let gate = Rc::clone(&gate);
                world.spawn(move |_| gate.end());
            }
            world.spawn(move |_| drain(&gate));
            world.finish();
        });
}
