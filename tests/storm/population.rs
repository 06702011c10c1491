//! All child processes of a round, and the killer among them.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebbtide::{Liveness, Segment};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{self, Agent, Place};

use super::ledger::{Head, Ledger, PROCESSES};
use super::random::Random;
use super::twin::Twin;

pub const SCRATCH: &str = "EBBTIDE_TEST_SCRATCH";
const PROCESS: &str = "EBBTIDE_TEST_PROCESS";
const SEED: &str = "EBBTIDE_TEST_SEED";

/// In a child: its number in the ledger, and the seed of its own chances.
pub fn number() -> (usize, u64) {
    let number = |name| std::env::var(name).unwrap().parse().unwrap();
    (number(PROCESS) as usize, number(SEED))
}

pub const KINDS: [&str; 3] = ["runner", "initiator", "reaper"];

struct Soul {
    child: Child,
    process: usize,
    kind: &'static str,
    stopped_until: Option<Instant>,
    /// Ended by us, so its end is no surprise.
    doomed: bool,
}

impl Soul {
    fn signal(&self, signal: Signal) {
        // Not waited for yet, so the pid is its own.
        let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
    }
}

impl Drop for Soul {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was done to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Toll {
    pub started: u64,
    pub killed: u64,
    pub stopped: u64,
    pub terminated: u64,
}

pub struct Population<'a> {
    place: &'a Place,
    segment: &'a Segment,
    ledger: Arc<Ledger>,
    scratch: PathBuf,
    twin: Twin,
    pub random: Random,
    souls: Vec<Soul>,
    pub toll: Toll,
}

impl<'a> Population<'a> {
    pub fn new(
        place: &'a Place,
        segment: &'a Segment,
        ledger: &Arc<Ledger>,
        twin: Twin,
        random: Random,
    ) -> Self {
        let scratch = place.scratch("storm");
        for directory in ["files", "output"] {
            std::fs::create_dir_all(scratch.join(directory)).unwrap();
        }
        Self {
            place,
            segment,
            ledger: Arc::clone(ledger),
            scratch,
            twin,
            random,
            souls: Vec::new(),
            toll: Toll::default(),
        }
    }

    /// Starts as many as are missing of each kind.
    pub fn fill_up(&mut self, wanted: [usize; KINDS.len()]) {
        for (kind, wanted) in KINDS.into_iter().zip(wanted) {
            let there = self.souls.iter().filter(|soul| soul.kind == kind).count();
            for _ in there..wanted {
                self.start(kind);
            }
        }
    }

    fn start(&mut self, kind: &'static str) {
        let process = self.toll.started as usize;
        assert!(
            process < PROCESSES,
            "a round this long needs a longer ledger"
        );
        let mut command = Agent::command(self.place, kind);
        self.twin.name(&mut command);
        if self.place.liveness == Liveness::Auto && self.random.once_in(8) {
            // Both back ends in one segment.
            command.env("EBBTIDE_LIVENESS", "portable");
        }
        let output = File::create(self.output(process)).unwrap();
        command
            .env(Segment::VARIABLE, self.segment.token().to_string())
            .env(SCRATCH, &self.scratch)
            .env(PROCESS, process.to_string())
            .env(SEED, self.random.next().to_string())
            .stdin(Stdio::piped())
            .stderr(output.try_clone().unwrap())
            .stdout(output);
        let child = command.spawn().unwrap();
        self.toll.started += 1;
        self.souls.push(Soul {
            child,
            process,
            kind,
            stopped_until: None,
            doomed: false,
        });
    }

    fn output(&self, process: usize) -> PathBuf {
        self.scratch.join("output").join(process.to_string())
    }

    /// Something happens to somebody.
    pub fn strike(&mut self) {
        if self.souls.is_empty() {
            return;
        }
        match self.random.below(20) {
            0 => {
                // Several at once: who was to notice the one is the other.
                for _ in 0..2 + self.random.below(4) {
                    self.kill_one();
                }
            }
            1..=11 => self.kill_one(),
            12..=14 => {
                let until = Instant::now() + self.random.millis(1, 150);
                let soul = self.any();
                soul.signal(Signal::SIGSTOP);
                soul.stopped_until = Some(until);
                self.toll.stopped += 1;
            }
            15..=16 => {
                let soul = self.any();
                soul.doomed = true;
                soul.signal(Signal::SIGTERM);
                self.toll.terminated += 1;
            }
            _ => {}
        }
    }

    fn any(&mut self) -> &mut Soul {
        let index = self.random.below(self.souls.len() as u64) as usize;
        &mut self.souls[index]
    }

    fn kill_one(&mut self) {
        let soul = self.any();
        // One that has ended by itself is no kill.
        if matches!(soul.child.try_wait(), Ok(None)) {
            soul.doomed = true;
            soul.signal(Signal::SIGKILL);
            self.toll.killed += 1;
        }
    }

    /// Lets those go on who were stopped for long enough.
    pub fn go_on(&mut self, all: bool) {
        for soul in &mut self.souls {
            if soul
                .stopped_until
                .is_some_and(|until| all || until <= Instant::now())
            {
                soul.signal(Signal::SIGCONT);
                soul.stopped_until = None;
            }
        }
    }

    /// Waits for those that have ended, without blocking, and looks at how.
    pub fn bury(&mut self) {
        let mut index = 0;
        while index < self.souls.len() {
            let Some(status) = self.souls[index].child.try_wait().unwrap() else {
                index += 1;
                continue;
            };
            let soul = self.souls.swap_remove(index);
            self.ledger.bury(soul.process);
            if !self.is_expected(&soul, status) {
                let text = std::fs::read_to_string(self.output(soul.process)).unwrap_or_default();
                let text: Vec<_> = text.lines().rev().take(20).collect();
                let text: Vec<_> = text.into_iter().rev().collect();
                let (kind, process) = (soul.kind, soul.process);
                let text = format!("{kind} {process} ended: {status}\n{}", text.join("\n"));
                self.ledger.violate(&text);
            }
        }
    }

    fn is_expected(&self, soul: &Soul, status: ExitStatus) -> bool {
        let stop = match soul.kind {
            "runner" => Head::Stop,
            _ => Head::StopVisitors,
        };
        let ended = status.success() && self.ledger.get(stop) != 0;
        ended || soul.doomed && matches!(status.signal(), Some(libc::SIGKILL | libc::SIGTERM))
    }

    /// Ends and buries whoever is left.
    pub fn end(mut self) -> Toll {
        for soul in self.souls.drain(..) {
            let process = soul.process;
            drop(soul);
            self.ledger.bury(process);
        }
        self.toll
    }

    pub fn count(&self, kind: &str) -> usize {
        self.souls.iter().filter(|soul| soul.kind == kind).count()
    }

    /// Waits until all of a kind have ended by themselves.
    ///
    /// # Errors
    /// Those that hang.
    pub fn until_ended(&mut self, kind: &str) -> Result<(), String> {
        let end = Instant::now() + support::HANG;
        while self.count(kind) > 0 {
            if Instant::now() > end {
                let pids: Vec<_> = self.souls.iter().map(|soul| soul.child.id()).collect();
                return Err(format!("{kind}s that do not end: {pids:?}"));
            }
            std::thread::sleep(Duration::from_millis(1));
            self.bury();
        }
        Ok(())
    }
}
