//! Attaching and detaching, and what gives a name to a segment and takes it away.

use super::{ALONE, About, Answer, Operation, Scene, Thread, props, text};
use crate::harness::place::NAME;
use crate::harness::stage::leak;
use crate::harness::stop::actor::Props;
use crate::harness::stop::cast::Who;

const NAMES: Operation = Operation {
    about: About::Names,
    ..ALONE
};

pub const ALL: &[Operation] = &[
    Operation {
        name: "attach",
        scene: |stage| {
            let options = stage.options.clone();
            Scene::new(Props::default(), move || attached(options.open(NAME)))
        },
        ..ALONE
    },
    Operation {
        name: "detach",
        scene: |stage| {
            let segment = stage.options.open(NAME).expect("it is there");
            Scene::new(Props::default(), move || {
                drop(segment);
                Answer::new("ok", Props::default())
            })
        },
        ..ALONE
    },
    Operation {
        // The keeper takes its place in the segment.
        name: "attach, keeper",
        thread: Thread::Born,
        scene: |stage| {
            let options = stage.options.clone();
            // A process starts another thread before its very first attachment.
            drop(options.open(NAME).expect("it is there"));
            Scene::new(Props::default(), move || attached(options.open(NAME)))
        },
        ..ALONE
    },
    Operation {
        name: "detach, keeper",
        thread: Thread::Named("ebbtide-keeper"),
        scene: |stage| {
            let segment = stage.options.open(NAME).expect("it is there");
            Scene::new(Props::default(), move || {
                drop(segment);
                Answer::new("ok", Props::default())
            })
        },
        ..ALONE
    },
    Operation {
        name: "create",
        scene: |stage| {
            let options = stage.options.clone();
            Scene::new(Props::default(), move || attached(options.create(NAME)))
        },
        ..NAMES
    },
    Operation {
        name: "open or create",
        scene: |stage| {
            let options = stage.options.clone();
            Scene::new(Props::default(), move || {
                attached(options.open_or_create(NAME))
            })
        },
        arrange: |cast| cast.told(Who::Survivor, "leave behind", ""),
        ..NAMES
    },
    Operation {
        name: "open or create, leftovers",
        scene: |stage| {
            let options = stage.options.clone();
            Scene::new(Props::default(), move || {
                attached(options.open_or_create(NAME))
            })
        },
        arrange: |cast| cast.told(Who::Survivor, "leave marked", ""),
        ..NAMES
    },
    Operation {
        name: "remove",
        scene: |stage| {
            let options = stage.options.clone();
            Scene::new(Props::default(), move || {
                Answer::new(text(&options.remove(NAME, false)), Props::default())
            })
        },
        arrange: |cast| cast.told(Who::Survivor, "leave behind", ""),
        ..NAMES
    },
    Operation {
        name: "remove, forced",
        scene: |stage| {
            let options = stage.options.clone();
            Scene::new(Props::default(), move || {
                Answer::new(text(&options.remove(NAME, true)), Props::default())
            })
        },
        arrange: |cast| cast.told(Who::Survivor, "leave behind", ""),
        ..NAMES
    },
];

fn attached(opened: Result<ebbtide::Segment, ebbtide::SegmentError>) -> Answer {
    let said = text(&opened);
    match opened {
        Ok(segment) => Answer::new(said, props(leak(segment), None)),
        Err(_) => Answer::new(said, Props::default()),
    }
}
