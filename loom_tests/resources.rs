//! Resources: waiting for dependents whose owner dies, registering against closing,
//! reclaiming by several, and late steps against the next registration.

use core::sync::atomic::Ordering;
use std::cell::Cell;
use std::rc::Rc;

use loom::sync::Mutex;
use loom::sync::atomic::AtomicU64;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, World};
use crate::sync::{Env, Owner, Pulse};
use crate::table::resources::{About, Claimant, Fate, Key, Moved, Resources, State};

type Table = Rc<Resources<Loom, 2>>;

/// The kind of a system resource; the models ask only whether there is one.
const SYSTEM: [u64; 4] = [1, 0, 0, 0];

fn claim(table: &Table, process: usize) -> Key {
    let key = table.claim(process, process, |_, _| false).unwrap();
    table.describe(key, About::default(), [0; 4], "");
    key
}

fn register(table: &Table, process: usize, on: Option<Key>) -> Key {
    let key = claim(table, process);
    if let Some(on) = on {
        assert!(table.add_dependency(key, on));
    }
    assert_eq!(table.publish(key, 1), Moved::Done);
    key
}

/// Closes what is one's own, after all that depend on it.
fn close(table: &Table, key: Key, env: &impl Env<Loom>) {
    let done = |moved| assert_eq!(moved, Moved::Done);
    done(table.move_to(key, &[State::Active], State::Draining, 1));
    assert!(table.wait_dependents(key, env));
    done(table.move_to(key, &[State::Draining], State::Closing, 1));
    done(table.move_to(key, &[State::Closing], State::Closed, 1));
}

fn state(table: &Table, key: Key) -> State {
    table.find(key).unwrap().state().unwrap()
}

/// The owner of a dependent is killed anywhere in its closing; the other goes on.
fn hand_over(world: &Rc<World>, wait: impl Fn(&Table, Key, &World) + 'static) {
    let table = Table::default();
    let queue = register(&table, 1, None);
    let feed = register(&table, 0, Some(queue));
    let shared = Rc::clone(&table);
    world.spawn_victim(move |actor| close(&shared, feed, actor.env()));
    let shared = Rc::clone(&table);
    world.spawn(move |actor| wait(&shared, queue, actor.env()));
    world.finish_in_time();
    assert_eq!(state(&table, queue), State::Closed);
    let ended = state(&table, feed);
    assert!(
        matches!(ended, State::Closed | State::Orphaned),
        "{ended:?}"
    );
}

#[test]
fn a_dead_dependent_holds_nothing_up() {
    kill_sweep(
        Model::new("resource, owner of a dependent killed").bound(1),
        |_, world| hand_over(world, close),
    );
    kill_sweep(
        Model::new("resource, owner of a dependent killed, portable")
            .bound(1)
            .portable(),
        |_, world| hand_over(world, close),
    );
}

/// Sees no death.
struct Blind<'a>(&'a World);

impl Env<Loom> for Blind<'_> {
    fn now(&self) -> u64 {
        self.0.now()
    }
    fn process_pulse(&self, _process: usize) -> Pulse<'_, Loom> {
        Pulse::Alive(None)
    }
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Loom> {
        self.0.thread_pulse(owner)
    }
}

#[test]
fn a_wait_that_sees_no_death_is_caught() {
    must_fail("resource wait without a look at the owner", || {
        kill_sweep(Model::new("resource, blind").bound(1), |_, world| {
            hand_over(world, |table, queue, env| close(table, queue, &Blind(env)));
        });
    });
}

/// One registers what depends on a queue while another closes the queue: the registration
/// is refused, or the queue waits for its end. `looks_first` is the broken order.
fn register_against_close(world: &Rc<World>, looks_first: bool) {
    let table = Table::default();
    let queue = register(&table, 1, None);
    // Outside the model: what each has decided.
    let (admitted, ended, closing) = <(Rc<Cell<bool>>, Rc<Cell<bool>>, Rc<Cell<bool>>)>::default();
    let (shared, flags) = (
        Rc::clone(&table),
        (admitted.clone(), ended.clone(), closing.clone()),
    );
    world.spawn(move |actor| {
        let (admitted, ended, closing) = flags;
        let is_active = || state(&shared, queue) == State::Active;
        let before = is_active();
        let feed = register(&shared, 0, Some(queue));
        let is_admitted = if looks_first { before } else { is_active() };
        if !is_admitted {
            let _ = shared.move_to(feed, &[State::Active], State::Free, 1);
            return;
        }
        admitted.set(true);
        assert!(!closing.get(), "admitted while it is closed");
        ended.set(true);
        close(&shared, feed, actor.env());
    });
    let shared = Rc::clone(&table);
    world.spawn(move |actor| {
        let done = |moved| assert_eq!(moved, Moved::Done);
        done(shared.move_to(queue, &[State::Active], State::Draining, 1));
        assert!(shared.wait_dependents(queue, actor.env()));
        closing.set(true);
        assert!(
            !admitted.get() || ended.get(),
            "closed before its dependent"
        );
    });
}

