//! Shared state: three accounts whose sum is always the same, moved by transactions, and
//! the log of all commits outside.
//!
//! Beside the accounts the store holds the number of the last commit and the stamp of the
//! act that made it. A transaction reads number `n` and writes `n + 1`; inside it, before
//! it commits, it writes what it is about to commit into cell `n + 1` of the log.
//!
//! *The log is exact.* Cell `n` is written only by a transaction that found `n - 1`
//! committed, and transactions exclude each other. If it was killed before its commit, the
//! next one finds `n - 1` again and writes the cell again; if after it, the next one writes
//! cell `n + 1`. So once `n` is committed, cell `n` never changes, and nobody reads it
//! before. One that is stopped inside keeps the lock, so it is none of these; if it were
//! robbed, two would write one cell, and what is committed differs from it.
//!
//! *A snapshot* must equal the log of its number (all keys of one commit), and must not be
//! older than the last commit that had returned before it was asked for, nor than what the
//! same reader saw before: both bounds are read first, so that being stopped only makes
//! them lower.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use ebbtide::{Segment, SharedStateManager, StateError};

use crate::ledger::act::Act;
use crate::ledger::stamp::{Actor, Stamp};
use crate::ledger::{Head, Ledger};
use crate::member::acts::HANGS;
use crate::random::Random;

const KEYS: [&str; 5] = [
    "account.a",
    "account.b",
    "account.c",
    "commit.number",
    "commit.stamp",
];
pub const TOTAL: i64 = 3_000;

/// What the store holds at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    accounts: [i64; 3],
    number: u64,
    stamp: u64,
}

impl Seen {
    fn of(values: [i64; 5]) -> Self {
        let [a, b, c, number, stamp] = values;
        Self {
            accounts: [a, b, c],
            number: number as u64,
            stamp: stamp as u64,
        }
    }

    fn values(self) -> [i64; 5] {
        let [a, b, c] = self.accounts;
        [a, b, c, self.number as i64, self.stamp as i64]
    }

    fn sum(self) -> i64 {
        self.accounts.iter().sum()
    }
}

/// The log of commits, and what one reader has seen of it.
pub struct Log<'a> {
    ledger: &'a Ledger,
    newest: Cell<u64>,
}

impl<'a> Log<'a> {
    pub fn new(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            newest: Cell::new(0),
        }
    }

    /// Before a reader asks: what it must see at least.
    pub fn bound(&self) -> u64 {
        self.ledger.get(Head::Committed).max(self.newest.get())
    }

    /// In the transaction, before it commits.
    pub fn write(&self, next: Seen) {
        let [a, b, c] = next.accounts.map(|account| account as u64);
        for (word, value) in [a, b, c, next.stamp].into_iter().enumerate() {
            if let Some(cell) = self.ledger.commit(next.number, word) {
                cell.store(value, Ordering::Release);
            }
        }
    }

    fn read(&self, number: u64) -> Option<Seen> {
        let word = |word| Some(self.ledger.commit(number, word)?.load(Ordering::Acquire));
        Some(Seen {
            accounts: [word(0)? as i64, word(1)? as i64, word(2)? as i64],
            number,
            stamp: word(3)?,
        })
    }

    /// It has returned.
    pub fn committed(&self, seen: Seen) {
        self.check(seen, 0);
        self.ledger.raise(Head::Committed, seen.number);
        self.newest.set(self.newest.get().max(seen.number));
    }

    /// Something was read that must be a commit, and not older than the bound.
    pub fn check(&self, seen: Seen, bound: u64) {
        let ledger = self.ledger;
        let who = || ledger.who(Stamp(seen.stamp));
        ledger.ensure(seen.sum() == TOTAL, || {
            format!("state: the sum is {}: {seen:?} of {}", seen.sum(), who())
        });
        ledger.ensure(seen.number >= bound, || {
            let number = seen.number;
            format!(
                "state: commit {number} was read, older than {bound}, of {}",
                who()
            )
        });
        // The first one was there before the log.
        if let Some(logged) = self.read(seen.number).filter(|_| seen.number > 0) {
            ledger.ensure(seen == logged, || {
                format!(
                    "state: {seen:?} was read, {logged:?} was committed by {}",
                    who()
                )
            });
        }
        self.newest.set(self.newest.get().max(seen.number));
    }
}

pub struct Store(SharedStateManager);

impl Store {
    pub fn open(segment: &Segment) -> Self {
        let store = SharedStateManager::open(segment).unwrap();
        // As for locks: its writer may be stopped in the middle.
        Self(store.lock_timeout(HANGS))
    }

    /// By the parent, before anybody else.
    pub fn fill(&self) {
        self.0
            .transaction(|tx| {
                for (key, value) in KEYS.iter().zip([TOTAL / 3, TOTAL / 3, TOTAL / 3, 0, 0]) {
                    tx.set_as(key, &value)?;
                }
                Ok::<_, StateError>(())
            })
            .unwrap();
    }

