//! Without life words a process has its lock, and its pid, to show that it lives. It
//! checks its descriptor each second, and then detects whether it was swept meanwhile.

use super::{spawn, victim};
use crate::support::{HANG, once_with, until, until_stopped, until_true};
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

/// Stopped, so that it can do nothing about it. Its process and its keeper exist, so it is
/// alive to all (but to other pid namespaces: `tests/environment/lost.rs`).
#[test]
fn who_can_do_nothing_about_its_lost_lock_is_alive_while_it_exists() {
    once_with(here!(), &[("victim", victim)], |place| {
        let segment = place.create();
        let mut victim = spawn(place, &segment, Liveness::Portable);
        assert_eq!(victim.ask("close and stop"), "ok");
        until_stopped(victim.pid());
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        for _ in 0..3 {
            assert_eq!(segment.reap().unwrap(), 0);
            assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
            let status = place.status();
            let seen = status.runners.iter().find(|one| one.id == "victim");
            assert!(seen.is_some_and(|one| one.alive && !one.dead), "{status:?}");
        }
        let found = segment.check().unwrap();
        assert_eq!(found.findings.len(), 1, "{found:?}");
        assert_eq!(found.findings[0].what, "lives, and has lost its lock");
        victim.go_on();
        until("it has it again", || {
            let journal = place.observe().journal();
            let regained = JournalEvent::LockLost { regained: true };
            journal.into_iter().find(|record| record.event == regained)
        });
        assert_eq!(victim.ask("unlock"), "Some(false)");
        assert_eq!(victim.ask("begin"), "ok");
        // Its end is seen all the same.
        assert_eq!(victim.ask("close and stop"), "ok");
        victim.kill();
        until_true("it is swept", || segment.reap().unwrap() == 1);
        drop(lock.lock_timeout(HANG).unwrap());
    });
}
