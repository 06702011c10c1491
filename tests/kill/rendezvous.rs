//! Events, semaphores and barriers: what victims die in, and what must hold after.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Attached;
use super::memory::Faulty;
use super::operation::Scene;
use super::survivor::{FIRST_LOCK, SECONDS};
use crate::api::seat::Seat;
use crate::sync::Env;
use crate::sync::event::Waited;
use crate::table::barrier::Passed;
use crate::table::barrier_wait::Polled;
use crate::table::event_log::{After, Resets};

/// The victim's set: a kind, and a payload of that byte.
const KIND: u64 = 7;
const PAYLOAD: [u8; 100] = [KIND as u8; 100];
const PERMITS: u32 = 2;
const PARTIES: u64 = 2;

pub(super) fn set(core: &Attached, seat: &Seat<'_, Faulty>) {
    let (log, until) = (&core.tables().events[0], core.now() + 30 * SECONDS);
    log.fix(Resets::ByItself).unwrap();
    log.set(KIND, &PAYLOAD, seat.owner, core.as_ref(), until)
        .unwrap();
    assert_eq!(
        log.event.wait(log.goal().unwrap(), core.as_ref(), until),
        Waited::Set
    );
}

pub(super) fn take_permit(core: &Attached, seat: &Seat<'_, Faulty>) {
    let (semaphore, until) = (&core.tables().semaphores[0], core.now() + 30 * SECONDS);
    semaphore.fix(PERMITS).unwrap();
    let mine = [(); PERMITS as usize].map(|()| {
        let taken = semaphore.acquire(seat.owner, core.as_ref(), until).unwrap();
        taken.expect("nobody else wants one")
    });
    for permit in mine {
        semaphore.release(permit, seat.owner);
    }
}

/// Arrives alone: breaks it by its deadline, and makes it whole again.
pub(super) fn arrive(core: &Attached, seat: &Seat<'_, Faulty>) {
    let barrier = &core.tables().barriers[0];
    barrier.fix(PARTIES).unwrap();
    let until = core.now() + SECONDS / 100;
    let passed = barrier.wait(seat.owner, core.process(), core.as_ref(), until);
    assert_eq!(passed.unwrap(), Passed::TimedOut { arrived: 1 });
    barrier.reset(core.process()).unwrap();
}

/// Arrives as a task does, looks once, and goes away again.
pub(super) fn withdraw(core: &Attached, seat: &Seat<'_, Faulty>) {
    let (barrier, process) = (&core.tables().barriers[0], core.process());
    barrier.fix(PARTIES).unwrap();
    let env = core.as_ref();
    let entered = barrier.enter(seat.owner, process, env, true).unwrap();
    let stay = entered.expect("nobody else comes");
    let polled = barrier.poll(&stay, seat.owner, process, env, u64::MAX, |_, _| ());
    assert_eq!(polled.unwrap(), Polled::Asleep);
    assert!(barrier.withdraw(stay));
    assert_eq!((barrier.broken(), barrier.arrived()), (Ok(None), 0));
}

/// Waits for a condition as a task does: two that note it, one notification for both.
pub(super) fn wait_as_a_task(core: &Attached, seat: &Seat<'_, Faulty>) {
    let (tables, env) = (core.tables(), core.as_ref());
    let (lock, condvar) = (&tables.locks[FIRST_LOCK], &tables.condvars[0]);
    let noted = [(); 2].map(|()| {
        let until = env.now() + 30 * SECONDS;
        let _ = lock.lock(seat.owner, env, until).unwrap();
        let noted = condvar.note_shared();
        let _ = lock.unlock(seat.owner);
        noted
    });
    condvar.notify_one();
    assert!(noted.iter().all(|noted| condvar.is_notified(*noted)));
}

/// The survivor can set, take every permit and meet somebody, whatever was killed where.
pub(super) fn check(scene: &Scene, seat: &Seat<'_, Faulty>) {
    event(scene, seat);
    semaphore(scene, seat);
    barrier(scene, seat);
    condvar(scene, seat);
}

