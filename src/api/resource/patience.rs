//! How long a resource that is to be closed waits for those of other runners that need it.
//!
//! In a shutdown of the group all close within one deadline, so one runner that is dead,
//! stopped or late must not keep the others from closing. The last quarter of the time that
//! Closing has is kept for what is left to close:
//! - in it, no resource waits for one whose owner has not come to Closing: that has not
//!   acknowledged Draining, so it has closed nothing and may be stopped;
//! - in the last eighth, none waits at all. The eighth before that is for chains: who waits for
//!   a healthy runner that waits for the late one still closes in order.

use std::time::Duration;

use crate::api::resource::entries::Shared;
use crate::limits::CLOSING_RESERVE;
use crate::phase::Phase;
use crate::table::resources::Key;

/// Until when a cleanup in a shutdown waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    /// The deadline that it was computed from.
    deadline: u64,
    /// From then on it does not wait for those who have not come to Closing, and for nobody.
    until: [u64; 2],
}

/// By so much the same deadline may differ each time that it is computed, in microseconds.
const SAME: u64 = 10_000;

impl Patience {
    /// The deadline of the cleanup is so far away; computed again when it was moved.
    pub(super) fn see(&mut self, now: u64, left: Duration) {
        let left = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
        let deadline = now.saturating_add(left);
        if deadline.abs_diff(self.deadline) > SAME {
            self.deadline = deadline;
            self.until = CLOSING_RESERVE.map(|part| deadline.saturating_sub(left / part));
        }
    }

    /// When it next gives up a wait, if that is still to come.
    pub(super) fn next(&self, now: u64) -> Option<u64> {
        self.until.into_iter().find(|until| *until > now)
    }
}

impl Shared {
    /// Whether a cleanup of this patience waits for `by` no longer.
    pub(super) fn gives_up_waiting(&self, patience: &Patience, by: Key) -> bool {
        let [for_late, for_all] = patience.until;
        let now = self.now();
        let group = &self.tables().group;
        let control = group.scope.control();
        // A runner that is not in a shutdown is not late.
        if now < for_late || control.phase() != Ok(Phase::Closing) {
            return false;
        }
        let table = self.table();
        let owner = table.find(by).and_then(|word| word.runner());
        let Some(slot) = owner else {
            // It has ended: the next look finds that.
            return false;
        };
        let member = group.member(slot);
        let has_come = table.about(by.index).is_of(member)
            && group.acked(slot, member, control.epoch()) >= Phase::Draining;
        now >= for_all || !has_come
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_and_an_eighth_are_kept_and_follow_the_deadline() {
        let mut patience = Patience::default();
        let seconds = Duration::from_secs;
        patience.see(1_000_000, seconds(8));
        assert_eq!(patience.until, [7_000_000, 8_000_000]);
        // The same deadline, later.
        patience.see(5_000_003, seconds(4));
        assert_eq!(patience.until, [7_000_000, 8_000_000]);
        assert_eq!(patience.next(6_000_000), Some(7_000_000));
        assert_eq!(patience.next(7_000_000), Some(8_000_000));
        assert_eq!(patience.next(8_000_000), None);
        // An extension, then an escalation.
        patience.see(8_000_000, seconds(16));
        assert_eq!(patience.until, [20_000_000, 22_000_000]);
        patience.see(9_000_000, seconds(1));
        assert_eq!(patience.until, [9_750_000, 9_875_000]);
    }
}
