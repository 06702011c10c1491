//! Another process may write anything into a segment. Whatever it is, every call gives
//! an answer or a typed error: no panic, no crash, no endless wait.
//!
//! The body of a segment is overwritten through another descriptor, at random but by a
//! printed seed, and everything is tried on it in a child process: a crash or a hang is
//! the child's, and is told with its seed.
//!
//! Spared are the life words' cache lines of threads that are attached at the moment:
//! the C library keeps its own list of robust mutexes in them and follows it, so a peer
//! that writes *there* is trusted, as `docs/design.md` says of the same user id.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::hostile_calls;
use crate::state_hostile as state;
use crate::support::{Agent, Child, HANG, Place, both_with, event, reply};
use ebbtide::{
    CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, DeadlockDetector, Mode, Phase,
    Runner, Scope, Segment, ShutdownCoordinator, ShutdownRequest,
};

const HEADER: usize = 4096;
pub(crate) const SHORT: Duration = Duration::from_millis(2);

/// What the child is trying, for its own watchdog.
static TRYING: Mutex<&str> = Mutex::new("nothing");
static STEPS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn trying(what: &'static str) {
    *TRYING.lock().unwrap() = what;
    STEPS.fetch_add(1, Ordering::Relaxed);
}

/// Ends this child when one step takes for ever.
fn watch_steps() {
    std::thread::spawn(|| {
        loop {
            let before = STEPS.load(Ordering::Relaxed);
            std::thread::sleep(HANG / 2);
            if STEPS.load(Ordering::Relaxed) == before {
                let what = *TRYING.lock().unwrap();
                event(&format!("hangs in {what}"));
                eprintln!("the victim hangs in {what}");
                std::process::abort();
            }
        }
    });
}

/// A small generator of pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A word of a kind that tables are made of, or of none.
    fn word(&mut self) -> u64 {
        match self.below(6) {
            0 => self.next(),
            1 => self.next() % 8,
            2 => self.next() & 0xffff,
            3 => u64::MAX,
            4 => 1 << self.below(64),
            _ => 0,
        }
    }
}

/// Overwrites the body in one of several ways, but for the spared lines.
fn scribble(file: &File, random: &mut Random, spared: &[usize]) {
    let length = file.metadata().unwrap().len() as usize;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let before = bytes.clone();
    let body = &mut bytes[HEADER..];
    match random.below(6) {
        // Everything.
        0 => body
            .chunks_exact_mut(8)
            .for_each(|word| word.copy_from_slice(&random.next().to_le_bytes())),
        1 => body
            .chunks_exact_mut(8)
            .for_each(|word| word.copy_from_slice(&random.word().to_le_bytes())),
        2 => body.fill([0xff, 0x55, 0x01][random.below(3)]),
        // Some words.
        3 => {
            for _ in 0..body.len() / 8 / 50 {
                let at = random.below(body.len() / 8) * 8;
                body[at..at + 8].copy_from_slice(&random.word().to_le_bytes());
            }
        }
        // What is true at one place, at another.
        4 => {
            for _ in 0..40 {
                let size = 8 << random.below(12);
                let from = random.below((body.len() - size) / 8) * 8;
                let to = random.below((body.len() - size) / 8) * 8;
                body.copy_within(from..from + size, to);
            }
        }
        // Single bits, where anything is written at all.
        _ => {
            let used: Vec<usize> = (0..body.len()).filter(|at| body[*at] != 0).collect();
            for _ in 0..(used.len() / 20).max(8) {
                let at = match used.len() {
                    0 => random.below(body.len()),
                    some => used[random.below(some)],
                };
                body[at] ^= 1 << random.below(8);
            }
        }
    }
    for line in spared {
        bytes[*line..line + 64].copy_from_slice(&before[*line..line + 64]);
    }
    // In pieces, so that the spared lines are not even rewritten.
    let mut at = HEADER;
    for line in spared.iter().copied().chain([length]) {
        file.write_all_at(&bytes[at..line], at as u64).unwrap();
        at = (line + 64).min(length);
    }
}