#[test]
fn a_registration_is_refused_or_awaited() {
    Model::new("resource, register against close, deaf")
        .bound(2)
        .deaf()
        .check(|world| {
            register_against_close(world, false);
            world.finish_in_time();
        });
    Model::new("resource, register against close")
        .bound(2)
        .check(|world| {
            register_against_close(world, false);
            world.finish();
        });
    must_fail("resource, closes without a fence", || {
        Model::new("resource, no fence")
            .bound(2)
            .deaf()
            .check(register_against_a_close_without_a_fence);
    });
    must_fail("resource, looks before it publishes", || {
        Model::new("resource, looks first").bound(3).check(|world| {
            register_against_close(world, true);
            world.finish();
        });
    });
}

/// The same, by one that goes to Closing at once, where there is no fence.
fn register_against_a_close_without_a_fence(world: &Rc<World>) {
    let table = Table::default();
    let queue = register(&table, 1, None);
    let admitted = Rc::new(Cell::new(false));
    let (shared, told) = (Rc::clone(&table), Rc::clone(&admitted));
    world.spawn(move |_| {
        register(&shared, 0, Some(queue));
        told.set(state(&shared, queue) == State::Active);
    });
    let closed = Rc::new(Cell::new(false));
    let told = Rc::clone(&closed);
    world.spawn(move |actor| {
        let moved = table.move_to(queue, &[State::Active], State::Closing, 1);
        assert_eq!(moved, Moved::Done);
        told.set(table.blocker(queue, actor.env()).is_none());
    });
    world.finish();
    assert!(!admitted.get() || !closed.get(), "neither sees the other");
}

/// Two make their resources depend on each other at once, and each looks whether its edge
/// closes a circle: not both edges stand, for whoever looks at any time. `looks_first` is the
/// broken order.
fn close_a_circle(world: &Rc<World>, looks_first: bool) {
    let table = Table::default();
    let keys = [0, 1].map(|process| register(&table, process, None));
    for (own, other) in [(keys[0], keys[1]), (keys[1], keys[0])] {
        let table = Rc::clone(&table);
        world.spawn(move |_| {
            let closes = || table.dependencies(other.index).any(|on| on == own);
            let before = closes();
            assert!(table.try_dependency(own, other));
            let is_refused = if looks_first { before } else { closes() };
            table.end_try(own, other, !is_refused);
        });
    }
    let shared = Rc::clone(&table);
    world.spawn(move |_| assert!(!stand(&shared), "both stand, for one who looks on"));
    world.finish();
    assert!(!stand(&table), "both stand");
}

/// Whether the first edges of both stand.
fn stand(table: &Table) -> bool {
    [0, 1].iter().all(|index| table.has_standing(*index))
}

#[test]
fn of_two_edges_that_close_a_circle_at_once_not_both_stand() {
    Model::new("resource, two edges of a circle, deaf")
        .bound(2)
        .deaf()
        .check(|world| close_a_circle(world, false));
    must_fail("resource, looks before it tries", || {
        Model::new("resource, edge, looks first")
            .bound(2)
            .check(|world| close_a_circle(world, true));
    });
}

/// A record whose owner, a process that is no thread of the model, is gone and swept.
fn orphan(world: &World) -> Table {
    const GONE: usize = 3;
    let table = Table::default();
    let key = table.claim(GONE, 0, |_, _| false).unwrap();
    table.describe(key, About::default(), SYSTEM, "/a");
    assert_eq!(table.publish(key, 1), Moved::Done);
    table.sweep(GONE, || true, world);
    assert_eq!(state(&table, key), State::Orphaned);
    table
}

/// The file that is to be removed, outside the model.
#[derive(Default)]
struct File {
    removals: Cell<u32>,
    takers: Cell<u32>,
}

impl File {
    /// Takes it away; a second removal finds nothing.
    fn take(&self) -> Fate {
        self.takers.set(self.takers.get() + 1);
        if self.removals.get() == 0 {
            self.removals.set(1);
            Fate::Reclaimed
        } else {
            Fate::Absent
        }
    }
}

fn reap(table: &Table, file: &File, actor: &Actor) {
    let me = Claimant::new(usize::from(actor.me().slot), 1);
    let is_gone = |other: Claimant| matches!(actor.env().process_pulse(other.process), Pulse::Dead);
    if let Some(key) = table.claim_reclaim(0, me, is_gone) {
        assert!(table.identity(key, "/a").is_some(), "what was registered");
        let fate = file.take();
        assert!(table.finish_reclaim(key, me, fate));
    }
}

/// No claim: whoever sees it pending takes it.
fn reap_unclaimed(table: &Table, file: &File, _: &Actor) {
    if table.is_to_reclaim(0) {
        file.take();
    }
}

