//! A runner that knows of a shutdown has done Signaling, unless it has handlers for it.
//!
//! Work that is in progress when a shutdown begins is finished before `run_shutdown` is
//! called, and must not be charged to Signaling. So the first call that reports the shutdown
//! acknowledges that phase, in each scope that is shutting down. A runner with a Signaling
//! handler acknowledges it when `run_shutdown` has run that: this is what the handler is for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::core::Core;
use crate::api::handlers::Signaled;
use crate::api::runner::Runner;
use crate::phase::Phase;
use crate::sync::Env;
use crate::table::control::Control;

/// The shutdowns that a runner has acknowledged so: of the group, and its own.
#[derive(Debug, Default)]
pub(super) struct Noticed([AtomicU64; 2]);

impl Noticed {
    /// Whether these are the shutdowns noticed before; they are from now on.
    fn is_known(&self, controls: [Control; 2]) -> bool {
        let mut is_known = true;
        for (noticed, control) in self.0.iter().zip(controls) {
            let now = if is_on(control) {
                control.epoch() << 1 | 1
            } else {
                0
            };
            // Of two threads that come at once both may go on: an acknowledgement counts once.
            if noticed.load(Ordering::Relaxed) != now {
                noticed.store(now, Ordering::Relaxed);
                is_known = false;
            }
        }
        is_known
    }
}

fn is_on(control: Control) -> bool {
    control.is_shutting_down() && control.phase() != Ok(Phase::Complete)
}

/// Records that the holder of a slot knows of the shutdowns of these words, and
/// acknowledges Signaling for it, if it has no handler for that.
pub(super) fn acknowledge_told(
    core: &Core,
    signaled: &Signaled,
    (slot, generation): (usize, u64),
    (group, own): (Control, Control),
) {
    let tables = core.tables();
    let Some(record) = tables.group.runners.get(slot) else {
        return;
    };
    let scopes = [
        (group, &record.group_times, &tables.group.scope),
        (own, &record.own_times, &record.own),
    ];
    if !tables.group.member(slot).is_live(generation) {
        return;
    }
    for (control, times, scope) in scopes {
        if is_on(control) {
            times.observe(scope, control.epoch(), core.now());
        }
    }
    if signaled.has((slot, generation)) {
        return;
    }
    // The next call reports a corrupt table.
    if is_on(group) {
        let epoch = group.epoch();
        let _ = tables
            .group
            .acknowledge(slot, generation, epoch, Phase::Signaling, core);
    }
    if is_on(own) {
        let epoch = own.epoch();
        let _ = tables
            .group
            .acknowledge_own(slot, generation, epoch, Phase::Signaling, core);
    }
}

impl Runner {
    /// A call is about to report the shutdowns of these words. The first one acknowledges.
    /// `is_busy`: the caller may have work in progress.
    #[cold]
    pub(super) fn notice(&self, group: Control, own: Control, is_busy: bool) {
        if self.check().is_err() || self.noticed.is_known([group, own]) {
            return;
        }
        let signaled = self.session().handlers.signaled();
        acknowledge_told(self.core(), signaled, self.key(), (group, own));
        if is_busy {
            // The keeper looks at the others meanwhile, as after an acknowledgement by hand.
            self.session().watch(self.key().0);
        }
    }
}
