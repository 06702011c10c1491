//! Barriers: nobody passes before all have arrived, and each passage has one leader.
//!
//! Every wait is counted before it begins (`arrived`), and after it has passed (`passed`,
//! and `led` for the leader) or was refused (`failed`: timed out or broken). A passage
//! takes as many parties as the barrier has, each of which had arrived and none of which
//! has failed or ever will. So at any time
//!
//! ```text
//! parties × led ≤ arrived - failed
//! ```
//! if `led` is read first, then `failed`, then `arrived`: the members of the passages led
//! so far, and those who have failed so far, are different waits, all of them counted in
//! `arrived` by then. Whoever is killed or stopped in a wait has arrived and not failed,
//! which makes the right side larger, never smaller.
//!
//! At the end, with `open` waits that never returned (their threads were killed), the
//! followers are `parties - 1` for each passage, and a passage whose leader was killed
//! before it counted itself is among the open ones:
//!
//! ```text
//! (parties - 1) × led - open ≤ passed - led ≤ (parties - 1) × (led + open)
//! ```

use crate::ledger::act::Act;
use crate::ledger::{Head, Ledger};

/// Before a wait.
pub fn arrives(ledger: &Ledger) {
    ledger.add(Head::Arrived);
}

/// It timed out, or was broken.
pub fn failed(ledger: &Ledger) {
    ledger.add(Head::Failed);
    ledger.count(Act::Broken);
}

/// It has passed.
pub fn passed(ledger: &Ledger, leads: bool) {
    if leads {
        ledger.add(Head::Led);
    }
    ledger.add(Head::Passed);
    ledger.count(Act::Barrier);
    let led = ledger.get(Head::Led);
    let failed = ledger.get(Head::Failed);
    let arrived = ledger.get(Head::Arrived);
    let parties = ledger.parties();
    ledger.ensure(parties * led <= arrived - failed, || {
        format!(
            "barrier of {parties}: {led} passages, but {arrived} arrived and {failed} of them failed"
        )
    });
}

/// After the storm: nobody waits any more.
pub fn at_end(ledger: &Ledger) {
    let get = |word| ledger.get(word);
    let (arrived, failed) = (get(Head::Arrived), get(Head::Failed));
    let (passed, led) = (get(Head::Passed), get(Head::Led));
    let Some(open) = arrived.checked_sub(failed + passed) else {
        return ledger.violate(&format!(
            "barrier: {arrived} arrived, {failed} failed and {passed} passed"
        ));
    };
    let (followers, parties) = (passed - led.min(passed), ledger.parties());
    let (least, most) = (
        ((parties - 1) * led).saturating_sub(open),
        (parties - 1) * (led + open),
    );
    ledger.ensure((least..=most).contains(&followers), || {
        format!(
            "barrier of {parties}: {led} led and {followers} followed; {open} never returned"
        )
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::ledger::scratch;

    fn of_two() -> (tempfile::TempDir, Ledger) {
        let (directory, ledger) = scratch();
        ledger.head(Head::Parties).store(2, Ordering::Relaxed);
        (directory, ledger)
    }

    fn meet(ledger: &Ledger) {
        arrives(ledger);
        arrives(ledger);
        passed(ledger, false);
        passed(ledger, true);
    }

    #[test]
    fn two_who_pass_together_are_right_and_so_are_those_who_fail_or_die() {
        let (_directory, ledger) = of_two();
        meet(&ledger);
        arrives(&ledger);
        failed(&ledger);
        meet(&ledger);
        // Its leader, or its follower, was killed before it counted itself.
        for leads in [false, true] {
            arrives(&ledger);
            arrives(&ledger);
            passed(&ledger, leads);
        }
        at_end(&ledger);
        assert_eq!(ledger.get(Head::Violations), 0, "{:?}", ledger.violations());
    }

    #[test]
    fn one_who_passes_alone_is_caught() {
        for leads in [true, false] {
            let (_directory, ledger) = of_two();
            meet(&ledger);
            arrives(&ledger);
            passed(&ledger, leads);
            at_end(&ledger);
            assert!(ledger.get(Head::Violations) > 0, "{leads}");
        }
    }

    #[test]
    fn two_leaders_are_caught() {
        let (_directory, ledger) = of_two();
        arrives(&ledger);
        arrives(&ledger);
        passed(&ledger, true);
        passed(&ledger, true);
        assert!(ledger.get(Head::Violations) > 0);
    }
}
