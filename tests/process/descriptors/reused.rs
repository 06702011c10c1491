//! The numbers of the library's descriptors become those of files of the program: nothing is
//! concluded from them, and nothing is done to them.

use super::{spawn, victim};
use crate::support::{both_with, until_true};
use ebbtide::{CrossProcessLock, LockError};

#[test]
fn a_file_of_the_program_is_never_locked_written_or_closed() {
    both_with(here!(), &[("victim", victim)], |place| {
        let segment = place.create();
        let mut other = place.runner(&segment, "other");
        other.tell("lock others 30000");
        other.event("lock");
        for reuse in ["close and open", "put over"] {
            let mut victim = spawn(place, &segment, place.liveness);
            assert_eq!(victim.ask(reuse), "1");
            // What it finds through its own files is void: it sweeps nobody.
            assert_eq!(victim.ask("reap"), "0");
            assert_eq!(victim.ask("files"), "ok");
            until_true("it has its lock again", || victim.ask("numbers") == "1");
            assert_eq!(victim.ask("reap"), "0");
            assert_eq!(victim.ask("lock"), "ok");
            assert_eq!(victim.ask("again"), "ok");
            assert_eq!(victim.ask("files"), "ok");
            let lock = CrossProcessLock::open(&segment, "others").unwrap();
            assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
            assert_eq!(victim.ask("unlock"), "Some(false)");
            // Its end closes none of them either.
            victim.quit_with("ok");
        }
        other.quit();
    });
}
