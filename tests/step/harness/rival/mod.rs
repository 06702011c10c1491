//! Peers under the same fire: what else one might take for a lock or an event between
//! processes, killed at every instruction in the same way.
//!
//! - [`raw`]: `raw_sync` over `shared_memory`. - [`robust`]: a robust pthread mutex.
//! - [`python`]: `multiprocessing.Lock`, killed at random times.
//!
//! Nothing survives a lost lock, so each kill has an object and a survivor of its own.

mod python;
mod raw;
mod robust;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::harness::board::Board;
use crate::harness::fork::{self, Forked};
use crate::harness::trace::{self, Code, Seen, Tracee};

/// How long a survivor tries before it calls a lock lost.
pub const TRIES: Duration = Duration::from_millis(200);
/// How long a victim that is woken is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a survivor that was to return at once is waited for.
const RETURNS: Duration = Duration::from_millis(300);

/// What a survivor found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It went on.
    Fine = 10,
    /// It went on, and was told of the death.
    Told,
    /// It tried in vain: nobody will ever have it again.
    Lost,
    /// It never returned from a call without a timeout.
    Hung,
    /// It was let in while the dead one was inside, and not told.
    Violated,
}

impl Found {
    const ALL: [Self; 5] = [
        Self::Fine,
        Self::Told,
        Self::Lost,
        Self::Hung,
        Self::Violated,
    ];
}

/// One object in memory that forked processes share.
pub trait Contest {
    /// In the victim: what is stepped.
    fn act(&self, board: &Board);
    /// In the driver: ends the victim's sleep.
    fn wake(&self) {}
    /// In a survivor, after the kill.
    fn survive(&self, board: &Board) -> Found;
}

/// The figures of one peer's operation.
#[derive(Debug)]
pub struct Score {
    pub name: &'static str,
    pub length: u64,
    pub kills: u64,
    found: [u64; 5],
}

impl Score {
    pub const HEAD: &'static str = "\
| peer | instructions | kills | went on | told of the death | lost | hung | violated |
|---|--:|--:|--:|--:|--:|--:|--:|";

    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            length: 0,
            kills: 0,
            found: [0; 5],
        }
    }

    pub fn add(&mut self, found: Found) {
        self.kills += 1;
        self.found[found as usize - Found::Fine as usize] += 1;
    }

    pub fn row(&self) -> String {
        let found = self.found.map(|count| count.to_string()).join(" | ");
        let length = match self.length {
            0 => "random".into(),
            length => length.to_string(),
        };
        format!("| {} | {length} | {} | {found} |", self.name, self.kills)
    }
}

/// A peer: its name, and how to make one.
pub type Rival = (&'static str, fn() -> Box<dyn Contest>);

/// Those that are stepped.
pub const ALL: &[Rival] = &[
    ("raw_sync mutex: lock, unlock", raw::mutex),
    ("raw_sync event: set", raw::event_set),
    ("raw_sync event: wait", raw::event_wait),
    ("pthread robust mutex: lock, unlock", robust::mutex),
];

pub use python::score as python;

/// Kills after every `stride`-th instruction from a first one on, and in every sleep.
pub fn score(rival: Rival, first: u64, stride: u64) -> Score {
    let (name, make) = rival;
    let mut score = Score::new(name);
    let mut code = Code::new();
    let board = Board::new();
    let mut sleeps = BTreeSet::new();
    let mut kill = |after: u64, in_sleep: bool| {
        let (at, found) = one(make, board, &mut code, &mut sleeps, (after, in_sleep));
        score.add(found);
        score.length = score.length.max(at);
        at
    };
    let mut after = first;
    while kill(after, false) == after {
        after += stride;
    }
    // Those seen so far.
    let seen: Vec<u64> = std::mem::take(&mut sleeps).into_iter().collect();
    for at in seen {
        let (_, found) = one(make, board, &mut code, &mut sleeps, (at, true));
        score.add(found);
    }
    score
}

fn one(
    make: fn() -> Box<dyn Contest>,
    board: &'static Board,
    code: &mut Code,
    sleeps: &mut BTreeSet<u64>,
    (after, in_sleep): (u64, bool),
) -> (u64, Found) {
    board.clear();
    let contest = make();
    let mut victim = fork::run(|| {
        trace::submit();
        trace::mark();
        contest.act(board);
        trace::mark();
    });
    let tracee = Tracee::new(victim.pid());
    assert_eq!(tracee.first_mark(), Some(Seen::Marked));
    let mut done = 0;
    while done < after || in_sleep {
        let mut seen = tracee.step(code);
        if seen == Seen::Asleep {
            sleeps.insert(done);
            if in_sleep {
                break;
            }
            contest.wake();
            seen = tracee.wake(PATIENCE).expect("it is woken");
        }
        match seen {
            Seen::Stepped => done += 1,
            _ => break,
        }
    }
    victim.shoot();
    victim.end();
    let survivor = fork::run(|| std::process::exit(contest.survive(board) as i32));
    (done, verdict(&survivor))
}

/// What a survivor says by its exit status, if it comes to its end.
fn verdict(survivor: &Forked) -> Found {
    let begin = Instant::now();
    loop {
        let status = waitpid(survivor.pid(), Some(WaitPidFlag::WNOHANG));
        match status {
            Ok(WaitStatus::Exited(_, code)) => {
                let found = Found::ALL.into_iter().find(|found| *found as i32 == code);
                return found.expect("a verdict");
            }
            Ok(WaitStatus::StillAlive) if begin.elapsed() < TRIES + RETURNS => {}
            Ok(WaitStatus::StillAlive) => return Found::Hung,
            other => panic!("{other:?}"),
        }
        // Its end has no notice with a timeout.
        std::thread::sleep(Duration::from_micros(100));
    }
}
