//! A segment is private to one user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use crate::support::{self, Agent, Child, NOBODY, Place, answer, both_with, once, reply};
use ebbtide::{Phase, SegmentError};
use nix::unistd::geteuid;

/// Everything that one user may try on the segment of another.
fn intruder(child: &Child) {
    support::become_nobody();
    let options = &child.options;
    reply(&answer(options.open(Place::NAME).map(drop)));
    reply(&answer(options.observe(Place::NAME).map(drop)));
    reply(&answer(options.open_or_create(Place::NAME).map(drop)));
    reply(&answer(options.create("another").map(drop)));
    reply(&answer(options.remove(Place::NAME, true)));
    reply(&answer(options.list()));
}

#[test]
fn another_user_can_neither_open_nor_look_nor_remove() {
    both_with(here!(), &[("intruder", intruder)], |place| {
        if !geteuid().is_root() {
            return support::untested(
                place.test(),
                "only root can start a process of another user",
            );
        }
        let segment = place.create();
        let mut runner = place.runner(&segment, "a");
        // First as it is, then with every permission but the ownership.
        for open in [false, true] {
            if open {
                fs::set_permissions(place.directory(), Permissions::from_mode(0o755)).unwrap();
                let above = place.directory().parent().unwrap().to_path_buf();
                fs::set_permissions(above, Permissions::from_mode(0o755)).unwrap();
            }
            let mut intruder = Agent::spawn(place, "intruder", None);
            for what in [
                "open",
                "observe",
                "open_or_create",
                "create",
                "remove",
                "list",
            ] {
                let told = intruder.reply(what);
                assert!(
                    told.starts_with("err Directory") || told.starts_with("err Permission"),
                    "{what}: {told}"
                );
            }
            assert!(intruder.ended().success());
            assert_eq!(runner.ask("check"), "false false");
        }
        assert_eq!(place.status().phase, Phase::Running);
    });
}

#[test]
fn a_file_of_another_user_is_refused_and_kept() {
    once(here!(), |place| {
        if !geteuid().is_root() {
            return support::untested(place.test(), "only root can give a file away");
        }
        drop(place.create());
        chown(place.file(), Some(NOBODY), Some(NOBODY)).unwrap();
        let errors = [
            place.options.open(Place::NAME).unwrap_err(),
            place.options.observe(Place::NAME).unwrap_err(),
            place.options.open_or_create(Place::NAME).unwrap_err(),
            place.options.remove(Place::NAME, true).unwrap_err(),
        ];
        for error in errors {
            assert_is!(
                error,
                SegmentError::ForeignOwner {
                    owner: NOBODY,
                    expected: 0,
                    ..
                }
            );
        }
        assert!(place.file().exists());
        chown(place.file(), Some(0), Some(0)).unwrap();
        drop(place.options.open(Place::NAME).unwrap());
    });
}

#[test]
fn each_user_has_a_group_of_their_own_under_the_same_name() {
    both_with(
        here!(),
        &[("other", |child| {
            support::become_nobody();
            let segment = child.options.create(Place::NAME).unwrap();
            let runner = ebbtide::Runner::join(&segment, "theirs").unwrap();
            let coordinator = ebbtide::ShutdownCoordinator::new(&segment);
            reply(&answer(
                coordinator.status().map(|status| status.runners.len()),
            ));
            coordinator
                .initiate_shutdown(&ebbtide::Scope::All, &ebbtide::ShutdownRequest::new())
                .unwrap();
            reply(&support::summary(&runner.run_shutdown().unwrap()));
            drop((runner, coordinator, segment));
            reply(&answer(child.options.remove(Place::NAME, false)));
        })],
        |place| {
            if !geteuid().is_root() {
                return support::untested(
                    place.test(),
                    "only root can start a process of another user",
                );
            }
            let segment = place.create();
            let mut ours = place.runner(&segment, "ours");
            let theirs = Place::new(place.test(), place.liveness);
            fs::create_dir(theirs.directory()).unwrap();
            support::give_away(&theirs);
            let mut other = Agent::spawn(&theirs, "other", None);
            assert_eq!(other.reply("status"), "1");
            assert_eq!(other.reply("run"), "Completed theirs=Completed");
            assert_eq!(other.reply("remove"), "ok");
            assert!(other.ended().success());
            assert_eq!(ours.ask("check"), "false false");
            support::take_back(&theirs);
            // A child of this test, too.
            drop(ours);
            theirs.finish();
        },
    );
}
