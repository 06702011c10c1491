//! The in-flight gate against the drainer: no item works after the drainer has gone on. And
//! against the slot's next holder: nothing of the old one's work counts there.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use loom::cell::UnsafeCell;
use loom::sync::{Mutex, MutexGuard};

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::shutdown::{LONG, group, initiate};
use super::world::{NEVER, World};
use crate::phase::Phase;
use crate::sync::{Mem, Word};
use crate::table::group::Group;
use crate::table::inflight::{Begun, Closed, Gate, Look};

type Shared = Group<Loom, 1>;
type Begin = fn(&Shared, &Gate<Loom>) -> bool;

/// The slot's holder, and the next one.
const HOLDER: u64 = 1;
const NEXT: u64 = 2;

const OPEN: Look = Look {
    refuses: false,
    epochs: (0, 0),
};

fn gate() -> Rc<Gate<Loom>> {
    let gate = Rc::new(Gate::default());
    gate.reset(HOLDER);
    gate
}

fn look(group: &Shared) -> Look {
    let control = group.scope.control();
    Look {
        refuses: control.refuses_work(),
        epochs: (control.epoch(), 0),
    }
}

fn begin(group: &Shared, gate: &Gate<Loom>) -> bool {
    gate.begin_as(HOLDER, || look(group)) == Begun::Counted
}

/// The must-fail variant: reads the phase, counts itself in, and ignores that the gate is
/// closed.
fn begin_without_gate(group: &Shared, gate: &Gate<Loom>) -> bool {
    !look(group).refuses && gate.begin_as(HOLDER, || OPEN) == Begun::Counted
}

fn drain(gate: &Gate<Loom>, holder: u64) {
    drain_by(gate, || gate.close(holder));
}

fn drain_by(gate: &Gate<Loom>, close: impl Fn() -> Option<Closed>) {
    loop {
        let closed = close().expect("it is the holder");
        if closed.count == 0 {
            return;
        }
        Loom::wait(gate.cell(), closed.half, NEVER);
    }
}

/// Starts a worker that begins `items` items; returns the resource that it uses within them.
fn worker(
    world: &Rc<World>,
    (group, gate): (&Rc<Shared>, &Rc<Gate<Loom>>),
    begin: Begin,
    items: u32,
) -> Rc<UnsafeCell<u32>> {
    let resource = Rc::new(UnsafeCell::new(0_u32));
    let (group, gate, used) = (Rc::clone(group), Rc::clone(gate), Rc::clone(&resource));
    world.spawn(move |_| {
        for _ in 0..items {
            if begin(&group, &gate) {
                used.with(|_| ());
                gate.end_as(HOLDER);
            }
        }
    });
    resource
}