/// Whoever noted what and died: one who waits is notified.
fn condvar(scene: &Scene, seat: &Seat<'_, Faulty>) {
    let (core, tables) = (&scene.core, scene.tables());
    let (lock, condvar) = (&tables.locks[FIRST_LOCK], &tables.condvars[0]);
    let (env, until) = (core.as_ref(), core.now() + 30 * SECONDS);
    let is_told = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ = lock.lock(seat.owner, env, until).unwrap();
        scope.spawn(|| {
            let seat = Seat::take(core).unwrap();
            let _ = lock.lock(seat.owner, env, until).unwrap();
            is_told.store(true, Ordering::Relaxed);
            let _ = lock.unlock(seat.owner);
            condvar.notify_one();
        });
        while !is_told.load(Ordering::Relaxed) {
            let awake = condvar.wait(lock, seat.owner, env, until, &()).unwrap();
            assert!(!awake.timed_out);
        }
        let _ = lock.unlock(seat.owner);
    });
}

fn event(scene: &Scene, seat: &Seat<'_, Faulty>) {
    let (core, log) = (scene.core.as_ref(), &scene.tables().events[0]);
    let until = core.now() + 30 * SECONDS;
    let before = log.event.sequence();
    assert!(before <= 1, "the victim sets it once");
    if let Some((number, said)) = log.latest().unwrap() {
        assert_eq!(number, 1);
        assert_eq!((said.kind, &said.payload[..]), (KIND, &PAYLOAD[..]), "torn");
    }
    let number = log.set(1, b"alive", seat.owner, core, until).unwrap();
    assert_eq!(number, before + 1, "numbers have no gap");
    let After::Said(number, said) = log.after(before).unwrap() else {
        panic!("a new set is there for its readers")
    };
    assert_eq!((number, &said.payload[..]), (before + 1, &b"alive"[..]));
    let goal = log.goal().unwrap();
    assert_eq!(log.event.wait(goal, core, until), Waited::Set);
}

fn semaphore(scene: &Scene, seat: &Seat<'_, Faulty>) {
    let (core, semaphore) = (scene.core.as_ref(), &scene.tables().semaphores[0]);
    let until = core.now() + 30 * SECONDS;
    assert_eq!(semaphore.fix(PERMITS), Ok(PERMITS));
    let mine = [(); PERMITS as usize].map(|()| {
        let taken = semaphore.acquire(seat.owner, core, until).unwrap();
        taken.expect("the dead hold no permit")
    });
    assert_eq!(semaphore.try_acquire(seat.owner, core), Ok(None));
    for permit in mine {
        semaphore.release(permit, seat.owner);
    }
    assert_eq!(semaphore.available(core), PERMITS as usize);
}

fn barrier(scene: &Scene, seat: &Seat<'_, Faulty>) {
    let (core, barrier) = (scene.core.as_ref(), &scene.tables().barriers[0]);
    let until = core.now() + 30 * SECONDS;
    assert_eq!(barrier.fix(PARTIES), Ok(PARTIES));
    // A dead party that waits is noticed, or was swept; then it is made whole.
    if let Passed::Through { .. } = wait_for(scene, seat, core.now() + SECONDS / 100) {
        panic!("nobody else waits")
    }
    barrier.reset(core.process()).unwrap();
    assert_eq!((barrier.broken(), barrier.arrived()), (Ok(None), 0));
    let core = &scene.core;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let seat = Seat::take(core).unwrap();
            wait_for(scene, &seat, until)
        });
        let here = wait_for(scene, seat, until);
        let there = other.join().unwrap();
        let leads = |passed| match passed {
            Passed::Through { leads } => leads,
            other => panic!("{other:?}"),
        };
        assert_ne!(leads(here), leads(there), "exactly one leads");
    });
}

fn wait_for(scene: &Scene, seat: &Seat<'_, Faulty>, until: u64) -> Passed {
    let core = scene.core.as_ref();
    let barrier = &scene.tables().barriers[0];
    barrier
        .wait(seat.owner, core.process(), core, until)
        .unwrap()
}
