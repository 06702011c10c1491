//! Threads that come and go: each attaches by taking a lock, and ends.

use std::time::Duration;

use ebbtide::{CrossProcessLock, LockError, Segment};

use super::acts::{HANGS, LOCK_NAMES};
use crate::ledger::Ledger;
use crate::ledger::act::Act;
use crate::ledger::stamp::Actor;
use crate::oracle::bank::{Bank, Transfer};
use crate::random::Random;

/// Starts some threads at once and waits until they have ended.
pub fn churn(segment: &Segment, ledger: &Ledger, process: usize, random: &mut Random) {
    let count = 1 + random.below(3);
    std::thread::scope(|scope| {
        for _ in 0..count {
            let seed = random.next();
            scope.spawn(move || once(segment, ledger, process, Random::new(seed)));
        }
    });
}

fn once(segment: &Segment, ledger: &Ledger, process: usize, mut random: Random) {
    let which = random.below(LOCK_NAMES.len() as u64) as usize;
    let lock = CrossProcessLock::open(segment, LOCK_NAMES[which]).unwrap();
    let actor = Actor::new(process);
    match lock.lock_timeout(HANGS) {
        Ok(guard) => {
            let bank = Bank::enter(ledger, which, &actor, guard.previous_owner_died());
            guard.mark_consistent();
            bank.transfer(Transfer::random(&mut random), || {
                if random.once_in(4) {
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
            bank.leave();
            ledger.count(Act::Thread);
        }
        // One of those who took two in a wrong order was chosen to give way, or this one.
        Err(LockError::Deadlock { .. }) => ledger.count(Act::Deadlock),
        Err(error) => ledger.violate(&format!("lock {which} of a new thread: {error}")),
    }
}
