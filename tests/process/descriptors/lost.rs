//! A process with life words whose descriptors are closed: nobody takes it for dead, it takes
//! its lock again, and is dead when it dies.

use std::path::Path;

use super::{spawn, victim};
use crate::support::{
    Agent, HANG, Place, Shutdown, is_portable_forced, on, summary, untested, until_true,
};
use ebbtide::{
    CrossProcessLock, JournalEvent, Liveness, LockError, Segment, SegmentError, ShutdownCoordinator,
};

/// Runs where life words are: on the portable back end a lost lock means something else.
fn with_life_words(name: &'static str, body: impl Fn(&Place)) {
    if crate::support::play(&[("victim", victim)]) {
        return;
    }
    if is_portable_forced() {
        return untested(
            name,
            "the portable back end is forced, which has no life words",
        );
    }
    on(name, Liveness::Auto, &body);
}

fn lives(place: &Place, segment: &Segment) {
    let status = place.status();
    let lives = |one: &ebbtide::RunnerReport| one.id == "victim" && one.alive && !one.dead;
    assert!(status.runners.iter().any(lives), "{:?}", status.runners);
    let lock = CrossProcessLock::open(segment, "device").unwrap();
    assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
    assert_is!(
        place.options.remove(Place::NAME, false),
        Err(SegmentError::InUse { .. })
    );
}

/// What its process noted of its lock.
fn notes(place: &Place) -> Vec<bool> {
    let journal = place.observe().journal();
    let events = journal.into_iter().map(|record| record.event);
    events
        .filter_map(|event| match event {
            JournalEvent::LockLost { regained } => Some(regained),
            _ => None,
        })
        .collect()
}

/// Its byte is its own again, through a descriptor of its own.
fn until_regained(place: &Place, victim: &mut Agent, notes_before: usize) {
    until_true("it has its lock again", || {
        notes(place).get(notes_before) == Some(&true)
    });
    until_true("nothing is lost", || {
        place.observe().check().unwrap().is_sound()
    });
    assert_eq!(victim.ask("numbers"), "1");
}

fn dies(segment: &Segment, mut victim: Agent) {
    victim.kill();
    until_true("it is swept", || segment.reap().unwrap() == 1);
    assert_eq!(segment.reap().unwrap(), 0);
    let lock = CrossProcessLock::open(segment, "device").unwrap();
    assert!(lock.lock_timeout(HANG).unwrap().previous_owner_died());
}

#[test]
fn a_process_without_its_descriptors_is_not_swept_and_takes_its_lock_again() {
    with_life_words(here!(), |place| {
        let segment = place.create();
        for close in ["close", "close beside"] {
            let mut victim = spawn(place, &segment, place.liveness);
            let before = notes(place).len();
            assert_eq!(victim.ask(close), "ok");
            // Each check of ours may be the one that notifies its keeper.
            assert_eq!(segment.reap().unwrap(), 0);
            lives(place, &segment);
            assert!(segment.repair().is_ok());
            lives(place, &segment);
            until_regained(place, &mut victim, before);
            lives(place, &segment);
            // Again and again.
            assert_eq!(victim.ask(close), "ok");
            assert_eq!(segment.reap().unwrap(), 0);
            until_regained(place, &mut victim, before + 1);
            assert_eq!(victim.ask("unlock"), "Some(false)");
            assert_eq!(victim.ask("begin"), "ok");
            assert_eq!(victim.ask("again"), "ok");
            assert_eq!(victim.ask("lock"), "ok");
            victim.quit_with("ok");
            assert_eq!(segment.reap().unwrap(), 0, "it has left in order");
        }
    });
}

