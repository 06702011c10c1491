//! Looks at everybody, now and then, by whoever waits anyway: a death that holds nothing up
//! is told near its time all the same.

use std::ops::Range;

use crate::api::core::Core;
use crate::limits::WAIT_BOUND_MICROS;
use crate::sync::Env;
use crate::table::Corrupt;

/// Slots that a runner looks at each time: all of a small group; of a large one as many as
/// share the looks, as all its runners wait.
const SHARE: usize = 64;

/// When a waiter has looked last, and where it goes on.
#[derive(Debug)]
pub(super) struct Glances {
    last: u64,
    next: usize,
    share: usize,
}

impl Glances {
    /// Of one who waits for the others. Whoever begins a shutdown looks at all, so the first
    /// look is due a bound later.
    pub(super) fn new(core: &Core) -> Self {
        Self {
            last: core.now(),
            next: 0,
            share: usize::MAX,
        }
    }

    /// Of a runner, beginning at its own slot.
    pub(super) fn of_runner(core: &Core, slot: usize) -> Self {
        Self {
            next: slot,
            share: SHARE,
            ..Self::new(core)
        }
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
        let used = group.used();
        let (first, second) = self.turn(used);
        group.count_out_dead(first.chain(second), core)
    }

    /// The slots to look at now, of so many.
    fn turn(&mut self, used: usize) -> (Range<usize>, Range<usize>) {
        let from = if self.next < used { self.next } else { 0 };
        let end = from.saturating_add(self.share.min(used));
        let over = end.saturating_sub(used);
        self.next = if over > 0 { over } else { end };
        (from..end.min(used), 0..over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_and_miss_nobody() {
        for (share, used) in [(64, 0), (64, 5), (64, 64), (64, 100), (usize::MAX, 1000)] {
            for next in [0, 3, 99, 2000] {
                let mut glances = Glances {
                    last: 0,
                    next,
                    share,
                };
                let mut seen = vec![0; used];
                for _ in 0..used.div_ceil(share) {
                    let (first, second) = glances.turn(used);
                    let slots: Vec<_> = first.chain(second).collect();
                    assert!(slots.len() <= share.min(used));
                    slots.into_iter().for_each(|slot| seen[slot] += 1);
                }
                assert!(seen.iter().all(|times| *times > 0), "{share} {used} {next}");
            }
        }
    }
}
