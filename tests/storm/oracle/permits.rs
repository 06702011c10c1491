//! Semaphores: never more living holders than permits, counted outside.
//!
//! Each thread has a word that grows by one after it took a permit and by one before it
//! gives it back: odd, it holds one. A count reads the words of all threads, and then
//! those that were odd once more.
//!
//! *Why a count cannot be wrong.* The words never return to a value, and every first read
//! comes before every second one. A word that is odd and the same in both was odd at every
//! instant in between, so there was an instant at which all of these were odd at once. A
//! process that is not doomed after that (a doom comes before the signal) was alive at
//! that instant, and a living thread with an odd word holds a permit. Stopped threads are
//! alive and hold what they hold; how long the counter itself is stopped between the reads
//! does not matter. A word that moved makes no statement, and the count is repeated.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::Ledger;
use crate::ledger::act::Act;
use crate::ledger::line::Line;

/// How often a count is repeated when a word moved.
const TRIES: usize = 4;

/// The permit of one thread, held.
pub struct Held<'a> {
    ledger: &'a Ledger,
    mine: &'a AtomicU64,
}

impl<'a> Held<'a> {
    /// The calling thread has just taken a permit.
    pub fn new(ledger: &'a Ledger, mine: &'a AtomicU64) -> Self {
        mine.fetch_add(1, Ordering::AcqRel);
        Self { ledger, mine }
    }

    /// Counts all holders, this one included.
    pub fn count(&self, permits: usize) {
        for _ in 0..TRIES {
            let first: Vec<_> = self.others().collect();
            // Nobody is there who could be one too many.
            if first.len() < permits {
                return self.ledger.count(Act::Counted);
            }
            let is_same = |(_, word, seen): &(Line<'_>, &AtomicU64, u64)| {
                word.load(Ordering::Acquire) == *seen
            };
            if !first.iter().all(is_same) {
                continue;
            }
            let living: Vec<_> = first
                .iter()
                .filter(|(line, ..)| !line.may_be_dead())
                .map(|(line, ..)| line.who())
                .collect();
            self.ledger.ensure(living.len() < permits, || {
                let mine = std::process::id();
                format!("more than {permits} permits: pid {mine} holds one, and {living:?}")
            });
            return self.ledger.count(Act::Counted);
        }
    }

    /// Words of other threads that are odd, with their lines and values.
    fn others(&self) -> impl Iterator<Item = (Line<'a>, &'a AtomicU64, u64)> {
        let lines = self.ledger.all_lines().filter(|line| !line.may_be_dead());
        let words = lines.flat_map(|line| line.permits().map(move |word| (line, word)));
        words
            .filter(|(_, word)| !std::ptr::eq(*word, self.mine))
            .map(|(line, word)| (line, word, word.load(Ordering::Acquire)))
            .filter(|(.., seen)| seen % 2 == 1)
    }

    /// Before the permit is given back.
    pub fn end(self) {
        self.mine.fetch_add(1, Ordering::AcqRel);
        self.ledger.count(Act::Permit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::line::Count;
    use crate::ledger::{Head, scratch};

    fn hold(ledger: &Ledger, process: usize) -> Held<'_> {
        let line = Line::take(ledger, process);
        Held::new(ledger, line.counter(0, Count::Permit))
    }

    #[test]
    fn as_many_as_there_are_permits_are_right_and_one_more_is_not() {
        let (_directory, ledger) = scratch();
        let held = [1, 2, 3].map(|process| hold(&ledger, process));
        for one in &held {
            one.count(3);
        }
        assert_eq!(ledger.get(Head::Violations), 0);
        held[0].count(2);
        let all = ledger.violations();
        assert!(all[0].contains("more than 2 permits") && all[0].contains("process 3"));
    }

    #[test]
    fn the_permits_of_the_dead_and_those_given_back_do_not_count() {
        let (_directory, ledger) = scratch();
        let [first, second, third] = [1, 2, 3].map(|process| hold(&ledger, process));
        ledger.doom(2);
        first.count(2);
        third.end();
        first.count(1);
        second.count(3);
        assert_eq!(ledger.get(Head::Violations), 0, "{:?}", ledger.violations());
    }
}
