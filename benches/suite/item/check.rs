//! What one look at the shutdown costs a busy runner.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use ebbtide::{Runner, ShutdownCoordinator};

use crate::Fallible;
use crate::outcome::{Item, Role, Target};
use crate::peer::raw_sync::RawEvent;
use crate::plan::Plan;
use crate::timing::{Batch, batches};
use crate::troop::{Mapped, options, page_path, scratch};

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let scratch = scratch()?;
    let segment = options(scratch.path()).create("check")?;
    let runner = Runner::join(&segment, "runner")?;
    let coordinator = ShutdownCoordinator::new(&segment);
    let handle = coordinator.runner("runner")?;
    let page = Mapped::create(&page_path(scratch.path()))?;
    let event = RawEvent::make(&page.raw_event.0)?;
    let signal = scratch.path().join("signal");
    let word = AtomicU64::new(0);

    let mut cases = Vec::new();
    for pinned in plan.pinnings() {
        crate::pin(pinned)?;
        let contenders = vec![
            Batch::new("acquire load", Role::Limit, || {
                black_box(&word).load(Ordering::Acquire) & 7 != 0
            }),
            Batch::new("Runner::is_shutting_down", Role::Ours, || {
                black_box(&runner).is_shutting_down()
            }),
            Batch::new("check_shutdown_signal", Role::Aside, || {
                black_box(&coordinator).check_shutdown_signal(black_box(handle))
            }),
            Batch::new("raw_sync event", Role::Peer, || black_box(&event).is_set()),
            Batch::new("stat of a signal file", Role::Peer, || {
                black_box(&signal).exists()
            }),
        ];
        let case = batches(plan, "no shutdown is on", contenders)?;
        let target = Target::of_limit(2.5).and_ahead();
        cases.push(case.pinned(pinned).target(Some(target)));
    }
    Ok(Item {
        name: "check",
        title: "Check of the shutdown flag",
        about: "One look, nothing being on. The limit is one acquire load of a word in the \
                cache; ours loads three words (the group's, the runner's own, whether it has left).",
        cases,
        missing: Vec::new(),
    })
}
