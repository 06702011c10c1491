//! Segments and their names.

use std::fs;

use ebbtide::SegmentError;

use super::{Deed, number};
use crate::harness::place::NAME;
use crate::harness::stage::leak;
use crate::harness::stop::actor::Actor;

pub const ALL: &[(&str, Deed)] = &[
    ("create", |actor, _| {
        let created = actor.stage.options.create(NAME).expect("there is none");
        actor.attached(leak(created));
        String::new()
    }),
    ("attach", |actor, _| {
        let opened = actor.stage.options.open(NAME).expect("it is there");
        actor.attached(leak(opened));
        String::new()
    }),
    ("open or create", |actor, _| {
        match actor.stage.options.open_or_create(NAME) {
            Ok(opened) => {
                actor.attached(leak(opened));
                actor.observer = actor.stage.options.observe(NAME).ok();
                "attached".into()
            }
            Err(error) => held_up(&error),
        }
    }),
    ("pass by", |actor, _| {
        // One that attaches and detaches in order.
        drop(actor.stage.options.open_or_create(NAME));
        String::new()
    }),
    ("leave behind", |actor, _| {
        // A segment without a user.
        drop(actor.stage.options.create(NAME).expect("there is none"));
        String::new()
    }),
    ("leave marked", |actor, _| {
        // As one that was killed in the middle of a removal leaves it.
        let made = actor.stage.options.create(NAME).expect("there is none");
        let path = made.path().to_path_buf();
        let beside = path.with_extension("kept");
        drop(made);
        fs::hard_link(&path, &beside).expect("a second name");
        let removed = actor.stage.options.remove(NAME, false);
        removed.expect("nobody is attached");
        fs::rename(&beside, &path).expect("the first name again");
        String::new()
    }),
    ("replace", replace),
    ("is attached", |actor, _| {
        if actor.is_attached() { "yes" } else { "no" }.into()
    }),
];

/// Removes the segment by force and makes a new one of the same name, `times` times.
fn replace(actor: &mut Actor, times: &str) -> String {
    let options = actor.stage.options.clone();
    for nth in 0..number(times) {
        match options.remove(NAME, true) {
            Ok(()) | Err(SegmentError::NotFound { .. }) => {}
            Err(error) => return held_up(&error),
        }
        match options.create(NAME) {
            Ok(made) if nth + 1 == number(times) => {
                actor.attached(leak(made));
                actor.observer = options.observe(NAME).ok();
            }
            Ok(made) => drop(made),
            Err(error) => return held_up(&error),
        }
    }
    actor.runner = None;
    "replaced".into()
}

/// Another process is in the middle of a removal, or the name is taken: legal.
fn held_up(error: &SegmentError) -> String {
    match error {
        // A remover holds the bytes of all slots.
        SegmentError::Full { held_by, .. } if held_by.is_empty() => "held up".into(),
        SegmentError::InUse { .. }
        | SegmentError::Exists { .. }
        | SegmentError::NotFound { .. }
        | SegmentError::Stale { .. } => "held up".into(),
        other => panic!("{other}"),
    }
}
