//! A lock whose owner gives it back in a panic.

use std::cell::Cell;
use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER, World};
use crate::sync::mutex::{Mutex, Released};

/// How the owner that panics gives the lock back.
type GiveBack = fn(&Mutex<Loom>, &Actor) -> Released;

fn shipped(lock: &Mutex<Loom>, actor: &Actor) -> Released {
    lock.unlock_in_panic(actor.me())
}

/// As if nothing had happened.
fn silent(lock: &Mutex<Loom>, actor: &Actor) -> Released {
    lock.unlock(actor.me())
}

/// Frees the lock, and marks it afterwards.
fn too_late(lock: &Mutex<Loom>, actor: &Actor) -> Released {
    let released = lock.unlock(actor.me());
    if let Ok(acquired) = lock.try_lock(actor.me(), actor.env()) {
        let _ = (acquired, lock.unlock_in_panic(actor.me()));
    }
    released
}

/// One panics half-way; two others take the lock, and the first that finds it so repairs.
fn half_done(world: &Rc<World>, give_back: GiveBack, is_swept: bool) {
    let lock = Rc::new(Mutex::<Loom>::default());
    // Outside the model: what the lock protects.
    let is_half_done = Rc::new(Cell::new(false));
    let (shared, half_done) = (Rc::clone(&lock), Rc::clone(&is_half_done));
    let panics = move |actor: &Actor| {
        let acquired = shared.lock(actor.me(), actor.env(), NEVER).unwrap();
        assert!(!acquired.previous_owner_died && !acquired.previous_owner_panicked);
        half_done.set(true);
        assert_eq!(give_back(&shared, actor), Released::Freed);
    };
    match is_swept {
        true => world.spawn_victim(panics),
        false => world.spawn(panics),
    }
    for _ in 0..2 {
        let (shared, half_done) = (Rc::clone(&lock), Rc::clone(&is_half_done));
        world.spawn(move |actor| {
            let acquired = shared.lock(actor.me(), actor.env(), NEVER).unwrap();
            let is_told = acquired.previous_owner_died || acquired.previous_owner_panicked;
            assert!(is_told || !half_done.get(), "left half-done, not told");
            assert!(is_swept || !acquired.previous_owner_died);
            if is_told {
                half_done.set(false);
                shared.mark_consistent(actor.me());
            }
            assert_eq!(shared.unlock(actor.me()), Released::Freed);
        });
    }
    match is_swept {
        true => world.finish_in_time(),
        false => world.finish(),
    }
    // One that is killed last keeps it, as nobody asks for it any more.
    assert!(is_swept || lock.owner().is_none());
}

#[test]
fn the_next_owner_is_notified_of_a_panic() {
    Model::new("mutex, panic")
        .bound(2)
        .check(|world| half_done(world, shipped, false));
    kill_sweep(
        Model::new("mutex, killed in a panic").bound(1),
        |_, world| half_done(world, shipped, true),
    );
}

#[test]
fn a_panic_that_is_not_told_is_caught() {
    for (name, give_back) in [
        ("mutex, silent panic", silent as GiveBack),
        ("mutex, panic marked late", too_late),
    ] {
        must_fail(name, || {
            Model::new(name)
                .bound(2)
                .check(move |world| half_done(world, give_back, false));
        });
    }
}
