//! The suite checks itself: what the harness promises is true.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::{Place, both, once};
use ebbtide::Runner;
use nix::sys::signal::kill;
use nix::unistd::Pid;

#[test]
fn children_do_not_outlive_their_handles() {
    both(here!(), |place| {
        let segment = place.create();
        let stopped = place.runner(&segment, "stopped");
        stopped.stop();
        let pids = [stopped.pid(), place.agent(&segment).pid()];
        drop(stopped);
        for pid in pids {
            assert!(
                kill(Pid::from_raw(pid as i32), None).is_err(),
                "{pid} is still there"
            );
        }
    });
}

/// A whole life of a group: everything that was made is gone after it.
#[test]
fn a_finished_test_leaves_no_file_and_no_process() {
    once(here!(), |outer| {
        let place = Place::new(outer.test(), outer.liveness);
        let directory = place.directory();
        let segment = place.create();
        let mut killed = place.runner(&segment, "killed");
        let polite = place.runner(&segment, "polite");
        killed.kill();
        polite.quit();
        drop((segment, killed));
        place.finish();
        assert!(!directory.exists());
        assert!(!directory.parent().unwrap().exists());
    });
}

#[test]
fn what_is_left_behind_is_noticed() {
    once(here!(), |outer| {
        // Somebody is still attached.
        let place = Place::new(outer.test(), outer.liveness);
        let segment = place.create();
        let _runner = Runner::join(&segment, "forgotten").unwrap();
        assert!(quietly(|| place.finish()).is_err());
        // A file that is no segment.
        let place = Place::new(outer.test(), outer.liveness);
        drop(place.create());
        std::fs::write(place.directory().join(".tmp-left"), "").unwrap();
        assert!(quietly(|| place.finish()).is_err());
        // A child that runs.
        let place = Place::new(outer.test(), outer.liveness);
        let segment = place.create();
        let agent = place.agent(&segment);
        drop(segment);
        assert!(quietly(|| place.finish()).is_err());
        drop(agent);
    });
}

fn quietly(body: impl FnOnce()) -> std::thread::Result<()> {
    catch_unwind(AssertUnwindSafe(body))
}