/// A worker takes two items while the phase moves to Draining and the drainer waits
/// for zero. The resource is used by the worker only inside items, and by the drainer
/// only after it: loom reports any race.
fn work_against_drain(world: &Rc<World>, begin: Begin) {
    let group = group::<1>(world, 1);
    let _ = initiate(&group, world, LONG);
    let gate = gate();
    let resource = worker(world, (&group, &gate), begin, 2);
    world.spawn(move |_| {
        let control = group.scope.control();
        group.scope.publish(control, Phase::Draining, 1);
        drain(&gate, HOLDER);
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
            let gate = gate();
            assert_eq!(gate.close(HOLDER).unwrap().count, 0);
            let _ = group.scope.cancel().unwrap();
            assert!(begin(&group, &gate), "refused although nothing is on");
            gate.end_as(HOLDER);
            let resource = worker(world, (&group, &gate), begin, 1);
            world.spawn(move |initiator| {
                let _ = initiate(&group, initiator.env(), LONG);
                let control = group.scope.control();
                group.scope.publish(control, Phase::Draining, 1);
                drain(&gate, HOLDER);
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
            let gate = gate();
            for _ in 0..2 {
                assert_eq!(gate.begin_as(HOLDER, || OPEN), Begun::Counted);
                let gate = Rc::clone(&gate);
                world.spawn(move |_| gate.end_as(HOLDER));
            }
            world.spawn(move |_| drain(&gate, HOLDER));
            world.finish();
        });
}

type Step = fn(&Gate<Loom>);

/// An item of the old holder, which is killed or not.
fn one_item(gate: &Gate<Loom>) {
    if gate.begin_as(HOLDER, || OPEN) == Begun::Counted {
        gate.end_as(HOLDER);
    }
}

/// The must-fail variant: an addition, which is taken back if it went to another's gate.
fn one_item_by_addition(gate: &Gate<Loom>) {
    let before = gate.word().fetch_add(1, Ordering::AcqRel);
    let holder = before >> 24 & 0xff;
    gate.end_as(holder);
}

/// A thread of the old holder goes on, and may die, while the next holder of the slot comes,
/// has an item, and drains.
fn pass_on(world: &Rc<World>, step: Step) {
    let gate = gate();
    let old = Rc::clone(&gate);
    world.spawn_victim(move |_| step(&old));
    let new = Rc::clone(&gate);
    world.spawn(move |_| {
        new.reset(NEXT);
        assert_eq!(new.begin_as(NEXT, || OPEN), Begun::Counted);
        new.end_as(NEXT);
        drain(&new, NEXT);
    });
    world.finish_in_time();
    let closed = gate.close(NEXT).expect("it is the next holder's");
    assert_eq!(closed.count, 0, "an item of the old holder is counted");
    assert!(gate.word().load(Ordering::Relaxed) >> 63 == 1, "opened");
}

#[test]
fn a_step_of_the_old_holder_is_nothing_to_the_next() {
    let name = "gate, next holder, old one killed";
    kill_sweep(Model::new(name).bound(3), |_, world| {
        pass_on(world, one_item);
    });
    must_fail("begin by an addition", || {
        kill_sweep(Model::new("gate, addition").bound(3), |_, world| {
            pass_on(world, one_item_by_addition);
        });
    });
}

/// A driver of the old holder reopens the gate late.
fn reopen_late(world: &Rc<World>, reopen: Step) {
    let gate = gate();
    let _ = gate.close(HOLDER);
    let old = Rc::clone(&gate);
    world.spawn(move |_| reopen(&old));
    let new = Rc::clone(&gate);
    world.spawn(move |_| {
        new.reset(NEXT);
        drain(&new, NEXT);
    });
    world.finish();
    let word = gate.word().load(Ordering::Relaxed);
    assert!(word >> 63 == 1, "the next holder's gate was opened");
}

#[test]
fn a_late_reopening_leaves_the_next_holders_gate_closed() {
    Model::new("gate reopened late").check(|world| {
        reopen_late(world, |gate| gate.reopen(HOLDER, || OPEN));
    });
    must_fail("reopens any holder's gate", || {
        Model::new("gate, blind reopening").check(|world| {
            reopen_late(world, |gate| {
                gate.word().fetch_and(!(1 << 63), Ordering::AcqRel);
            });
        });
    });
}

/// How a runner's threads reopen and close the gate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Reopens without reading the phase words again.
    Blind,
    /// Closes and reopens without a lock.
    Unlocked,
}

impl Flaw {
    fn lock(self, lock: &Mutex<()>) -> Option<MutexGuard<'_, ()>> {
        (self != Self::Unlocked).then(|| lock.lock().unwrap())
    }
}

/// The driver of a cancelled shutdown reopens the gate, while another thread of the runner
/// closes it for the next shutdown and drains.
fn reopen_against_close(world: &Rc<World>, flaw: Flaw) {
    let group = group::<1>(world, 1);
    let _ = initiate(&group, world, LONG);
    let gate = gate();
    let _ = gate.close(HOLDER);
    let _ = group.scope.cancel().unwrap();
    let lock = Rc::new(Mutex::new(()));
    let (shared, door, held) = (Rc::clone(&group), Rc::clone(&gate), Rc::clone(&lock));
    world.spawn(move |_| {
        let _guard = flaw.lock(&held);
        door.reopen(HOLDER, || match flaw {
            Flaw::Blind => OPEN,
            _ => look(&shared),
        });
    });
    let resource = worker(world, (&group, &gate), begin, 1);
    world.spawn(move |initiator| {
        let _ = initiate(&group, initiator.env(), LONG);
        let control = group.scope.control();
        group.scope.publish(control, Phase::Draining, 1);
        drain_by(&gate, || {
            let _guard = flaw.lock(&lock);
            gate.close(HOLDER)
        });
        resource.with_mut(|_| ());
    });
    world.finish();
}

#[test]
fn a_gate_is_not_reopened_over_the_next_shutdown() {
    Model::new("gate reopened against close")
        .bound(2)
        .check(|world| reopen_against_close(world, Flaw::None));
    for (name, flaw) in [
        ("reopens blindly", Flaw::Blind),
        ("reopens without the lock", Flaw::Unlocked),
    ] {
        must_fail(name, || {
            Model::new(name)
                .bound(3)
                .check(move |world| reopen_against_close(world, flaw));
        });
    }
}
