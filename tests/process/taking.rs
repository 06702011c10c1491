//! Processes of one thread that take and give locks as they are told.

use std::collections::HashMap;
use std::time::Duration;

use crate::support::{self, Agent, Child, Place, event, until_true};
use ebbtide::{
    CrossProcessCondvar, CrossProcessLock, DeadlockDetector, LockError, LockGuard, Runner, Segment,
};

/// One thread that takes and gives locks as it is told.
pub fn taker(child: &Child) {
    let segment = child.open();
    let mut guards: HashMap<String, LockGuard<'static>> = HashMap::new();
    // Guards borrow their lock; a lock is a name, so a few may leak.
    let open = |name: &str| -> CrossProcessLock { CrossProcessLock::open(&segment, name).unwrap() };
    let mut runner = None;
    loop {
        let order = child.order();
        let words: Vec<&str> = order.split(' ').collect();
        let millis = |word: &str| Duration::from_millis(word.parse().unwrap());
        match words[0] {
            "join" => {
                runner = Some(Runner::join(&segment, words[1]).unwrap());
                event("join");
            }
            "take" | "deny" => {
                let mut lock = open(words[1]);
                if words[0] == "deny" {
                    lock = lock.deny_disorder();
                }
                let lock: &'static CrossProcessLock = Box::leak(Box::new(lock));
                let taken = match words.get(2) {
                    Some(limit) => lock.lock_timeout(millis(limit)),
                    None => lock.lock(),
                };
                match taken {
                    Ok(guard) => {
                        event(&format!("take died={}", guard.previous_owner_died()));
                        guards.insert(words[1].into(), guard);
                    }
                    Err(error) => event(&format!("take err {error:?} | {error}")),
                }
            }
            "give" => {
                drop(guards.remove(words[1]).unwrap());
                event("give");
            }
            "wait" => {
                let changed = CrossProcessCondvar::open(&segment, words[1]).unwrap();
                let guard = guards.remove(words[2]).unwrap();
                event("waiting");
                match changed.wait(guard) {
                    Ok(guard) => {
                        event("take woken");
                        guards.insert(words[2].into(), guard);
                    }
                    Err(error) => event(&format!("take err {error:?} | {error}")),
                }
            }
            "nest" => event(&format!("nest {:?}", nest(&segment, words[1], words[2]))),
            "quarrel" => event(&format!(
                "quarrel {}",
                quarrel(&segment, words[1], words[2])
            )),
            other => panic!("no such order: {other}"),
        }
        let _ = &runner;
    }
}

/// Takes many locks at once, always in the order of their names.
fn nest(segment: &Segment, seed: &str, times: &str) -> Result<(), LockError> {
    let names = ["a", "b", "c", "d", "e", "f"];
    let locks = names.map(|name| CrossProcessLock::open(segment, name).unwrap());
    let mut random = seed.parse::<u64>().unwrap() * 2 + 1;
    for _ in 0..times.parse::<u64>().unwrap() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut guards = Vec::new();
        for (index, lock) in locks.iter().enumerate() {
            if random >> index & 1 != 0 {
                guards.push(lock.lock()?);
            }
        }
    }
    Ok(())
}

/// Takes two locks in an order of its own, giving way whenever it is told to.
fn quarrel(segment: &Segment, pair: &str, times: &str) -> String {
    let (first, second) = pair.split_once('-').unwrap();
    let first = CrossProcessLock::open(segment, first).unwrap();
    let second = CrossProcessLock::open(segment, second).unwrap();
    let mut done = 0;
    while done < times.parse().unwrap() {
        let _first = match first.lock() {
            Ok(guard) => guard,
            Err(error) => return format!("err {error}"),
        };
        match second.lock() {
            Ok(_) => done += 1,
            Err(LockError::Deadlock { .. }) => {}
            Err(error) => return format!("err {error}"),
        }
    }
    "ok".into()
}

pub fn takers<const N: usize>(place: &Place, segment: &Segment) -> [Agent; N] {
    std::array::from_fn(|index| {
        let mut agent = Agent::spawn(place, "taker", Some(segment));
        agent.tell(&format!("join r{index}"));
        agent.event("join");
        agent
    })
}

pub fn take(agent: &mut Agent, lock: &str) {
    agent.tell(&format!("take {lock}"));
    assert_eq!(agent.event("take"), "died=false");
}

pub fn give(agent: &mut Agent, lock: &str) {
    agent.tell(&format!("give {lock}"));
    agent.event("give");
}

/// Waits until a taker of those says how its waiting ended, and which one it is.
pub fn next(agents: &mut [Agent]) -> (usize, String) {
    let index = support::until("one comes back", || {
        agents.iter_mut().position(|agent| agent.has("take"))
    });
    (index, agents[index].event("take"))
}

pub fn waits(detector: &DeadlockDetector, count: usize) {
    until_true("they wait", || detector.waiters().unwrap().len() == count);
}

/// Each holds the lock of its number and wants that of the next.
pub fn in_a_ring(place: &Place, agents: &mut [Agent]) {
    let locks = ["a", "b", "c", "d"];
    let count = agents.len();
    for (agent, lock) in agents.iter_mut().zip(locks) {
        take(agent, lock);
    }
    let detector = DeadlockDetector::observing(place.observe());
    for (index, agent) in agents.iter_mut().enumerate() {
        agent.tell(&format!("take {}", locks[(index + 1) % count]));
        if index + 1 < count {
            waits(&detector, index + 1);
        }
    }
}
