//! Locks: bank transfers under each lock, without any other protection.
//!
//! Each lock protects four accounts whose sum is zero, and an owner word. The owner of the
//! lock swaps its stamp (process, thread, number of the act) into the owner word, moves an
//! amount from one account to another by plain loads and stores, and swaps its stamp out
//! again before it gives the lock back.
//!
//! *Mutual exclusion.* The stamp is in the owner word only while its thread has the lock,
//! so a second owner finds the first one's stamp at its entry, or the first one finds that
//! its stamp is gone, in the middle or at its exit, whenever it continues. A stopped owner
//! that is robbed is found by the one that robs it (the stamp is there, and its process
//! was never killed) and finds it itself when it continues.
//!
//! *Take-over.* A stamp that a dead owner left is accepted if the library says that the
//! previous owner died *and* the process of the stamp was doomed. The doom is written
//! before the signal is sent, and the library's word comes after the death, so a doom that
//! is not there cannot be late.
//!
//! *Conservation.* Before a transfer its result is written down (the slip). An owner that
//! was killed in the middle has left its slip, and the next one completes it; the values
//! in it are absolute, so completing it again is harmless. With no slip the sum is zero. A
//! transfer of two owners at once tears it, as each stores what follows from its own loads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::Ledger;
use crate::ledger::act::Act;
use crate::ledger::stamp::{Actor, Stamp};

const OWNER: usize = 0;
const LAST: usize = 1;
const SLIP: usize = 2;
const SLIP_ACCOUNTS: usize = 3;
const SLIP_VALUES: [usize; 2] = [4, 5];
const ACCOUNTS: usize = 8;
const COUNT: usize = 4;

/// The accounts of one lock, entered by one owner.
pub struct Bank<'a> {
    ledger: &'a Ledger,
    lock: usize,
    me: Stamp,
}

/// From one account to another.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub from: usize,
    pub to: usize,
    pub amount: u64,
}

impl Transfer {
    pub fn random(random: &mut crate::random::Random) -> Self {
        let from = random.below(COUNT as u64) as usize;
        Self {
            from,
            to: (from + 1 + random.below(COUNT as u64 - 1) as usize) % COUNT,
            amount: random.below(1_000),
        }
    }
}

impl<'a> Bank<'a> {
    /// The calling thread has just taken the lock.
    pub fn enter(ledger: &'a Ledger, lock: usize, actor: &Actor, owner_died: bool) -> Self {
        let me = actor.next();
        let bank = Self { ledger, lock, me };
        let before = Stamp(bank.word(OWNER).swap(me.0, Ordering::AcqRel));
        if owner_died {
            ledger.count(Act::Takeover);
            let is_fair = before.0 == 0 || ledger.may_be_dead(before);
            bank.ensure(is_fair, || {
                let (me, before) = (ledger.who(me), ledger.who(before));
                format!("was given to {me}, as if dead were {before}, who was never killed")
            });
            bank.complete_slip();
        } else {
            bank.ensure(before.0 == 0, || bank.two(before));
        }
        bank.audit();
        bank
    }

