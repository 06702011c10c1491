//! Barriers: nobody passes before all have arrived, and each passage has one leader.
//!
//! Every wait has a record in a log: the tick of a shared counter before it began, and the
//! tick after it ended with its result: *led*, *followed*, or *failed* (timed out, or
//! broken). A passage happens at one instant, at which all its parties wait. So after the
//! storm there must be a way to give
//!
//! - every leader `parties - 1` followers of its own whose waits overlap with its wait;
//! - every follower a leader whose wait overlaps with its own, with at most `parties - 1`
//!   followers for one leader.
//!
//! A wait that never ended is that of a killed thread: it may have led, or followed, once,
//! until its parent had waited for the process (that tick is in the ledger, too). A wait of
//! a stopped process is a long one, and right: stops make overlaps larger, never smaller.
//! Failed waits pass with nobody.
//!
//! Whether there is a way is a question of bipartite matching, answered by augmenting
//! paths: no luck in the order of the search makes a right history wrong.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::act::Act;
use crate::ledger::stamp::{Actor, Stamp};
use crate::ledger::{Head, Ledger, MEETINGS};

const FAILED: u64 = 1;
const FOLLOWED: u64 = 2;
const LED: u64 = 3;
const RESULT_BITS: u32 = 2;

/// One wait of one thread.
pub struct Wait<'a> {
    ledger: &'a Ledger,
    record: Option<[&'a AtomicU64; 3]>,
}

impl<'a> Wait<'a> {
    /// Before the wait.
    pub fn begin(ledger: &'a Ledger, actor: &Actor) -> Self {
        let record = ledger.meeting(ledger.add(Head::Meetings) - 1);
        if let Some([stamp, began, _]) = record {
            stamp.store(actor.next().0, Ordering::Release);
            began.store(ledger.add(Head::Ticks), Ordering::Release);
        }
        Self { ledger, record }
    }

    fn end(self, result: u64) {
        if let Some([.., ended]) = self.record {
            let tick = self.ledger.add(Head::Ticks);
            ended.store(tick << RESULT_BITS | result, Ordering::Release);
        }
    }

    pub fn passed(self, leads: bool) {
        self.ledger.count(Act::Barrier);
        self.end(if leads { LED } else { FOLLOWED });
    }

    /// It timed out, or was broken.
    pub fn failed(self) {
        self.ledger.count(Act::Broken);
        self.end(FAILED);
    }
}

/// A wait that has passed, or may have.
#[derive(Clone, Copy, Debug)]
struct Passed {
    began: u64,
    ended: u64,
    stamp: Stamp,
}

impl Passed {
    fn overlaps(&self, other: &Self) -> bool {
        self.began <= other.ended && other.began <= self.ended
    }
}

/// The log, by the result of each wait.
#[derive(Default)]
struct Log {
    led: Vec<Passed>,
    followed: Vec<Passed>,
    /// Killed in the wait.
    open: Vec<Passed>,
    failed: Vec<Passed>,
}

impl Log {
    fn read(ledger: &Ledger, count: u64) -> Self {
        let mut log = Self::default();
        for number in 0..count {
            let Some(record) = ledger.meeting(number) else {
                break;
            };
            let [stamp, began, ended] = record.map(|word| word.load(Ordering::Acquire));
            let (stamp, result) = (Stamp(stamp), ended & ((1 << RESULT_BITS) - 1));
            let of_process = || stamp.process().map(|process| ledger.end_tick(process));
            let ended = match ended >> RESULT_BITS {
                0 => of_process().unwrap_or(0),
                ended => ended,
            };
            let wait = Passed {
                began,
                ended,
                stamp,
            };
            match result {
                // Killed before it had begun to wait.
                _ if began == 0 => {}
                LED => log.led.push(wait),
                FOLLOWED => log.followed.push(wait),
                FAILED => log.failed.push(wait),
                _ => log.open.push(wait),
            }
        }
        log
    }

    /// The waits that overlap with this one, for a report.
    fn beside(&self, one: &Passed, ledger: &Ledger) -> String {
        let kinds = [
            ("led", &self.led),
            ("followed", &self.followed),
            ("was killed", &self.open),
            ("failed", &self.failed),
        ];
        let mut text = format!("{}..{}", one.began, one.ended);
        for (what, waits) in kinds {
            for wait in waits.iter().filter(|wait| wait.overlaps(one)) {
                let (who, began, ended) = (ledger.who(wait.stamp), wait.began, wait.ended);
                text += &format!("\n    {began}..{ended} {what}: {who}");
            }
        }
        text
    }
}

/// The first of `many` that is left over when each is given to one of `few` that it
/// overlaps with, each of which has room for its number.
fn left_over(many: &[Passed], few: &[(Passed, usize)]) -> Option<Passed> {
    let mut given: Vec<Vec<usize>> = vec![Vec::new(); few.len()];
    for start in 0..many.len() {
        let mut tried = vec![false; few.len()];
        if !give(start, many, few, &mut given, &mut tried) {
            return Some(many[start]);
        }
    }
    None
}

