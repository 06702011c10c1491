//! Models of life words (`sync/life.rs`): SYNC POINT life-mark.

use std::rc::Rc;

use loom::cell::Cell;

use super::memory::{Loom, U32};
use super::model::{Model, kill_sweep, must_fail};
use super::world::{Actor, NEVER};
use crate::sync::life;
use crate::sync::mem::{ALL, Mem, Word};
use core::sync::atomic::Ordering;

/// Sleeps, without any bound, until the thread in slot 0 is dead or has let its word
/// go. `arm` and `pass_on` are what the twins spoil.
fn await_end(actor: &Actor, arm: impl Fn(&U32) -> Option<u32>, pass_on: bool) {
    let word = actor.env().life(0);
    while word.load(Ordering::Acquire) & life::TID != 0 {
        let Some(value) = arm(word) else { continue };
        Loom::wait(Loom::cell(word), value, NEVER);
        if pass_on && life::is_marked::<Loom>(word) {
            Loom::wake(Loom::cell(word), ALL);
        }
    }
}

/// The victim works and dies at some step; both watchers learn it without any time.
fn watched_death(model: Model, arm: fn(&U32) -> Option<u32>, pass_on: bool) {
    kill_sweep(model, move |_, world| {
        let (work, written) = (Rc::new(U32::default()), Rc::new(Cell::new(0)));
        let (scratch, writer) = (Rc::clone(&work), Rc::clone(&written));
        world.spawn_victim(move |actor| {
            scratch.store(1, Ordering::Relaxed);
            writer.set(1);
            scratch.store(2, Ordering::Relaxed);
            actor.detach();
        });
        for reader in [Some(written), None] {
            world.spawn(move |actor| {
                await_end(actor, arm, pass_on);
                // Who knows of the end sees all that was written before it.
                if let Some(written) = reader {
                    written.get();
                }
            });
        }
        world.finish();
    });
}

#[test]
fn death_wakes_every_watcher() {
    watched_death(
        Model::new("life, victim, 2 watchers").bound(1),
        life::arm::<Loom>,
        true,
    );
}

#[test]
fn watcher_never_flags_a_word_that_was_let_go() {
    Model::new("life, detach against arm").check(|world| {
        world.spawn(|actor| {
            actor.detach();
            assert_eq!(actor.env().life(0).load(Ordering::Acquire), 0);
        });
        world.spawn(move |actor| await_end(actor, life::arm::<Loom>, true));
        world.finish();
    });
}

#[test]
fn watcher_that_keeps_the_wake_to_itself_is_caught() {
    must_fail("life, death not passed on", || {
        watched_death(Model::new("twin").bound(2), life::arm::<Loom>, false)
    });
}

#[test]
fn watcher_that_does_not_flag_the_word_is_caught() {
    fn lazy(word: &U32) -> Option<u32> {
        let value = word.load(Ordering::Acquire);
        (value & life::TID != 0 && value & life::OWNER_DIED == 0).then_some(value)
    }
    must_fail("life, WAITERS not set", || {
        watched_death(Model::new("twin").bound(2), lazy, true)
    });
}

#[test]
fn watcher_that_flags_by_fetch_or_is_caught() {
    fn blunt(word: &U32) -> Option<u32> {
        let value = word.fetch_or(life::WAITERS, Ordering::AcqRel) | life::WAITERS;
        (value & life::OWNER_DIED == 0).then_some(value)
    }
    must_fail("life, flagged by fetch_or", || {
        watched_death(Model::new("twin").bound(2), blunt, true)
    });
}
