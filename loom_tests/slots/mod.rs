//! Attaching, detaching and reaping, with the lock bytes as the kernel keeps them. What
//! becomes of lost descriptors, and the variants that must be caught: [`lost`].

mod lost;
mod place;

use std::rc::Rc;

use super::model::{Model, kill_sweep};
use super::world::World;
use crate::table::member::State;
use place::{Place, SLOT};

#[test]
fn a_slot_has_one_holder_at_a_time() {
    Model::new("attach and detach, 2 processes, 1 slot")
        .bound(1)
        .check(|world| {
            let place = Rc::new(Place::new(world));
            for _ in 0..2 {
                place.spawn(world, |place, actor| {
                    place.live(actor);
                });
            }
            world.finish();
            assert!(place.processes.word(SLOT).is_free());
            assert!(place.threads.word(0).is_free());
            assert_eq!(place.group.member(0).state(), Ok(State::Left));
        });
}

/// Afterwards, another process gets the whole of the slot.
fn a_survivor_lives(world: &Rc<World>, place: &Rc<Place>) {
    place.spawn(world, |place, survivor| {
        assert!(place.live(survivor), "the slot is lost");
    });
    world.finish_in_time();
}

/// A process is killed at every point between its first claim and the end of its
/// detaching; afterwards a survivor gets the whole of the slot.
#[test]
fn the_slot_of_a_process_killed_anywhere_is_reaped() {
    kill_sweep(
        Model::new("attach and detach, killed").bound(1),
        |_, world| {
            let place = Rc::new(Place::new(world));
            let shared = Rc::clone(&place);
            world.spawn_victim(move |actor| {
                shared.live(actor);
            });
            place.spawn(world, |place, reaper| {
                // Concurrently, and perhaps in the middle of it.
                place.reap(reaper);
            });
            world.finish_in_time();
            a_survivor_lives(world, &place);
        },
    );
}

/// The reaper is killed at every point of its sweep; the next one finishes it.
#[test]
fn a_sweep_left_half_done_is_done_again() {
    kill_sweep(Model::new("reaper killed").bound(1), |_, world| {
        let place = Rc::new(Place::new(world));
        place.spawn(world, |place, actor| {
            let _ = place.attach(actor);
            actor.die();
        });
        world.finish_in_time();
        let shared = Rc::clone(&place);
        world.spawn_victim(move |reaper| {
            shared.reap(reaper);
        });
        place.spawn(world, |place, reaper| {
            place.reap(reaper);
        });
        world.finish_in_time();
        a_survivor_lives(world, &place);
    });
}