fn give(
    one: usize,
    many: &[Passed],
    few: &[(Passed, usize)],
    given: &mut [Vec<usize>],
    tried: &mut [bool],
) -> bool {
    for (at, (to, room)) in few.iter().enumerate() {
        if tried[at] || !many[one].overlaps(to) {
            continue;
        }
        tried[at] = true;
        if given[at].len() < *room {
            given[at].push(one);
            return true;
        }
        for place in 0..given[at].len() {
            if give(given[at][place], many, few, given, tried) {
                given[at][place] = one;
                return true;
            }
        }
    }
    false
}

/// After the storm: nobody waits any more.
pub fn at_end(ledger: &Ledger) {
    let count = ledger.get(Head::Meetings);
    if count > MEETINGS {
        // Not all of it is written down.
        return;
    }
    let log = Log::read(ledger, count);
    let parties = ledger.parties() as usize;
    let with = |all: &[Passed], room: usize| -> Vec<(Passed, usize)> {
        let open = log.open.iter().map(|open| (*open, room));
        all.iter().map(|one| (*one, room)).chain(open).collect()
    };
    // Each leader as often as it needs a follower.
    let seats = log.led.iter().flat_map(|led| vec![*led; parties - 1]);
    let seats: Vec<_> = seats.collect();
    if let Some(led) = left_over(&seats, &with(&log.followed, 1)) {
        let (who, others) = (ledger.who(led.stamp), log.beside(&led, ledger));
        let text =
            format!("barrier of {parties}: {who} led a passage of fewer; beside it: {others}");
        ledger.violate(&text);
    }
    if let Some(followed) = left_over(&log.followed, &with(&log.led, parties - 1)) {
        let (who, others) = (ledger.who(followed.stamp), log.beside(&followed, ledger));
        let text =
            format!("barrier of {parties}: {who} passed with no leader; beside it: {others}");
        ledger.violate(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::scratch;

    fn of(parties: u64) -> (tempfile::TempDir, Ledger) {
        let (directory, ledger) = scratch();
        ledger.head(Head::Parties).store(parties, Ordering::Relaxed);
        (directory, ledger)
    }

    /// Waits of these processes that overlap; the first one leads.
    fn meet(ledger: &Ledger, processes: &[usize]) {
        let wait = |process: &usize| Wait::begin(ledger, &Actor::new(*process));
        let all: Vec<_> = processes.iter().map(wait).collect();
        for (at, wait) in all.into_iter().enumerate() {
            wait.passed(at == 0);
        }
    }

    fn check(ledger: &Ledger) -> u64 {
        at_end(ledger);
        ledger.get(Head::Violations)
    }

    #[test]
    fn those_who_pass_together_are_right_and_so_are_those_who_fail() {
        for parties in [2, 3] {
            let (_directory, ledger) = of(parties);
            for _ in 0..50 {
                meet(&ledger, &[1, 2, 3][..parties as usize]);
                Wait::begin(&ledger, &Actor::new(4)).failed();
            }
            assert_eq!(check(&ledger), 0, "{:?}", ledger.violations());
        }
    }

    #[test]
    fn one_who_was_killed_may_have_led_or_followed_once() {
        for (leads, times) in [(true, 1), (false, 1), (true, 2), (false, 2)] {
            let (_directory, ledger) = of(2);
            let _killed = Wait::begin(&ledger, &Actor::new(1));
            for _ in 0..times {
                Wait::begin(&ledger, &Actor::new(2)).passed(leads);
            }
            ledger.end(1);
            assert_eq!(check(&ledger), times - 1, "{:?}", ledger.violations());
        }
    }

    #[test]
    fn one_who_passes_alone_is_caught_though_others_were_killed_before() {
        for leads in [true, false] {
            let (_directory, ledger) = of(2);
            let _killed = Wait::begin(&ledger, &Actor::new(1));
            ledger.end(1);
            meet(&ledger, &[2, 3]);
            Wait::begin(&ledger, &Actor::new(2)).passed(leads);
            meet(&ledger, &[2, 3]);
            assert_eq!(check(&ledger), 1, "{:?}", ledger.violations());
        }
    }

    #[test]
    fn a_long_wait_is_given_to_the_passage_that_needs_it() {
        let (_directory, ledger) = of(2);
        // Its wait overlaps with two passages, the other one's with the first only.
        let begin = |process| Wait::begin(&ledger, &Actor::new(process));
        let (long, short, first) = (begin(1), begin(2), begin(3));
        first.passed(true);
        short.passed(false);
        let second = begin(3);
        second.passed(true);
        long.passed(false);
        assert_eq!(check(&ledger), 0, "{:?}", ledger.violations());
    }

    #[test]
    fn a_passage_of_two_where_three_must_be_is_caught() {
        let (_directory, ledger) = of(3);
        meet(&ledger, &[1, 2, 3]);
        meet(&ledger, &[1, 2]);
        assert_eq!(check(&ledger), 1, "{:?}", ledger.violations());
    }
}