/// The cache lines that begin with the id of a thread of this process.
fn life_lines(file: &File) -> Vec<usize> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let ids: Vec<u32> = tasks
        .flatten()
        .filter_map(|task| task.file_name().to_str()?.parse().ok())
        .collect();
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    (HEADER..bytes.len())
        .step_by(64)
        .filter(|line| {
            // The C library keeps the word first or second.
            bytes[*line..line + 8].chunks_exact(4).any(|word| {
                let word = u32::from_le_bytes(word.try_into().unwrap());
                ids.contains(&(word & 0x3fff_ffff))
            })
        })
        .collect()
}

/// A group with something in every table.
struct Lived {
    segment: Segment,
    runner: Runner,
    lock: CrossProcessLock,
    changed: CrossProcessCondvar,
    flag: CrossProcessEvent,
}

impl Lived {
    fn new(segment: Segment, random: &mut Random) -> Self {
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
        let flag = CrossProcessEvent::open(&segment, "flag").unwrap();
        runner.set_activity("living");
        hostile_calls::try_resources(&runner);
        runner.set_last_words("none yet").unwrap();
        drop(lock.lock().unwrap());
        state::leave_some(&segment);
        // In a shutdown of either kind, or in none.
        let request = ShutdownRequest::new().timeout(Duration::from_secs(60));
        match random.below(3) {
            0 => drop(
                coordinator
                    .initiate_shutdown(&Scope::All, &request)
                    .unwrap(),
            ),
            1 => drop(
                coordinator
                    .initiate_shutdown(&Scope::runner("a"), &request)
                    .unwrap(),
            ),
            _ => {}
        }
        Self {
            segment,
            runner,
            lock,
            changed,
            flag,
        }
    }

    /// Every call that has a bound of its own.
    fn try_all(&self) {
        let Self {
            segment,
            runner,
            lock,
            changed,
            flag,
        } = self;
        try_coordinator(&ShutdownCoordinator::new(segment));
        trying("runner");
        let _ = (
            runner.is_shutting_down(),
            runner.phase(),
            runner.mode(),
            runner.in_flight(),
        );
        let _ = runner.begin().map(drop);
        runner.progress();
        runner.set_activity("trying");
        let _ = runner.set_last_words("still none");
        let _ = runner.extend(SHORT);
        trying("wait_for_shutdown");
        let _ = runner.wait_for_shutdown(Some(SHORT));
        trying("acknowledge");
        for phase in Phase::ACKNOWLEDGED {
            let _ = runner.acknowledge(phase);
        }
        trying("lock");
        let _ = lock.holder();
        let _ = lock.try_lock().map(drop);
        let _ = lock
            .lock_timeout(SHORT)
            .map(|guard| guard.mark_consistent());
        trying("condvar");
        if let Ok(guard) = lock.try_lock() {
            let _ = changed.notify_all();
            // It may need the lock again, which somebody may hold by now; so not here.
            drop(guard);
        }
        let _ = changed.notify_one();
        trying("event");
        let _ = flag.wait(Some(SHORT));
        let _ = (flag.set(), flag.is_set(), flag.clear());
        trying("shared state");
        state::try_all(segment, SHORT);
        let _ = flag.latest();
        if let Ok(mut sets) = flag.subscribe() {
            let _ = (sets.next(Some(SHORT)), sets.try_next());
        }
        hostile_calls::try_rendezvous(segment);
        trying("open names");
        let _ = CrossProcessCondvar::open(segment, "changed-2");
        let _ = CrossProcessEvent::open(segment, "flag-2");
        let _ = CrossProcessLock::open(segment, "device-2")
            .map(|lock| lock.lock_timeout(SHORT).map(drop));
        hostile_calls::try_detector(&DeadlockDetector::new(segment));
        hostile_calls::try_resources(runner);
        trying("reap");
        let _ = segment.reap();
        trying("leave");
        runner.leave();
    }
}

