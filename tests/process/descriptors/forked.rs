//! A fork of a process whose descriptors were lost: the child closes nothing that is not the
//! library's, and keeps no lock.

use super::{Own, spawn, victim};
use crate::support::{HANG, both_with, until_true};
use ebbtide::{CrossProcessLock, Segment, SegmentError};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm};

#[test]
fn a_child_forked_after_the_loss_closes_no_file_of_the_program() {
    both_with(here!(), &[("victim", victim)], |place| {
        let segment = place.create();
        let mut victim = spawn(place, &segment, place.liveness);
        assert_eq!(victim.ask("put over"), "1");
        assert_eq!(victim.ask("fork"), "ok");
        assert_eq!(victim.ask("files"), "ok");
        // It finds out for itself; who has no life words does so each second.
        assert_eq!(victim.ask("reap"), "0");
        until_true("it has its lock again", || victim.ask("numbers") == "1");
        // And one after it has its lock again.
        assert_eq!(victim.ask("fork"), "ok");
        assert_eq!(victim.ask("reap"), "0");
        victim.kill();
        until_true("it is swept", || segment.reap().unwrap() == 1);
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        assert!(lock.lock_timeout(HANG).unwrap().previous_owner_died());
    });
}

/// Forks a child that checks its files and at its handle, and ends.
pub(super) fn fork(segment: &Segment, own: Option<&mut Own>) -> String {
    // SAFETY: the child goes on in this one thread only, and allocates, which glibc
    // allows after a fork of a process with threads.
    match unsafe { nix::unistd::fork() }.unwrap() {
        ForkResult::Child => {
            alarm::set(2 * HANG.as_secs() as u32);
            let has_files = own.is_some_and(|own| own.check() == "ok");
            let is_told = matches!(segment.reap(), Err(SegmentError::ForkedHandle));
            let has_none = super::lock_numbers().is_empty();
            std::process::exit(i32::from(!(has_files && is_told && has_none)));
        }
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, 0) => "ok".into(),
            other => format!("the forked child: {other:?}"),
        },
    }
}
