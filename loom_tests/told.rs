//! Signaling and work in progress (`table/acknowledge.rs`), and the instant since which a
//! shutdown is Immediate (`table/deadlines.rs`).

use std::cell::Cell;
use std::rc::Rc;

use loom::sync::atomic::AtomicU64;

use super::memory::Loom;
use super::model::{Model, must_fail};
use super::shutdown::{FIRST, LONG, group};
use super::world::World;
use crate::limits::IMMEDIATE_PHASE_MICROS;
use crate::phase::{Mode, Phase};
use crate::sync::{Env, Owner, Pulse};
use crate::table::control::Ask;
use crate::table::group::Group;
use crate::table::inflight::{Begun, Look};
use crate::table::scope::Scope;
use core::sync::atomic::Ordering::AcqRel;

type Shared = Group<Loom, 2>;

/// All live; the time is the model's.
struct Timed(Cell<u64>);

impl Env<Loom> for Timed {
    fn now(&self) -> u64 {
        self.0.get()
    }
    fn process_pulse(&self, _process: usize) -> Pulse<'_, Loom> {
        Pulse::Alive(None)
    }
    fn thread_pulse(&self, _owner: Owner) -> Pulse<'_, Loom> {
        Pulse::Alive(None)
    }
}

const OPEN: Look = Look {
    refuses: false,
    epochs: (0, 0),
};

const ASK: Ask = Ask {
    budget_millis: 1000,
    ..LONG
};

/// Signaling's share is over while an item of the first runner is in progress; that one
/// finishes it and says that it knows. So many others would force the phase.
fn busy(world: &Rc<World>, forcers: usize, force: fn(&Shared, &Timed)) {
    let shared: Rc<Shared> = group(world, 1);
    let env = Rc::new(Timed(Cell::new(1)));
    assert_eq!(
        shared.runners[0].gate.begin_as(FIRST, || OPEN),
        Begun::Counted
    );
    let _ = shared.scope.initiate(ASK, || env.now()).unwrap();
    env.0.set(150_000);
    for _ in 0..forcers {
        let (shared, env) = (Rc::clone(&shared), Rc::clone(&env));
        world.spawn(move |_| force(&shared, &env));
    }
    let (runner, of_it) = (Rc::clone(&shared), Rc::clone(&env));
    world.spawn(move |_| {
        let was_forced = runner.scope.control().phase() == Ok(Phase::Draining);
        runner.runners[0].gate.end_as(FIRST);
        let said = runner.acknowledge(0, FIRST, 0, Phase::Signaling, &*of_it);
        let missed = runner.ack(0).missed(FIRST, 0).is_some();
        assert!(!(was_forced && missed), "forced on a busy one: {said:?}");
    });
    world.finish();
    assert_eq!(shared.scope.control().phase(), Ok(Phase::Draining));
    let member = shared.member(0);
    assert_eq!(shared.acked(0, member, 0), Phase::Signaling);
}

fn force(shared: &Shared, env: &Timed) {
    let _ = shared.advance(env).unwrap();
}

/// The must-fail variant: the phase is forced, whatever its runner is doing.
fn force_without_excuse(shared: &Shared, env: &Timed) {
    let control = shared.scope.control();
    if control.phase() == Ok(Phase::Signaling) {
        let _ = shared.scope.publish(control, Phase::Draining, env.now());
    }
}

#[test]
fn a_busy_runner_misses_no_signaling() {
    Model::new("told, one that forces Signaling")
        .bound(2)
        .deaf()
        .check(|world| busy(world, 1, force));
    Model::new("told, two that force Signaling")
        .bound(1)
        .deaf()
        .check(|world| busy(world, 2, force));
}

#[test]
fn without_the_excuse_a_busy_runner_misses_signaling() {
    must_fail("told, forced on a busy one", || {
        Model::new("told, forced on a busy one")
            .bound(3)
            .deaf()
            .check(|world| busy(world, 1, force_without_excuse));
    });
}

/// A clock that moves with every reading, and is never behind what was seen of others.
struct Clock(AtomicU64);

impl Clock {
    fn now(&self) -> u64 {
        self.0.fetch_add(1, AcqRel)
    }
}

/// One escalates and is killed after that; two compute the deadline.
fn escalated(world: &Rc<World>, deadline: fn(&Scope<Loom>, &Clock) -> Option<u64>) {
    let scope = Rc::new(Scope::<Loom>::default());
    let clock = Rc::new(Clock(AtomicU64::new(10)));
    let _ = scope.initiate(LONG, || clock.now()).unwrap();
    let since = Rc::new(Cell::new(u64::MAX));
    let seen = Rc::new(Cell::new(None));
    {
        let (scope, clock, since) = (Rc::clone(&scope), Rc::clone(&clock), Rc::clone(&since));
        world.spawn(move |_| {
            since.set(clock.now());
            let _ = scope.escalate_in(0, Mode::Immediate).unwrap();
        });
    }
    for _ in 0..2 {
        let (scope, clock) = (Rc::clone(&scope), Rc::clone(&clock));
        let (since, seen) = (Rc::clone(&since), Rc::clone(&seen));
        world.spawn(move |_| {
            let Some(until) = deadline(&scope, &clock) else {
                return;
            };
            assert!(until - IMMEDIATE_PHASE_MICROS > since.get(), "too early");
            let first = seen.get().unwrap_or(until);
            seen.set(Some(first));
            assert_eq!(first, until, "one for all");
        });
    }
    world.finish();
}

/// The deadline, if the mode is Immediate.
fn shipped(scope: &Scope<Loom>, clock: &Clock) -> Option<u64> {
    let control = scope.control();
    let now = clock.now();
    let is_it = control.mode() == Mode::Immediate;
    is_it.then(|| scope.deadlines(control, now).phase)
}

/// The must-fail variant: the clock is read before the word.
fn clock_first(scope: &Scope<Loom>, clock: &Clock) -> Option<u64> {
    let now = clock.now();
    let control = scope.control();
    let is_it = control.mode() == Mode::Immediate;
    is_it.then(|| scope.deadlines(control, now).phase)
}

/// The must-fail variant: each counts from when it came.
fn each_its_own(scope: &Scope<Loom>, clock: &Clock) -> Option<u64> {
    let control = scope.control();
    let is_it = control.mode() == Mode::Immediate;
    is_it.then(|| clock.now() + IMMEDIATE_PHASE_MICROS)
}

#[test]
fn all_compute_one_deadline_in_immediate() {
    Model::new("told, escalated to Immediate")
        .bound(3)
        .deaf()
        .check(|world| escalated(world, shipped));
}

#[test]
fn a_deadline_of_its_own_or_of_an_older_clock_is_caught() {
    for (name, variant) in [
        ("told, the clock first", clock_first as fn(&_, &_) -> _),
        ("told, each its own", each_its_own),
    ] {
        must_fail(name, || {
            Model::new(name)
                .bound(3)
                .deaf()
                .check(move |world| escalated(world, variant));
        });
    }
}
