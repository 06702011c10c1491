//! All child processes of a round, and what is done to them.

mod member;
mod stops;

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ebbtide::{Liveness, Segment};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ledger::{Head, Ledger, PROCESSES};
use crate::plan::{Kind, Plan};
use crate::random::Random;
use crate::support::{self, Agent, Place};
use member::Member;
use stops::Stops;

pub const SCRATCH: &str = "EBBTIDE_TEST_SCRATCH";
const PROCESS: &str = "EBBTIDE_TEST_PROCESS";
const SEED: &str = "EBBTIDE_TEST_SEED";

/// In a child: its number in the ledger, and the seed of its own choices.
pub fn number() -> (usize, u64) {
    let number = |name| std::env::var(name).unwrap().parse().unwrap();
    (number(PROCESS) as usize, number(SEED))
}

pub const KINDS: [&str; 4] = ["runner", "initiator", "reaper", "joiner"];

/// The number of the parent, which is never killed.
pub const PARENT: usize = 0;

/// What was done to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Toll {
    pub started: u64,
    pub killed: u64,
    /// Of those, by the plan, not at the end of a stop.
    pub struck: u64,
    pub killed_stopped: u64,
    pub stopped: u64,
    /// Stops of which the kernel reported that all threads were stopped.
    pub held: u64,
    /// Stops of members by themselves, in the middle of a call.
    pub aimed: u64,
    pub terminated: u64,
}

pub struct Population<'a> {
    place: &'a Place,
    segment: &'a Segment,
    ledger: Arc<Ledger>,
    scratch: PathBuf,
    plan: Plan,
    pub random: Random,
    members: Vec<Member>,
    stops: Stops,
    pub toll: Toll,
}

impl<'a> Population<'a> {
    pub fn new(place: &'a Place, segment: &'a Segment, ledger: &Arc<Ledger>, plan: &Plan) -> Self {
        let scratch = place.scratch("storm");
        for directory in ["files", "output", "own"] {
            std::fs::create_dir_all(scratch.join(directory)).unwrap();
        }
        Self {
            place,
            segment,
            ledger: Arc::clone(ledger),
            scratch,
            plan: *plan,
            random: Random::new(plan.seed),
            members: Vec::new(),
            stops: Stops::new(plan.seed),
            toll: Toll::default(),
        }
    }

    /// Starts as many as are missing of each kind.
    pub fn fill_up(&mut self, wanted: [usize; KINDS.len()]) {
        for (kind, wanted) in KINDS.into_iter().zip(wanted) {
            for _ in self.count(kind)..wanted {
                self.start(kind);
            }
        }
    }

