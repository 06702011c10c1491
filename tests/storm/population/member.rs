//! One child process.

use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Toll;
use super::stops::Stop;
use crate::ledger::{Head, Ledger};

pub struct Member {
    child: Child,
    /// Its number in the ledger.
    pub process: usize,
    pub kind: &'static str,
    pub stop: Option<Stop>,
    /// Sent a signal that may end it, so its end is no surprise.
    pub is_doomed: bool,
}

impl Member {
    pub fn new(child: Child, process: usize, kind: &'static str) -> Self {
        Self {
            child,
            process,
            kind,
            stop: None,
            is_doomed: false,
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        // Not waited for yet, so the pid is its own.
        let _ = kill(self.pid(), signal);
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether its end has been waited for.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Stopped, as the kernel says, or not to be stopped.
    pub fn is_at_rest(&self) -> bool {
        self.stop.is_none_or(|stop| stop.holds())
    }

    /// Kills it, if it has not ended by itself. The doom is written down first.
    pub fn kill(&mut self, ledger: &Ledger, toll: &mut Toll) {
        let stop = self.stop.take();
        if !self.is_running() {
            return;
        }
        self.is_doomed = true;
        ledger.doom(self.process);
        ledger.add(Head::Kills);
        self.signal(Signal::SIGKILL);
        toll.killed += 1;
        toll.killed_stopped += u64::from(stop.is_some_and(|stop| stop.holds()));
    }

    pub fn terminate(&mut self, ledger: &Ledger, toll: &mut Toll) {
        // One that has a handler, and has written so, is not ended by this.
        if !ledger.survives_term(self.process) {
            ledger.doom(self.process);
        }
        self.is_doomed = true;
        ledger.add(Head::Kills);
        self.signal(Signal::SIGTERM);
        toll.terminated += 1;
    }

    pub fn go_on(&mut self) {
        self.stop = None;
        self.signal(Signal::SIGCONT);
    }

    /// Waits until the kernel says that it is not stopped.
    ///
    /// # Errors
    /// It stays stopped.
    pub fn until_it_runs(&mut self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        while self.is_running() && self.is_stopped() {
            if Instant::now() > end {
                return Err(format!("{} {} stays stopped", self.kind, self.pid()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        let state = |stat: &String| stat.rsplit_once(") ")?.1.chars().next();
        stat.ok().as_ref().and_then(state) == Some('T')
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
