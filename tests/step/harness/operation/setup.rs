//! Set-up and tear-down, whose length is the C library's and the kernel's: killed before and
//! after every system call and before every instruction that touches the segment.

use super::lock::nothing;
use super::{ALONE, Operation};
use crate::harness::place::NAME;
use crate::harness::stage::leak;

const SETUP: Operation = Operation {
    touches: true,
    ..ALONE
};

pub const ALL: &[Operation] = &[
    Operation {
        name: "create",
        scene: |stage| {
            let options = stage.options.clone();
            Box::new(move || Box::new(options.create(NAME).expect("there is none")))
        },
        fresh: true,
        ..SETUP
    },
    Operation {
        name: "open",
        scene: |stage| {
            let options = stage.options.clone();
            Box::new(move || Box::new(options.observe(NAME).expect("it is there")))
        },
        ..SETUP
    },
    Operation {
        name: "attach",
        scene: |stage| {
            let options = stage.options.clone();
            Box::new(move || Box::new(options.open(NAME).expect("it is there")))
        },
        ..SETUP
    },
    Operation {
        name: "detach",
        scene: |stage| {
            let segment = stage.options.open(NAME).expect("it is there");
            Box::new(move || {
                drop(segment);
                nothing()
            })
        },
        ..SETUP
    },
    Operation {
        name: "remove",
        scene: |stage| {
            // It is left behind by one that detaches before the operation begins.
            drop(stage.options.create(NAME).expect("there is none"));
            let options = leak(stage.options.clone());
            Box::new(move || {
                options.remove(NAME, false).expect("nobody is attached");
                nothing()
            })
        },
        fresh: true,
        ..SETUP
    },
];