fn try_coordinator(coordinator: &ShutdownCoordinator) {
    trying("status");
    let _ = coordinator.status().map(|status| format!("{status:?}"));
    let request = ShutdownRequest::new().timeout(SHORT).mode(Mode::Fast);
    for scope in [Scope::All, Scope::runner("a")] {
        trying("report");
        let _ = coordinator
            .report(&scope)
            .map(|report| format!("{report:?}"));
        let _ = coordinator
            .laggards(&scope)
            .map(|laggards| format!("{laggards:?}"));
        trying("initiate");
        let _ = coordinator.initiate_shutdown(&scope, &request);
        trying("wait");
        let _ = coordinator
            .wait_for_shutdown_complete(&scope, SHORT)
            .map_err(|error| error.to_string());
        trying("escalate");
        let _ = coordinator.escalate(&scope, Mode::Immediate);
        trying("cancel");
        let _ = coordinator.cancel_shutdown(&scope);
    }
    trying("runner by id");
    if let Ok(handle) = coordinator.runner("a") {
        let _ = coordinator.check_shutdown_signal(handle);
    }
    let _ = coordinator.process("a").map(drop);
    trying("generation");
    let _ = coordinator.begin_generation();
    let _ = coordinator.wait_gone(1, SHORT);
}

fn victim(child: &Child) {
    watch_steps();
    let order = child.order();
    let words: Vec<&str> = order.split(' ').collect();
    let first: u64 = words[1].parse().unwrap();
    let rounds: u64 = words[2].parse().unwrap();
    let options = &child.options;
    let (mut opened, mut refused) = (0, 0);
    for seed in first..first + rounds {
        event(&format!("seed {seed}"));
        let mut random = Random::new(seed);
        let lived = Lived::new(options.create(Place::NAME).unwrap(), &mut random);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(lived.segment.path())
            .unwrap();
        if words[0] == "attached" {
            for _ in 0..3 {
                scribble(&file, &mut random, &life_lines(&file));
                lived.try_all();
            }
            trying("drop");
            drop(lived);
        } else {
            drop(lived);
            scribble(&file, &mut random, &[]);
        }
        trying("observe");
        let observer = options.observe(Place::NAME).unwrap();
        let _ = observer.status().map(|status| format!("{status:?}"));
        let _ = observer.report().map(|report| format!("{report:?}"));
        trying("open");
        match options.open(Place::NAME) {
            Ok(segment) => {
                opened += 1;
                try_coordinator(&ShutdownCoordinator::new(&segment));
                trying("open names");
                let lock = CrossProcessLock::open(&segment, "device");
                let changed = CrossProcessCondvar::open(&segment, "changed");
                let flag = CrossProcessEvent::open(&segment, "flag");
                trying("join");
                let runner = Runner::join(&segment, "b");
                if let (Ok(lock), Ok(changed), Ok(flag), Ok(runner)) = (lock, changed, flag, runner)
                {
                    Lived {
                        segment,
                        runner,
                        lock,
                        changed,
                        flag,
                    }
                    .try_all();
                }
            }
            Err(_) => refused += 1,
        }
        trying("remove");
        options.remove(Place::NAME, true).unwrap();
    }
    reply(&format!("{opened} opened, {refused} refused"));
}

fn run(place: &Place, how: &str, rounds: u64) {
    let seed = std::env::var("EBBTIDE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(u64::from(std::process::id()) << 16);
    let mut child = Agent::spawn(place, "victim", None);
    println!("{how}: seeds from {seed}");
    child.tell(&format!("{how} {seed} {rounds}"));
    for seed in seed..seed + rounds {
        assert_eq!(child.event("seed"), seed.to_string());
    }
    println!("{how}: {}", child.reply("the last round"));
    assert!(child.ended().success());
}

#[test]
fn a_segment_overwritten_before_it_is_opened_is_answered_for() {
    both_with(here!(), &[("victim", victim)], |place| {
        run(place, "fresh", 150)
    });
}

#[test]
fn a_segment_overwritten_under_its_users_is_answered_for() {
    both_with(here!(), &[("victim", victim)], |place| {
        run(place, "attached", 60)
    });
}