fn two_reapers(world: &Rc<World>, reap: fn(&Table, &File, &Actor)) {
    let (table, file) = (orphan(world), Rc::new(File::default()));
    for _ in 0..2 {
        let (table, file) = (Rc::clone(&table), Rc::clone(&file));
        world.spawn(move |actor| reap(&table, &file, actor));
    }
    world.finish();
    assert_eq!(file.takers.get(), 1, "taken by two");
}

#[test]
fn of_two_reapers_exactly_one_takes_it() {
    Model::new("reclaim, 2 reapers").check(|world| two_reapers(world, reap));
    must_fail("reclaim without a claim", || {
        Model::new("reclaim, unclaimed").check(|world| two_reapers(world, reap_unclaimed));
    });
}

#[test]
fn what_a_killed_reaper_leaves_is_taken_by_the_next() {
    kill_sweep(Model::new("reclaim, reaper killed").bound(2), |_, world| {
        let (table, file) = (orphan(world), Rc::new(File::default()));
        let (shared, taken) = (Rc::clone(&table), Rc::clone(&file));
        world.spawn_victim(move |actor| reap(&shared, &taken, actor));
        let (shared, taken) = (Rc::clone(&table), Rc::clone(&file));
        world.spawn(move |actor| reap(&shared, &taken, actor));
        world.finish_in_time();
        let (shared, taken) = (Rc::clone(&table), Rc::clone(&file));
        world.spawn(move |actor| reap(&shared, &taken, actor));
        world.finish_in_time();
        assert_eq!(file.removals.get(), 1);
        assert!(table.fate(table.key(0)).is_some(), "never taken");
    });
}

/// One thread makes its resource depend on the queue while another of its process closes it,
/// and the record is registered again: the edge is not the next registration's.
fn depend_against_close(world: &Rc<World>, is_locked: bool) {
    let table = Table::default();
    let queue = register(&table, 1, None);
    let feed = register(&table, 0, None);
    let lock = Rc::new(Mutex::new(()));
    let (shared, held) = (Rc::clone(&table), Rc::clone(&lock));
    world.spawn(move |_| {
        let _guard = is_locked.then(|| held.lock().unwrap());
        let word = shared.find(feed);
        if word.is_some_and(|word| word.state() == Ok(State::Active)) {
            let _ = shared.try_dependency(feed, queue);
            shared.end_try(feed, queue, true);
        }
    });
    let shared = Rc::clone(&table);
    world.spawn(move |_| {
        let guard = is_locked.then(|| lock.lock().unwrap());
        let moved = shared.move_to(feed, &[State::Active], State::Closed, 1);
        assert_eq!(moved, Moved::Done);
        drop(guard);
        let next = register(&shared, 2, None);
        assert_eq!(next.index, feed.index);
    });
    world.finish();
    let edges = table.dependencies(feed.index).count();
    assert_eq!(edges, 0, "the next registration has an edge of the last");
}

#[test]
fn an_edge_is_of_the_registration_that_was_meant() {
    Model::new("resource, edge against the next registration")
        .check(|world| depend_against_close(world, true));
    must_fail("edge without the lock", || {
        Model::new("resource, edge, unlocked").check(|world| depend_against_close(world, false));
    });
}

/// A sweeper is late: another one has swept the same process, whose slot has a new holder
/// with a resource of its own. `asks` whether the slot is still the dead one's.
fn sweep_late(world: &Rc<World>, asks: bool) {
    const GONE: usize = 3;
    let table = Table::default();
    for _ in 0..2 {
        let key = table.claim(GONE, 0, |_, _| false).unwrap();
        table.describe(key, About::default(), [0; 4], "");
        assert_eq!(table.publish(key, 1), Moved::Done);
    }
    // The process slot's word.
    let holder = Rc::new(AtomicU64::new(1));
    let (shared, slot) = (Rc::clone(&table), Rc::clone(&holder));
    world.spawn(move |actor| {
        let is_same = || !asks || slot.load(Ordering::Acquire) == 1;
        shared.sweep(GONE, is_same, actor.env());
    });
    let shared = Rc::clone(&table);
    world.spawn(move |actor| {
        shared.sweep(GONE, || true, actor.env());
        holder.store(2, Ordering::Release);
        let next = shared.claim(GONE, 0, |_, _| false).unwrap();
        shared.describe(next, About::default(), SYSTEM, "/b");
        assert_eq!(shared.publish(next, 1), Moved::Done);
    });
    world.finish();
    let next = table.key(0);
    assert_eq!(state(&table, next), State::Active, "the living is swept");
    assert!(!table.is_to_reclaim(0), "its file is taken away");
}

#[test]
fn a_late_sweep_is_nothing_to_the_next_holder_of_the_process_slot() {
    Model::new("resource, late sweep")
        .bound(3)
        .check(|world| sweep_late(world, true));
    must_fail("sweeps any holder of the process slot", || {
        Model::new("resource, late sweep, unasked")
            .bound(3)
            .check(|world| sweep_late(world, false));
    });
}
