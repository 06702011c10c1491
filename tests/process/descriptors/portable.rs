//! Without life words a process has its lock, and its pid, to show that it lives. It
//! checks its descriptor each second, and then detects whether it was swept meanwhile.

use super::{spawn, victim};
use crate::support::{HANG, once_with, until, until_true};
use ebbtide::{CrossProcessLock, JournalEvent, Liveness, LockError};

#[test]
fn a_process_that_lost_its_lock_for_a_moment_has_it_again() {
    once_with(here!(), &[("victim", victim)], |place| {
        let segment = place.create();
        let mut victim = spawn(place, &segment, Liveness::Portable);
        assert_eq!(victim.ask("close beside"), "ok");
        // Nobody asks for its byte meanwhile.
        until("it says so", || {
            let journal = place.observe().journal();
            let regained = JournalEvent::LockLost { regained: true };
            journal.into_iter().find(|record| record.event == regained)
        });
        assert_eq!(segment.reap().unwrap(), 0);
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        assert!(place.observe().check().unwrap().is_sound());
        assert_eq!(victim.ask("unlock"), "Some(false)");
        assert_eq!(victim.ask("begin"), "ok");
        drop(lock);
        victim.quit_with("ok");
    });
}

#[test]
fn a_process_swept_meanwhile_is_notified_and_does_no_harm() {
    once_with(here!(), &[("victim", victim)], |place| {
        let segment = place.create();
        let mut victim = spawn(place, &segment, Liveness::Portable);
        assert_eq!(victim.ask("close and stop"), "ok");
        until_true("it is swept", || segment.reap().unwrap() == 1);
        // Its slot and its lock are another's.
        let mut next = place.runner(&segment, "next");
        next.tell("lock device 30000");
        assert_eq!(next.event("lock"), "died=true");
        victim.go_on();
        until_true("it is notified", || {
            victim.ask("begin").contains("Detached")
        });
        assert!(victim.ask("lock").contains("Detached"));
        assert_eq!(victim.ask("unlock"), "Some(false)");
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        // It may come in again.
        assert_eq!(victim.ask("again"), "ok");
        victim.quit_with("ok");
        assert_eq!(segment.reap().unwrap(), 0);
        let status = place.status();
        let seen = status.runners.iter().find(|one| one.id == "next").unwrap();
        assert!(seen.alive, "{seen:?}");
        assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
        next.tell("unlock device");
        next.event("unlock");
        drop(lock.lock_timeout(HANG).unwrap());
        next.quit();
    });
}
