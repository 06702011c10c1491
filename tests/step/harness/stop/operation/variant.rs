//! Wrong on purpose: a stale step that is taken for a fresh one, done by the harness so that
//! the sweep is seen to find it.

use std::sync::atomic::Ordering;

use super::{ALONE, About, Answer, Operation, Scene};
use crate::harness::stop::actor::Props;
use crate::harness::stop::cast::Who;

pub const ALL: &[Operation] = &[Operation {
    name: "must fail: a stale store",
    about: About::Nothing,
    scene: |stage| {
        let value = &stage.board.values[0];
        Scene::new(Props::default(), move || {
            let before = value.load(Ordering::Acquire);
            value.store(before + 1, Ordering::Release);
            Answer::new("ok", Props::default())
        })
    },
    after: |cast, _| cast.told(Who::Survivor, "counted", "2"),
    ..ALONE
}];
