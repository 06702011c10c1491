//! Events that reset themselves: each set is taken by one waiter at most.
//!
//! The event is set only when everything set so far was taken, so the counts stay within
//! one of each other, and a set that is taken twice shows at once. Both counts are one
//! word: `sets` is raised before the event is set, `takes` after a wait has taken it.
//!
//! *Why `takes` may never exceed `sets`.* Every take has a set of its own, and the set was
//! counted before it was made, the take after it was done.
//!
//! *The dead.* A process killed between its count and its set, or between its take and its
//! count, leaves `sets = takes + 1` for ever. Who finds that unmoved for a while and the
//! event not set adds a set in its place. From then on the bound is one wider. A *stopped*
//! one that continues closes the gap again. After the storm there must not have been more
//! of these than processes were killed or stopped: else sets were lost without a reason.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::ledger::act::Act;
use crate::ledger::{Head, Ledger};

/// How long the counts are unmoved before a set is taken for lost.
const PATIENCE: Duration = Duration::from_millis(50);

const TAKES: u64 = 0xffff_ffff;
const ONE_SET: u64 = 1 << 32;

fn parts(word: u64) -> (u64, u64) {
    (word >> 32, word & TAKES)
}

/// What one thread has seen of the counts.
#[derive(Default)]
pub struct Tickets {
    seen: Option<(u64, Instant)>,
}

impl Tickets {
    /// Whether to set the event now: counted before it is done.
    pub fn may_set(&mut self, ledger: &Ledger, is_set: impl Fn() -> bool) -> bool {
        self.may_set_after(PATIENCE, ledger, is_set)
    }

    fn may_set_after(
        &mut self,
        patience: Duration,
        ledger: &Ledger,
        is_set: impl Fn() -> bool,
    ) -> bool {
        let word = ledger.get(Head::Tickets);
        let (sets, takes) = parts(word);
        let is_stuck = match self.seen {
            Some((seen, since)) if seen == word => since.elapsed() >= patience,
            _ => {
                self.seen = Some((word, Instant::now()));
                false
            }
        };
        let renews = sets > takes && is_stuck && !is_set();
        if sets > takes && !renews {
            return false;
        }
        let counted = ledger.head(Head::Tickets).compare_exchange(
            word,
            word + ONE_SET,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if counted.is_ok() && renews {
            ledger.add(Head::TicketsRenewed);
        }
        counted.is_ok()
    }
}

/// A wait has taken a set.
pub fn took(ledger: &Ledger) {
    let (sets, takes) = parts(ledger.add(Head::Tickets));
    ledger.ensure(takes <= sets, || {
        format!("event: {takes} waits took one of {sets} sets")
    });
    ledger.count(Act::Ticket);
}

/// After the storm.
pub fn at_end(ledger: &Ledger) {
    let renewed = ledger.get(Head::TicketsRenewed);
    let reasons = ledger.get(Head::Kills) + ledger.get(Head::Stops);
    ledger.ensure(renewed <= reasons, || {
        format!("event: {renewed} sets were lost, {reasons} processes were killed or stopped")
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::scratch;

    #[test]
    fn one_take_for_each_set_is_right_and_two_are_not() {
        let (_directory, ledger) = scratch();
        let mut setter = Tickets::default();
        for _ in 0..3 {
            assert!(setter.may_set(&ledger, || false));
            assert!(!setter.may_set(&ledger, || true), "it is not taken yet");
            took(&ledger);
        }
        assert_eq!(ledger.get(Head::Violations), 0);
        took(&ledger);
        assert_eq!(ledger.get(Head::Violations), 1);
    }

    #[test]
    fn a_set_that_was_never_made_is_made_in_its_place() {
        let (_directory, ledger) = scratch();
        let mut setter = Tickets::default();
        assert!(setter.may_set(&ledger, || false));
        let mut next = Tickets::default();
        let mut may = |is_set| next.may_set_after(Duration::ZERO, &ledger, || is_set);
        assert!(!may(false), "seen for the first time");
        assert!(!may(true), "somebody may take it still");
        assert!(may(false));
        took(&ledger);
        took(&ledger);
        assert_eq!(ledger.get(Head::Violations), 0);
        at_end(&ledger);
        assert_eq!(ledger.get(Head::Violations), 1, "nobody was killed");
    }
}