    pub fn transfer(&self, log: &Log<'_>, actor: &Actor, random: &mut Random) {
        let from = random.below(3) as usize;
        let to = (from + 1 + random.below(2) as usize) % 3;
        let amount = random.below(50) as i64;
        let bound = log.bound();
        let moved = self.0.transaction(|tx| {
            let mut values = [0; 5];
            for (value, key) in values.iter_mut().zip(KEYS) {
                *value = tx.get_as::<i64>(key)?.unwrap_or_default();
            }
            let before = Seen::of(values);
            log.check(before, bound);
            let mut next = before;
            next.accounts[from] -= amount;
            next.accounts[to] += amount;
            next.number += 1;
            next.stamp = actor.next().0;
            log.write(next);
            for (key, value) in KEYS.iter().zip(next.values()) {
                tx.set_as(key, &value)?;
            }
            Ok::<_, StateError>(next)
        });
        match moved {
            Ok(next) => {
                log.committed(next);
                log.ledger.count(Act::Commit);
            }
            Err(error) => log.ledger.violate(&format!("state: transaction: {error}")),
        }
    }

    /// The must-fail variant. Others read as well, but whether they do between the two is
    /// not certain.
    pub fn tear(&self, log: &Log<'_>, random: &mut Random) {
        let amount = 1 + random.below(50) as i64;
        let change = |key, by| {
            let changed = self
                .0
                .update_as::<i64>(key, |value| value.unwrap_or_default() + by);
            changed.unwrap();
        };
        change(KEYS[0], -amount);
        self.read(log);
        change(KEYS[1], amount);
    }

    pub fn read(&self, log: &Log<'_>) {
        let bound = log.bound();
        match self.snapshot() {
            Ok(seen) => {
                log.check(seen, bound);
                log.ledger.count(Act::Snapshot);
            }
            Err(error) => log.ledger.violate(&format!("state: snapshot: {error}")),
        }
    }

    fn snapshot(&self) -> Result<Seen, StateError> {
        let values = self.0.snapshot(&KEYS)?;
        let number = |bytes: &Option<Vec<u8>>| {
            let bytes = bytes.as_deref().unwrap_or_default();
            bytes.try_into().map_or(0, i64::from_ne_bytes)
        };
        Ok(Seen::of(core::array::from_fn(|at| number(&values[at]))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::scratch;

    fn seen(number: u64, moved: i64) -> Seen {
        let each = TOTAL / 3;
        Seen {
            accounts: [each - moved, each + moved, each],
            number,
            stamp: 1 << 48 | number,
        }
    }

    fn commit(log: &Log<'_>, number: u64, moved: i64) -> Seen {
        let next = seen(number, moved);
        log.write(next);
        log.committed(next);
        next
    }

    fn count(ledger: &Ledger) -> u64 {
        ledger.get(Head::Violations)
    }

    #[test]
    fn snapshots_of_the_log_are_right_also_after_a_commit_that_was_never_made() {
        let (_directory, ledger) = scratch();
        let log = Log::new(&ledger);
        log.check(seen(0, 0), log.bound());
        commit(&log, 1, 5);
        // Killed before its commit.
        log.write(seen(2, 99));
        let second = commit(&log, 2, 7);
        log.check(second, log.bound());
        assert_eq!(count(&ledger), 0, "{:?}", ledger.violations());
    }

    #[test]
    fn old_torn_and_mixed_snapshots_are_caught() {
        let (_directory, ledger) = scratch();
        let log = Log::new(&ledger);
        let first = commit(&log, 1, 5);
        let second = commit(&log, 2, 7);
        let other = Log::new(&ledger);
        other.check(first, other.bound());
        assert_eq!(count(&ledger), 1, "older than what has returned");
        let mut torn = second;
        torn.accounts[0] += 1;
        other.check(torn, 0);
        assert_eq!(count(&ledger), 3, "neither the sum nor the log");
        let mixed = Seen {
            accounts: first.accounts,
            ..second
        };
        other.check(mixed, 0);
        assert_eq!(count(&ledger), 4, "of two commits");
        other.committed(seen(2, 8));
        assert_eq!(count(&ledger), 5, "two of one number");
    }

    #[test]
    fn a_reader_never_sees_less_than_before() {
        let (_directory, ledger) = scratch();
        let log = Log::new(&ledger);
        let first = commit(&log, 1, 5);
        log.write(seen(2, 7));
        // Read before its commit has returned.
        log.check(seen(2, 7), log.bound());
        assert_eq!(count(&ledger), 0);
        log.check(first, log.bound());
        assert_eq!(count(&ledger), 1);
    }
}
