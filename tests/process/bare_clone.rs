//! A child made without fork handlers, as by `_Fork` or a bare `clone`, keeps the descriptor
//! that has its parent's lock. The parent is dead all the same when it dies.

use std::time::Duration;

use crate::support::{self, Agent, Child, HANG, Shutdown, both_with, reply, until_true};
use ebbtide::{CrossProcessLock, Runner, ShutdownCoordinator};
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// A budget that no test lives to see the end of: what completes did so without it.
const FOREVER: Duration = Duration::from_secs(3600);

/// The child, which comes to us when its parent dies.
struct Orphan(Pid);

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

#[test]
fn a_dead_parent_is_gone_although_its_child_keeps_its_lock() {
    both_with(here!(), &[("parent", parent)], |place| {
        prctl::set_child_subreaper(true).unwrap();
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut well = place.runner(&segment, "well");
        let mut parent = Agent::spawn(place, "parent", Some(&segment));
        let orphan = Orphan(Pid::from_raw(parent.ask("clone").parse().unwrap()));
        // As long as the parent lives, it lives.
        assert_eq!(segment.reap().unwrap(), 0);
        well.tell("run");
        coordinator.begin(FOREVER);
        place.until_blocked_by(ebbtide::Phase::Signaling, "parent");
        parent.kill();
        assert_eq!(well.event("run"), "Died parent=Died well=Completed");
        let summary = support::summary(&coordinator.complete());
        assert_eq!(summary, "Died parent=Died well=Completed");
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert!(lock.lock_timeout(HANG).unwrap().previous_owner_died());
        drop(lock);
        coordinator.wait_gone(1, HANG).unwrap();
        until_true("it is swept", || {
            segment.reap().unwrap();
            place.observe().check().unwrap().is_sound()
        });
        well.quit();
        assert_eq!(place.status().attached, 1);
        // Its slot can be had again when the child has ended; others can be had now.
        assert_eq!(coordinator.begin_generation().unwrap(), 2);
        let next = place.runner(&segment, "next");
        drop(orphan);
        let after = place.runner(&segment, "after");
        assert_eq!(place.status().attached, 3);
        next.quit();
        after.quit();
        drop(coordinator);
    });
}

/// Nobody has waited for it yet: its exit status is all that is left of it.
#[test]
fn a_dead_parent_that_nobody_waits_for_is_gone_too() {
    both_with(here!(), &[("parent", parent)], |place| {
        prctl::set_child_subreaper(true).unwrap();
        let segment = place.create();
        let mut parent = Agent::spawn(place, "parent", Some(&segment));
        let _orphan = Orphan(Pid::from_raw(parent.ask("clone").parse().unwrap()));
        parent.shoot();
        until_true("it is swept", || segment.reap().unwrap() == 1);
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert!(lock.lock_timeout(HANG).unwrap().previous_owner_died());
        assert_eq!(segment.reap().unwrap(), 0);
    });
}

fn parent(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "parent").unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let _guard = lock.lock().unwrap();
    assert_eq!(child.order(), "clone");
    // SAFETY: with no flags but the signal of its end this is a fork without handlers; the
    // child calls nothing but system calls that touch no memory.
    let cloned = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if cloned == 0 {
        // It ends by itself if nobody ends it.
        // SAFETY: takes a number.
        unsafe { libc::alarm(2 * HANG.as_secs() as u32) };
        loop {
            // SAFETY: takes nothing.
            unsafe { libc::pause() };
        }
    }
    assert!(cloned > 0);
    reply(&cloned.to_string());
    loop {
        child.order();
        assert!(runner.begin().is_ok());
    }
}
