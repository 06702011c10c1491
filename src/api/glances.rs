//! Looks at everybody, now and then, by whoever waits anyway: a death that holds nothing up
//! is told near its time all the same.

use crate::api::core::Core;
use crate::limits::WAIT_BOUND_MICROS;
use crate::sync::Env;
use crate::table::Corrupt;

/// When a waiter has looked at all last.
#[derive(Debug)]
pub(super) struct Glances {
    last: u64,
}

impl Glances {
    /// Whoever begins a shutdown looks at all, so the first one is due a bound later.
    pub(super) fn new(core: &Core) -> Self {
        Self { last: core.now() }
    }

    /// Counts the dead out, at most once in the bound of a sleep, and only during a shutdown
    /// of the group. The advances that matter do not wait for it.
    pub(super) fn take(&mut self, core: &Core) -> Result<(), Corrupt> {
        let group = &core.tables().group;
        let now = core.now();
        let is_due = now.saturating_sub(self.last) >= WAIT_BOUND_MICROS;
        if !is_due || !group.scope.control().is_shutting_down() {
            return Ok(());
        }
        self.last = now;
        group.count_out_dead(core)
    }
}
