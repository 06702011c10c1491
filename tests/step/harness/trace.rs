//! One thread under ptrace: stepping it, and noticing that it sleeps in a system call.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::sched_yield;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::harness::arch::{Ends, Registers, STOPS_AGAIN, break_at, is_syscall, whole};

/// Longer than any system call of a victim takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(30);
/// The marks of a victim: it stops by this signal.
const MARK: Signal = Signal::SIGSTOP;

/// In the victim: from here on the driver has this thread. Threads that exist already are
/// not traced, nor those it starts: they run freely.
pub fn submit() {
    ptrace::traceme().expect("ptrace is allowed (it was a moment ago)");
}

/// In the victim: the driver waits for this.
pub fn mark() {
    let _ = raise(MARK);
}

/// What the driver sees of a victim's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It stands before the next instruction.
    Stepped,
    /// It is blocked in a system call; [`Tracee::wake`] waits for its return.
    Asleep,
    /// It stands after a system call in which it was to sleep until an instant that had passed
    /// already: stepping takes longer than some sleeps.
    Overslept,
    /// It has stopped at a mark.
    Marked,
    /// It has received a signal that is no mark.
    Signal(Signal),
    /// The process has ended.
    Ended,
}

/// The operating thread of a victim: its main thread.
#[derive(Debug)]
pub struct Tracee {
    pid: Pid,
    state: String,
    /// Where [`Self::run`] stops.
    target: Cell<Option<u64>>,
}

/// What there is to know of the instructions at the addresses met so far: victims are forks
/// of one process, so code stays where it is.
pub type Code = HashMap<u64, Kind>;

/// A kind of instruction.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Plain,
    /// Calls the system, where it may sleep.
    Calls,
    /// Begins what is run as one, and counts as one: it would stop often, or be undone by a
    /// stop in its middle. Where that ends.
    Whole(Ends),
}

impl Kind {
    /// Of the instruction at an address.
    pub fn of(thread: Pid, pc: u64) -> Self {
        let code = |at: u64| {
            let word = ptrace::read(thread, at as ptrace::AddressType).ok()?;
            Some(word.cast_unsigned())
        };
        match whole(pc, code) {
            Some(ends) => Self::Whole(ends),
            None if code(pc).is_some_and(is_syscall) => Self::Calls,
            None => Self::Plain,
        }
    }
}

impl Tracee {
    pub fn new(pid: Pid) -> Self {
        Self {
            pid,
            state: format!("/proc/{pid}/syscall"),
            target: Cell::new(None),
        }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for a stop, as long as it takes the victim to set its scene; `None` if that is
    /// longer than it can be.
    pub fn first_mark(&self) -> Option<Seen> {
        self.stopped(PATIENCE)
    }

    /// Executes one instruction.
    pub fn step(&self, code: &mut Code) -> Seen {
        let Ok(registers) = Registers::read(self.pid) else {
            return Seen::Ended;
        };
        let pc = registers.pc();
        let kind = *code.entry(pc).or_insert_with(|| Kind::of(self.pid, pc));
        if let Kind::Whole(ends) = kind
            && break_at(self.pid, Some(ends)).is_ok()
        {
            let seen = self.go_on();
            let _ = break_at(self.pid, None);
            return seen;
        }
        if ptrace::step(self.pid, None).is_err() {
            return Seen::Ended;
        }
        if matches!(kind, Kind::Calls) {
            return match self.returned_or_asleep() {
                Seen::Stepped if self.is_overslept() => Seen::Overslept,
                seen => seen,
            };
        }
        match waitpid(self.pid, Some(WaitPidFlag::__WALL)) {
            Ok(status) => Self::seen(status),
            Err(_) => Seen::Ended,
        }
    }

    /// Address of the next instruction; 0 when it has ended.
    pub fn pc(&self) -> u64 {
        Registers::read(self.pid).map_or(0, |registers| registers.pc())
    }

    /// From now on [`Self::run`] stops before the instruction at an address. `false` where
    /// the processor cannot do that.
    pub fn break_at(&self, address: Option<u64>) -> bool {
        self.target.set(address);
        break_at(self.pid, address.map(|address| [address; 2])).is_ok()
    }

    /// Runs at full speed until the next stop or sleep, be it at the breakpoint or not.
    pub fn run(&self, code: &mut Code) -> Seen {
        if STOPS_AGAIN && let Some(target) = self.target.get() {
            if target == self.pc() {
                let _ = break_at(self.pid, None);
                let seen = self.step(code);
                if seen != Seen::Stepped || target == self.pc() {
                    return seen;
                }
            }
            let _ = break_at(self.pid, Some([target; 2]));
        }
        self.go_on()
    }

    fn go_on(&self) -> Seen {
        if ptrace::cont(self.pid, None).is_err() {
            return Seen::Ended;
        }
        self.returned_or_asleep()
    }

    /// Waits for the stop after a sleep that is being ended; `None` if it takes longer.
    pub fn wake(&self, patience: Duration) -> Option<Seen> {
        self.stopped(patience)
    }

    fn is_overslept(&self) -> bool {
        let late = -i64::from(libc::ETIMEDOUT);
        Registers::read(self.pid).is_ok_and(|registers| registers.answer() == late)
    }

    fn returned_or_asleep(&self) -> Seen {
        let begin = Instant::now();
        loop {
            if let Some(seen) = self.poll() {
                return seen;
            }
            let _ = sched_yield();
            if self.is_blocked() {
                // Looked at again: it may have stopped between the two looks.
                return self.poll().unwrap_or(Seen::Asleep);
            }
            assert!(begin.elapsed() < PATIENCE, "a system call never ends");
        }
    }

    /// Whether it is blocked in a system call: then the kernel tells its number.
    fn is_blocked(&self) -> bool {
        std::fs::read(&self.state).is_ok_and(|text| text.first().is_some_and(u8::is_ascii_digit))
    }

    fn poll(&self) -> Option<Seen> {
        match waitpid(self.pid, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => None,
            Ok(status) => Some(Self::seen(status)),
            Err(_) => Some(Seen::Ended),
        }
    }

    fn stopped(&self, patience: Duration) -> Option<Seen> {
        let begin = Instant::now();
        loop {
            if let Some(seen) = self.poll() {
                return Some(seen);
            }
            if begin.elapsed() > patience {
                return None;
            }
            // There is no notice of a stop with a timeout; this is the harness's own wait.
            if begin.elapsed() > Duration::from_millis(1) {
                std::thread::sleep(Duration::from_micros(50));
            } else {
                let _ = sched_yield();
            }
        }
    }

    fn seen(status: WaitStatus) -> Seen {
        match status {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => Seen::Stepped,
            WaitStatus::Stopped(_, MARK) => Seen::Marked,
            WaitStatus::Stopped(_, signal) => Seen::Signal(signal),
            _ => Seen::Ended,
        }
    }
}
