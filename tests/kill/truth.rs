//! What a result is made of: told failures, counted endings, and who shortened a budget.

use super::operation::{ASK, Scene};
use crate::phase::Phase;
use crate::sync::Env;
use crate::table::control::Ask;
use crate::table::failures::{Failing, FailureKind, FailureSource};
use crate::table::join::Claim;

/// Half of the budget is enough.
pub(super) fn shorten(scene: &Scene) {
    let ask = Ask {
        budget_millis: ASK.budget_millis / 2,
        ..ASK
    };
    let scope = &scene.tables().group.scope;
    let _ = scope.initiate_by(ask, 1, || scene.core.now()).unwrap();
}

/// A handler of the victim failed.
pub(super) fn tell(scene: &Scene) {
    let Some(Claim { slot, generation }) = scene.claim else {
        return;
    };
    let failing = Failing {
        source: FailureSource::Handler,
        kind: FailureKind::Failed,
        phase: Phase::Signaling,
        name: "handler",
        cause: "the victim's cause",
        resource: None,
    };
    let (tables, now) = (scene.tables(), scene.core.now());
    let group = &tables.group;
    let epochs = (group.scope.control().epoch(), 0);
    let is_gone = |(slot, holder): (usize, u64)| group.member(slot).generation() != holder;
    let by = (slot, generation);
    assert!(tables.failures.tell(by, epochs, now, &failing, is_gone));
}

/// The shutdown of all is over, and is counted.
pub(super) fn count(scene: &mut Scene) {
    scene.leave();
    scene.initiate();
    let tables = scene.tables();
    let control = tables.group.scope.control();
    let is_on = || tables.group.scope.control() == control;
    tables.tallies.endings.count(0, control.epoch(), is_on);
}
