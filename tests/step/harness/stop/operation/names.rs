//! Attaching and detaching, and what gives a name to a segment and takes it away.

use ebbtide::{Segment, SegmentError, SegmentOptions};

use super::{ALONE, About, Answer, Operation, Scene, Thread, props, text};
use crate::harness::place::NAME;
use crate::harness::stage::{Stage, leak};
use crate::harness::stop::actor::Props;
use crate::harness::stop::cast::Who;

/// The survivor leaves a segment behind that has no process.
const LEFT_BEHIND: Operation = Operation {
    arrange: |cast| cast.told(Who::Survivor, "leave behind", ""),
    ..NAMES
};

const NAMES: Operation = Operation {
    about: About::Names,
    ..ALONE
};

pub const ALL: &[Operation] = &[
    Operation {
        name: "attach",
        scene: |stage| attaching(stage, SegmentOptions::open),
        ..ALONE
    },
    Operation {
        name: "detach",
        scene: detaching,
        ..ALONE
    },
    Operation {
        // The keeper takes its place in the segment.
        name: "attach, keeper",
        thread: Thread::Born,
        scene: |stage| {
            // A process starts another thread before its very first attachment.
            drop(stage.options.open(NAME).expect("it is there"));
            attaching(stage, SegmentOptions::open)
        },
        ..ALONE
    },
    Operation {
        name: "detach, keeper",
        thread: Thread::Named("ebbtide-keeper"),
        scene: detaching,
        ..ALONE
    },
    Operation {
        name: "create",
        scene: |stage| attaching(stage, SegmentOptions::create),
        ..NAMES
    },
    Operation {
        name: "open or create",
        scene: |stage| attaching(stage, SegmentOptions::open_or_create),
        ..LEFT_BEHIND
    },
    Operation {
        name: "open or create, leftovers",
        scene: |stage| attaching(stage, SegmentOptions::open_or_create),
        arrange: |cast| cast.told(Who::Survivor, "leave marked", ""),
        ..NAMES
    },
    Operation {
        name: "remove",
        scene: |stage| removing(stage, false),
        ..LEFT_BEHIND
    },
    Operation {
        name: "remove, forced",
        scene: |stage| removing(stage, true),
        ..LEFT_BEHIND
    },
];

fn attaching(
    stage: &Stage,
    attach: fn(&SegmentOptions, &str) -> Result<Segment, SegmentError>,
) -> Scene {
    let options = stage.options.clone();
    Scene::new(Props::default(), move || {
        let opened = attach(&options, NAME);
        let said = text(&opened);
        match opened {
            Ok(segment) => Answer::new(said, props(leak(segment), None)),
            Err(_) => Answer::new(said, Props::default()),
        }
    })
}

fn detaching(stage: &Stage) -> Scene {
    let segment = stage.options.open(NAME).expect("it is there");
    Scene::new(Props::default(), move || {
        drop(segment);
        Answer::new("ok", Props::default())
    })
}

fn removing(stage: &Stage, is_forced: bool) -> Scene {
    let options = stage.options.clone();
    Scene::new(Props::default(), move || {
        let removed = options.remove(NAME, is_forced);
        Answer::new(text(&removed), Props::default())
    })
}