    fn word(&self, word: usize) -> &'a AtomicU64 {
        self.ledger.bank(self.lock, word)
    }

    fn load(&self, word: usize) -> u64 {
        self.word(word).load(Ordering::Acquire)
    }

    fn store(&self, word: usize, value: u64) {
        self.word(word).store(value, Ordering::Release);
    }

    #[track_caller]
    fn ensure(&self, is_so: bool, text: impl FnOnce() -> String) {
        let lock = self.lock;
        self.ledger
            .ensure(is_so, || format!("lock {lock} {}", text()));
    }

    fn two(&self, other: Stamp) -> String {
        let (me, other) = (self.ledger.who(self.me), self.ledger.who(other));
        format!("is held by two: {me}, and {other}")
    }

    /// Still the only one.
    pub fn check(&self) {
        let owner = Stamp(self.load(OWNER));
        self.ensure(owner == self.me, || self.two(owner));
    }

    fn complete_slip(&self) {
        if self.load(SLIP) != 0 {
            self.apply(|| ());
        }
    }

    /// Carries out what the slip says, and destroys it.
    fn apply(&self, between: impl FnOnce()) {
        let accounts = self.load(SLIP_ACCOUNTS);
        let [from, to] = [accounts >> 8, accounts & 0xff].map(|at| at as usize % COUNT);
        self.store(ACCOUNTS + from, self.load(SLIP_VALUES[0]));
        between();
        self.store(ACCOUNTS + to, self.load(SLIP_VALUES[1]));
        self.store(SLIP, 0);
    }

    fn audit(&self) {
        let all: Vec<_> = (0..COUNT).map(|at| self.load(ACCOUNTS + at)).collect();
        let sum = all.iter().fold(0, |sum: u64, one| sum.wrapping_add(*one));
        self.ensure(sum == 0 && self.load(SLIP) == 0, || {
            let last = self.ledger.who(Stamp(self.load(LAST)));
            let slip = self.ledger.who(Stamp(self.load(SLIP)));
            format!("has lost its sum: {all:?}; last owner: {last}; slip: {slip}")
        });
    }

    /// Moves an amount, with `pause` in the middle, where others would tear it.
    pub fn transfer(&self, transfer: Transfer, pause: impl FnOnce()) {
        let Transfer { from, to, amount } = transfer;
        self.store(SLIP_ACCOUNTS, (from << 8 | to) as u64);
        let [debit, credit] = [from, to].map(|at| self.load(ACCOUNTS + at));
        self.store(SLIP_VALUES[0], debit.wrapping_sub(amount));
        self.store(SLIP_VALUES[1], credit.wrapping_add(amount));
        self.store(SLIP, self.me.0);
        self.apply(pause);
        self.check();
    }

    /// Before the lock is given back.
    pub fn leave(self) {
        self.store(LAST, self.me.0);
        let owner = self.word(OWNER);
        let swapped = owner.compare_exchange(self.me.0, 0, Ordering::AcqRel, Ordering::Acquire);
        self.ensure(swapped.is_ok(), || {
            self.two(Stamp(swapped.err().unwrap_or(0)))
        });
        self.ledger.count(Act::Lock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Head, scratch};

    const MOVE: Transfer = Transfer {
        from: 1,
        to: 3,
        amount: 70,
    };

    fn found(ledger: &Ledger, sign: &str) -> bool {
        let all = ledger.violations();
        assert!(all.iter().all(|text| text.contains(sign)), "{all:?}");
        ledger.get(Head::Violations) > 0
    }

    #[test]
    fn one_after_the_other_is_right() {
        let (_directory, ledger) = scratch();
        for process in [1, 2, 1] {
            let bank = Bank::enter(&ledger, 0, &Actor::new(process), false);
            bank.transfer(MOVE, || ());
            bank.leave();
        }
        assert!(!found(&ledger, ""));
    }

    #[test]
    fn two_owners_are_seen_by_the_second_and_by_the_first_when_it_continues() {
        let (_directory, ledger) = scratch();
        let first = Bank::enter(&ledger, 0, &Actor::new(1), false);
        let second = Bank::enter(&ledger, 0, &Actor::new(2), false);
        assert!(found(&ledger, "is held by two"));
        second.leave();
        let before = ledger.get(Head::Violations);
        first.check();
        assert!(ledger.get(Head::Violations) > before && found(&ledger, "is held by two"));
    }

    #[test]
    fn a_lock_that_is_taken_from_one_who_was_never_killed_is_robbed() {
        let (_directory, ledger) = scratch();
        let stopped = Bank::enter(&ledger, 0, &Actor::new(1), false);
        let robber = Bank::enter(&ledger, 0, &Actor::new(2), true);
        assert!(found(&ledger, "who was never killed"));
        robber.leave();
        stopped.leave();
        assert!(ledger.get(Head::Violations) == 2);
    }

    #[test]
    fn what_a_killed_owner_left_is_completed_wherever_it_was_killed() {
        for completes in [false, true] {
            let (_directory, ledger) = scratch();
            ledger.doom(1);
            let dead = Bank::enter(&ledger, 0, &Actor::new(1), false);
            dead.transfer(MOVE, || {
                // It is killed here; perhaps the one that completes it as well.
                if completes {
                    ledger.doom(2);
                    let _ = Bank::enter(&ledger, 0, &Actor::new(2), true);
                }
                let next = Bank::enter(&ledger, 0, &Actor::new(3), true);
                next.transfer(MOVE, || ());
                next.leave();
            });
            let mine = ledger.get(Head::Violations);
            // Its own last check saw the others; nobody else saw anything.
            assert_eq!(mine, 1, "{:?}", ledger.violations());
        }
    }

    #[test]
    fn a_torn_transfer_loses_the_sum() {
        let (_directory, ledger) = scratch();
        let bank = Bank::enter(&ledger, 0, &Actor::new(1), false);
        bank.transfer(MOVE, || ());
        ledger.bank(0, ACCOUNTS + 1).fetch_add(5, Ordering::Relaxed);
        bank.leave();
        let _ = Bank::enter(&ledger, 0, &Actor::new(2), false);
        assert!(found(&ledger, "has lost its sum"));
    }
}