    fn start(&mut self, kind: &'static str) {
        let process = self.toll.started as usize + PARENT + 1;
        assert!(
            process < PROCESSES,
            "a round this long needs a longer ledger"
        );
        let mut command = Agent::command(self.place, kind);
        // Both back ends in one segment. The portable one knows a process by its byte lock
        // alone, so nobody may lose it in such a round.
        let is_mixed = self.place.liveness == Liveness::Auto && !self.plan.closes;
        if self.random.once_in(8) && is_mixed {
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
        self.ledger.set_pid(process, child.id());
        self.toll.started += 1;
        self.members.push(Member::new(child, process, kind));
    }

    fn output(&self, process: usize) -> PathBuf {
        self.scratch.join("output").join(process.to_string())
    }

    /// Kills or terminates a process.
    pub fn strike(&mut self) {
        let (deed, several) = (self.random.below(20), self.random.below(4));
        let whom = [(); 5].map(|()| self.random.next());
        match deed {
            // Several at once: who was to notice the one is the other.
            0 => whom[..2 + several as usize]
                .iter()
                .for_each(|whom| self.kill(*whom)),
            1..=13 => self.kill(whom[0]),
            14..=15 if self.plan.kind != Kind::Patient => {
                let (ledger, toll) = (&self.ledger, &mut self.toll);
                if let Some(member) = pick(&mut self.members, whom[0]) {
                    member.terminate(ledger, toll);
                }
            }
            _ => {}
        }
    }

    /// Rather one that is not stopped: else few would live to go on.
    fn kill(&mut self, whom: u64) {
        let (spares, whom) = (!whom.is_multiple_of(8), whom / 8);
        if let Some(member) = pick(&mut self.members, whom)
            && !(spares && member.stop.is_some())
        {
            let before = self.toll.killed;
            member.kill(&self.ledger, &mut self.toll);
            self.toll.struck += self.toll.killed - before;
        }
    }

    /// Stops and continues members at random until then.
    pub fn stop_and_go(&mut self, until: Instant) {
        let toll = &mut self.toll;
        self.stops.run(&mut self.members, &self.ledger, toll, until);
    }

    /// The processes that are there now.
    pub fn pids(&self) -> Vec<Pid> {
        self.members.iter().map(Member::pid).collect()
    }

    /// Lets all go on. None stops itself any more, once it has read so.
    ///
    /// # Errors
    /// A process stays stopped.
    pub fn go_on(&mut self) -> Result<(), String> {
        for member in &mut self.members {
            member.go_on();
        }
        let mut all = self.members.iter_mut();
        all.try_for_each(|member| member.until_it_runs(support::HANG))
    }

    /// Waits for those that have ended, without blocking, and checks how they ended.
    pub fn collect(&mut self) {
        let mut index = 0;
        while index < self.members.len() {
            let Some(status) = self.members[index].ended() else {
                index += 1;
                continue;
            };
            let member = self.members.swap_remove(index);
            self.ledger.end(member.process);
            if !self.is_expected(&member, status) {
                let text = std::fs::read_to_string(self.output(member.process));
                let text = text.unwrap_or_default();
                let mut text: Vec<_> = text.lines().rev().take(20).collect();
                text.reverse();
                let who = self.ledger.describe(member.process);
                let kind = member.kind;
                let text = format!("{kind} {who} ended: {status}\n{}", text.join("\n"));
                self.ledger.violate(&text);
            }
        }
    }

    fn is_expected(&self, member: &Member, status: ExitStatus) -> bool {
        let stop = match member.kind {
            "runner" => Head::Stop,
            _ => Head::StopVisitors,
        };
        let ended = status.success() && self.ledger.get(stop) != 0;
        ended || member.is_doomed && matches!(status.signal(), Some(libc::SIGKILL | libc::SIGTERM))
    }

    /// Ends and waits for all that are left.
    pub fn end(mut self) -> Toll {
        for member in self.members.drain(..) {
            let process = member.process;
            self.ledger.doom(process);
            drop(member);
            self.ledger.end(process);
        }
        self.toll
    }

    pub fn count(&self, kind: &str) -> usize {
        let of_it = self.members.iter().filter(|member| member.kind == kind);
        of_it.count()
    }

    /// Waits until all of a kind have ended by themselves.
    ///
    /// # Errors
    /// Those that hang.
    pub fn until_ended(&mut self, kind: &str) -> Result<(), String> {
        let end = Instant::now() + support::HANG;
        while self.count(kind) > 0 {
            if Instant::now() > end {
                let all = self.members.iter();
                let all: Vec<_> = all.map(|it| self.ledger.describe(it.process)).collect();
                return Err(format!("{kind}s that do not end: {all:?}"));
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
            self.collect();
        }
        Ok(())
    }
}

/// Lets those go on that stop themselves still: they had not read that it is over. Until
/// `is_over` is set.
pub fn release(pids: &[Pid], is_over: &AtomicBool) {
    while !is_over.load(Ordering::Acquire) {
        for pid in pids {
            // Reported of a child that was not waited for, so the pid is its own.
            if stops::is_reported(*pid) {
                let _ = kill(*pid, Signal::SIGCONT);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn pick(members: &mut [Member], whom: u64) -> Option<&mut Member> {
    let count = members.len();
    members.get_mut((whom as usize).checked_rem(count)?)
}
