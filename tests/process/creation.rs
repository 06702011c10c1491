//! A segment appears under its name whole or not at all, to one creator of many.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::{self, Agent, Child, Place, both, both_with, die, reply};
use ebbtide::{Runner, SegmentError};

fn opener(child: &Child) {
    loop {
        let order = child.order();
        let result = match order.as_str() {
            "open_or_create" => child.options.open_or_create(Place::NAME),
            "create" => child.options.create(Place::NAME),
            _ => return,
        };
        match &result {
            Ok(segment) => reply(&segment.token().to_string()),
            Err(error) => reply(&format!("err {error:?}")),
        }
        // Attached until told.
        if child.order() == "quit" {
            return;
        }
    }
}

#[test]
fn eight_that_open_or_create_at_once_share_one_segment() {
    both_with(here!(), &[("opener", opener)], |place| {
        let mut openers: [_; 8] = std::array::from_fn(|_| Agent::spawn(place, "opener", None));
        for _ in 0..10 {
            for opener in &mut openers {
                opener.tell("open_or_create");
            }
            let mut tokens = openers
                .each_mut()
                .map(|opener| opener.reply("open_or_create"))
                .to_vec();
            tokens.dedup();
            assert_eq!(tokens.len(), 1, "{tokens:?}");
            assert!(tokens[0].starts_with("ebb1:"), "{tokens:?}");
            assert_eq!(place.options.list().unwrap(), [Place::NAME]);
            assert_eq!(place.status().attached, 8);
            for opener in &mut openers {
                opener.tell("detach");
            }
            support::until_true("nobody is attached", || place.status().attached == 0);
            place.options.remove(Place::NAME, false).unwrap();
        }
        for mut opener in openers {
            opener.tell("quit");
            assert!(opener.ended().success());
        }
    });
}

#[test]
fn of_eight_that_create_at_once_one_does() {
    both_with(here!(), &[("opener", opener)], |place| {
        let mut openers: [_; 8] = std::array::from_fn(|_| Agent::spawn(place, "opener", None));
        for _ in 0..10 {
            for opener in &mut openers {
                opener.tell("create");
            }
            let told = openers.each_mut().map(|opener| opener.reply("create"));
            assert_eq!(
                told.iter().filter(|told| told.starts_with("ebb1:")).count(),
                1,
                "{told:?}"
            );
            assert_eq!(
                told.iter()
                    .filter(|told| told.starts_with("err Exists"))
                    .count(),
                7,
                "{told:?}"
            );
            for opener in &mut openers {
                opener.tell("detach");
            }
            support::until_true("nobody is attached", || place.status().attached == 0);
            place.options.remove(Place::NAME, false).unwrap();
        }
    });
}

/// Creators are killed at whatever instruction they are; an opener never sees a part.
#[test]
fn creators_killed_at_any_time_leave_a_whole_segment_or_none() {
    fn creator(child: &Child) {
        loop {
            match child.options.create(Place::NAME) {
                Ok(segment) => {
                    drop(segment);
                    let _ = child.options.remove(Place::NAME, false);
                }
                Err(SegmentError::Exists { .. } | SegmentError::Stale { .. }) => {}
                Err(error) => {
                    reply(&format!("{error:?}"));
                    die()
                }
            }
        }
    }
    both_with(here!(), &[("creator", creator)], |place| {
        let mut seen = 0;
        for round in 0..12 {
            let mut creator = Agent::spawn(place, "creator", None);
            // It is at work; the further it got, the other instruction it is at.
            for _ in 0..=round {
                support::until_true("something is there", || {
                    match place.options.observe(Place::NAME) {
                        Ok(observer) => {
                            assert_eq!(observer.status().unwrap().generation, 1);
                            seen += 1;
                            true
                        }
                        Err(SegmentError::NotFound { .. }) => false,
                        Err(error) => panic!("{error}"),
                    }
                });
            }
            creator.kill();
            match place.options.open(Place::NAME) {
                Ok(segment) => drop(Runner::join(&segment, "a").unwrap()),
                Err(SegmentError::NotFound { .. } | SegmentError::Stale { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            // And it is in nobody's way.
            drop(place.options.open_or_create(Place::NAME).unwrap());
            place.options.remove(Place::NAME, false).unwrap();
        }
        assert!(seen >= 12);
    });
}

#[test]
fn a_segment_is_private_and_allocated_from_its_first_moment() {
    both(here!(), |place| {
        assert_is!(
            place.options.open(Place::NAME),
            Err(SegmentError::NotFound { .. })
        );
        assert_is!(
            place.options.observe(Place::NAME),
            Err(SegmentError::NotFound { .. })
        );
        assert_eq!(place.options.list().unwrap(), [""; 0]);
        assert!(!place.directory().exists(), "looking makes nothing");
        let segment = place.create();
        let file = fs::metadata(segment.path()).unwrap();
        assert_eq!(file.mode() & 0o7777, 0o600);
        assert!(
            file.blocks() * 512 >= file.len(),
            "a hole would be a crash on a full file system"
        );
        assert_eq!(
            fs::metadata(place.directory()).unwrap().mode() & 0o7777,
            0o700
        );
        assert_is!(
            place.options.create(Place::NAME),
            Err(SegmentError::Exists { .. })
        );
        assert_eq!(place.options.list().unwrap(), [Place::NAME]);
        drop(place.options.create("another").unwrap());
        assert_eq!(place.options.list().unwrap(), ["another", Place::NAME]);
    });
}

#[test]
fn nobody_removes_a_segment_that_is_used_but_by_force() {
    both(here!(), |place| {
        let segment = place.create();
        let mut holder = place.runner(&segment, "holder");
        drop(segment);
        for _ in 0..2 {
            let error = place.options.remove(Place::NAME, false).unwrap_err();
            let SegmentError::InUse { attached, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(attached.len(), 1, "{attached:?}");
            assert_eq!(attached[0].pid, holder.pid());
            assert!(attached[0].name.contains("holder") && error.to_string().contains("holder"));
        }
        // A frozen one holds it, too.
        holder.stop();
        assert_is!(
            place.options.remove(Place::NAME, false),
            Err(SegmentError::InUse { .. })
        );
        holder.go_on();
        assert_eq!(holder.ask("check"), "false false");
        // A dead one does not, and need not be reaped first.
        holder.kill();
        place.options.remove(Place::NAME, false).unwrap();

        let segment = place.create();
        let mut holder = place.runner(&segment, "holder");
        drop(segment);
        place.options.remove(Place::NAME, true).unwrap();
        assert_is!(
            place.options.open(Place::NAME),
            Err(SegmentError::NotFound { .. })
        );
        // Who was inside goes on.
        assert_eq!(holder.ask("initiate all 60000"), "Drives");
        holder.tell("run");
        assert_eq!(holder.event("run"), "Completed holder=Completed");
        holder.quit();
    });
}

#[test]
fn an_observer_holds_nothing_and_disturbs_nobody() {
    both(here!(), |place| {
        let segment = place.create();
        let before = fs::read(place.file()).unwrap();
        let observer = place.observe();
        assert_eq!(observer.name(), Place::NAME);
        for _ in 0..3 {
            let status = observer.status().unwrap();
            assert_eq!(status.attached, 1);
            assert!(observer.report().unwrap().runners.is_empty());
        }
        assert!(
            fs::read(place.file()).unwrap() == before,
            "looking changed bytes"
        );
        drop(segment);
        place.options.remove(Place::NAME, false).unwrap();
        // It still shows what it had open.
        assert_eq!(observer.status().unwrap().attached, 0);
        observer.report().unwrap();
    });
}
