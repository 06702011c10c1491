//! Stops: SIGSTOP at random instants, for random lengths, to whole processes.
//!
//! The lengths are log-uniform from a microsecond to three seconds: as many between one
//! and ten microseconds as between one and ten milliseconds. A stop counts from the instant
//! when the kernel reports that every thread of the process is stopped. One in sixteen of
//! the stopped is killed at the end of its stop; all others get SIGCONT.
//!
//! At most a third of the processes is stopped for longer than ten milliseconds at a time,
//! else nothing would be left to go on meanwhile: beyond that the length is drawn from
//! below. Lengths and fates come from a stream of random numbers of their own, so the seed
//! repeats them; which instruction they meet is the scheduler's choice.
//!
//! About a fifth of the stops comes from the members themselves, aimed at the middle of a call
//! (`member/aim.rs`); their lengths and ends are drawn here, too.
//!
//! Single threads are not stopped: a signal stops the whole process, and a ptrace stop of
//! one thread needs a tracer that would see every signal and every death. What one stopped
//! thread in a living process can do is met by preemption (there are ten times as many
//! threads as processors), and instruction by instruction in `tests/step`.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::Toll;
use super::member::Member;
use crate::ledger::Ledger;
use crate::random::Random;

const SHORTEST: Duration = Duration::from_micros(1);
const LONGEST: Duration = Duration::from_secs(3);
/// Longer ones are long.
const LONG: Duration = Duration::from_millis(10);
/// Longest pause between two stops.
const GAP: Duration = Duration::from_millis(3);
/// A stop that the kernel has not reported by then ends all the same: there is more to do
/// than there are processors, and the process never came to run.
const UNREPORTED: Duration = Duration::from_millis(20);
/// Shorter ones are not slept over.
const BRIEF: Duration = Duration::from_micros(200);
/// Shorter sleeps are not worth a sleep.
const SPIN: Duration = Duration::from_micros(60);

/// How a stop ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Continued,
    Killed,
}

/// A stop of one process.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    length: Duration,
    end: End,
    sent: Instant,
    /// Since all its threads are stopped.
    since: Option<Instant>,
}

impl Stop {
    pub fn holds(&self) -> bool {
        self.since.is_some()
    }

    /// When it is over, as things are.
    fn until(&self) -> Instant {
        match self.since {
            Some(since) => since + self.length,
            None => self.sent + self.length + UNREPORTED,
        }
    }

    /// Waits for the end of a brief one without sleeping.
    fn watch(&mut self, pid: Pid) {
        while self.since.is_none() && self.sent.elapsed() < BRIEF {
            self.observe(pid);
        }
        while self
            .since
            .is_some_and(|since| since.elapsed() < self.length)
        {
            std::hint::spin_loop();
        }
    }

    /// Asks the kernel whether all threads are stopped.
    fn observe(&mut self, pid: Pid) {
        if self.since.is_none() && is_reported(pid) {
            self.since = Some(Instant::now());
        }
    }
}

/// When the next stop is due, and what the stops are.
pub struct Stops {
    random: Random,
    next: Instant,
}

impl Stops {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::stream(seed, 1),
            next: Instant::now(),
        }
    }

    /// Stops, continues and kills until then.
    pub fn run(
        &mut self,
        members: &mut [Member],
        ledger: &Ledger,
        toll: &mut Toll,
        until: Instant,
    ) {
        loop {
            let now = Instant::now();
            let mut due = until;
            for at in 0..members.len() {
                self.adopt(members, at, ledger, toll);
                due = due.min(advance(&mut members[at], ledger, toll, now).unwrap_or(until));
            }
            if now >= until {
                return;
            }
            if now >= self.next {
                self.begin(members, ledger, toll);
                let gap = self.random.below(GAP.as_micros() as u64);
                self.next = now + Duration::from_micros(gap);
                continue;
            }
            let left = due.min(self.next).saturating_duration_since(Instant::now());
            // A stop that is about to begin is asked for again soon.
            let waits = members.iter().any(|member| !member.is_at_rest());
            let most = if waits { SPIN } else { left };
            match left.min(most) {
                brief if brief < SPIN => std::thread::yield_now(),
                long => std::thread::sleep(long),
            }
        }
    }

    /// What a stop is to be, if it begins now. All is drawn whatever comes of it, so that
    /// the next ones are the same.
    fn draw(&mut self, members: &[Member]) -> (Stop, u64) {
        let length = self.random.log_uniform(SHORTEST, LONGEST);
        let below = self.random.log_uniform(SHORTEST, LONG);
        let is_killed = self.random.once_in(16);
        let whom = self.random.next();
        let is_long = |member: &&Member| member.stop.is_some_and(|stop| stop.length > LONG);
        let long = members.iter().filter(is_long).count();
        let is_full = long >= (members.len() / 3).max(1);
        let stop = Stop {
            length: if is_full { length.min(below) } else { length },
            end: if is_killed {
                End::Killed
            } else {
                End::Continued
            },
            sent: Instant::now(),
            since: None,
        };
        (stop, whom)
    }

    fn begin(&mut self, members: &mut [Member], ledger: &Ledger, toll: &mut Toll) {
        let (mut stop, whom) = self.draw(members);
        let mut free: Vec<_> = members.iter_mut().filter(|m| m.stop.is_none()).collect();
        if free.is_empty() {
            return;
        }
        let at = whom as usize % free.len();
        let member = &mut free[at];
        if !member.is_running() {
            return;
        }
        ledger.note_stop(member.process);
        toll.stopped += 1;
        member.signal(Signal::SIGSTOP);
        stop.sent = Instant::now();
        if stop.length < BRIEF {
            // To the microsecond, as far as the kernel reports it soon.
            stop.watch(member.pid());
        }
        toll.held += u64::from(stop.holds());
        member.stop = Some(stop);
    }

    /// A member that stopped itself has a stop from now on.
    fn adopt(&mut self, members: &mut [Member], at: usize, ledger: &Ledger, toll: &mut Toll) {
        if members[at].stop.is_some() || !is_reported(members[at].pid()) {
            return;
        }
        let (mut stop, _) = self.draw(members);
        let member = &mut members[at];
        ledger.note_stop(member.process);
        toll.stopped += 1;
        toll.aimed += 1;
        toll.held += 1;
        stop.since = Some(Instant::now());
        member.stop = Some(stop);
    }
}

/// Whether the kernel reports, for the first time, that all threads are stopped.
pub fn is_reported(pid: Pid) -> bool {
    // Takes the notice of the stop, and of nothing else: an end is still to be waited for.
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
    matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::Stopped(..)))
}

/// Ends the stop of a member that is due; else says when to ask again.
fn advance(member: &mut Member, ledger: &Ledger, toll: &mut Toll, now: Instant) -> Option<Instant> {
    let pid = member.pid();
    let stop = member.stop.as_mut()?;
    let held = stop.holds();
    stop.observe(pid);
    toll.held += u64::from(stop.holds() && !held);
    if now < stop.until() {
        return Some(stop.until());
    }
    match stop.end {
        End::Killed => member.kill(ledger, toll),
        End::Continued => member.go_on(),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_repeats_the_lengths_and_the_fates() {
        let draw = |seed| {
            let mut random = Stops::new(seed).random;
            let one = |_| (random.log_uniform(SHORTEST, LONGEST), random.once_in(16));
            (0..100).map(one).collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        assert!(
            draw(5)
                .iter()
                .any(|(length, _)| *length < Duration::from_micros(50))
        );
        assert!(
            draw(5)
                .iter()
                .any(|(length, _)| *length > Duration::from_millis(500))
        );
    }
}