/// The finder is the process itself: its own queries are void.
#[test]
fn a_process_that_finds_its_own_descriptor_lost_sweeps_no_slot_and_takes_its_lock_again() {
    with_life_words(here!(), |place| {
        let segment = place.create();
        let mut other = place.runner(&segment, "other");
        other.tell("lock others 30000");
        other.event("lock");
        let mut victim = spawn(place, &segment, place.liveness);
        assert_eq!(victim.ask("close"), "ok");
        assert_eq!(victim.ask("reap"), "0");
        until_regained(place, &mut victim, 0);
        assert_eq!(victim.ask("reap"), "0");
        assert_eq!(victim.ask("check"), "true");
        lives(place, &segment);
        let lock = CrossProcessLock::open(&segment, "others").unwrap();
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        victim.quit_with("ok");
        drop(lock);
        other.quit();
    });
}

/// Stopped, so that it can do nothing about it.
#[test]
fn a_process_that_cannot_take_its_lost_lock_again_is_seen_alive() {
    with_life_words(here!(), |place| {
        let segment = place.create();
        let mut victim = spawn(place, &segment, place.liveness);
        assert_eq!(victim.ask("close and stop"), "ok");
        let mut portable = Agent::spawn_on(place, &segment, Liveness::Portable);
        assert_eq!(portable.ask("join portable"), "ok");
        for _ in 0..3 {
            assert_eq!(segment.reap().unwrap(), 0);
            lives(place, &segment);
        }
        // To processes without life words of their own, too.
        portable.tell("lock device 50");
        assert!(portable.event("lock").contains("TimedOut"));
        let found = segment.check().unwrap();
        assert_eq!(found.findings.len(), 1, "{found:?}");
        assert_eq!(found.findings[0].what, "lives, and has lost its lock");
        portable.quit();
        // A remover finds every byte free.
        drop(segment);
        match place.options.remove(Place::NAME, false) {
            Err(SegmentError::InUse { attached, .. }) => {
                assert!(attached.iter().any(|one| one.pid == victim.pid()));
            }
            other => panic!("{other:?}"),
        }
        victim.go_on();
        let segment = place.options.open(Place::NAME).unwrap();
        assert_eq!(segment.reap().unwrap(), 0);
        until_regained(place, &mut victim, 0);
        dies(&segment, victim);
    });
}

#[test]
fn a_dead_process_without_its_lock_is_swept() {
    with_life_words(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut victim = spawn(place, &segment, place.liveness);
        assert_eq!(victim.ask("close and stop"), "ok");
        dies(&segment, victim);
        // By a phase as well as by a reaper.
        let mut victim = spawn(place, &segment, place.liveness);
        assert_eq!(victim.ask("close and stop"), "ok");
        coordinator.begin(HANG);
        place.until_blocked_by(ebbtide::Phase::Signaling, "victim");
        victim.kill();
        assert_eq!(summary(&coordinator.complete()), "Died victim=Died");
    });
}

/// There is no way to open it again: it lives on by its life word, and reports that.
#[test]
fn a_process_that_cannot_take_its_lock_again_reports_that_until_it_can() {
    with_life_words(here!(), |place| {
        let segment = place.create();
        let mut victim = spawn(place, &segment, place.liveness);
        let aside = place.scratch("aside");
        rename(&place.file(), &aside);
        assert_eq!(victim.ask("close"), "ok");
        assert_eq!(segment.reap().unwrap(), 0);
        let coordinator = ShutdownCoordinator::new(&segment);
        until_true("it says so", || {
            let lockless = coordinator.status().unwrap().lockless;
            matches!(&lockless[..], [one] if one.pid == victim.pid())
        });
        assert_eq!(segment.reap().unwrap(), 0);
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        assert_eq!(victim.ask("begin"), "ok");
        // Another file has its name: not that one's byte.
        std::fs::copy(&aside, place.file()).unwrap();
        assert_eq!(segment.reap().unwrap(), 0);
        assert_eq!(victim.ask("reap"), "0");
        assert!(!coordinator.status().unwrap().lockless.is_empty());
        rename(&aside, &place.file());
        assert_eq!(segment.reap().unwrap(), 0);
        until_true("it has it again", || {
            coordinator.status().unwrap().lockless.is_empty()
        });
        assert_eq!(notes(place), [false, true]);
        drop(lock);
        victim.quit_with("ok");
    });
}

fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}
