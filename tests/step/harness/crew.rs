//! A victim all of whose threads are traced, stopped at each system call and at each
//! instruction that touches the segment's mapping. One thread runs at a time, until it is
//! blocked, so that the events of a run come in the same order in the next.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::sched_yield;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::harness::arch::{Registers, SYSCALL_BYTES, break_at, change_entry};
use crate::harness::area::Areas;
use crate::harness::trace::Kind;

/// Signals that may be under way to one thread.
const SIGNALS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(30);

/// What a victim is about to do, or has just done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is about to call the system.
    Call,
    /// A system call has returned.
    Return,
    /// It is about to execute an instruction that touches the segment.
    Touch,
    /// Its main thread has come to the end of the operation.
    Over,
}

#[derive(Debug)]
struct Thread {
    id: Pid,
    /// Path of the file that tells whether it is blocked.
    state: String,
    at: At,
    /// The registers with which its present system call was entered.
    call: Option<Registers>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Stopped, with a signal to be passed on.
    Ready(Option<Signal>),
    /// Stopped before a system call.
    Entry,
    /// Stopped before an instruction that touches the segment.
    Touching,
    /// Resumed, and blocked or running.
    Away,
}

impl std::fmt::Debug for Registers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {:#x}", self.pc())
    }
}

/// The threads of one victim.
#[derive(Debug)]
pub struct Crew {
    leader: Pid,
    threads: Vec<Thread>,
    /// Index of the one that runs.
    turn: usize,
    areas: Areas,
    is_taken: bool,
    /// An address at which there is a system call instruction.
    call_at: Option<u64>,
}

impl Crew {
    /// Of a process whose main thread stands at its mark; its other threads are attached to.
    pub fn new(leader: Pid, directory: &str) -> nix::Result<Self> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_EXITKILL;
        let mut crew = Self {
            leader,
            threads: Vec::new(),
            turn: 0,
            areas: Areas::of(leader, directory),
            is_taken: false,
            call_at: None,
        };
        ptrace::setoptions(leader, options)?;
        crew.add(leader);
        let tasks = std::fs::read_dir(format!("/proc/{leader}/task")).map_err(|_| Errno::ESRCH)?;
        for task in tasks.flatten() {
            let id = task.file_name().to_string_lossy().parse();
            let id = Pid::from_raw(id.map_err(|_| Errno::EINVAL)?);
            if id != leader {
                match ptrace::attach(id) {
                    // It has ended since it was listed, or is about to.
                    Err(Errno::ESRCH | Errno::EPERM) => continue,
                    attached => attached?,
                }
                if let WaitStatus::Stopped(..) = crew.wait_for(id)? {
                    ptrace::setoptions(id, options)?;
                    crew.add(id);
                }
            }
        }
        Ok(crew)
    }

    fn add(&mut self, id: Pid) {
        self.threads.push(Thread {
            id,
            state: format!("/proc/{}/task/{id}/syscall", self.leader),
            at: At::Ready(None),
            call: None,
        });
    }

    /// Waits for a thread to stop or end.
    fn wait_for(&self, id: Pid) -> nix::Result<WaitStatus> {
        loop {
            match waitpid(id, Some(WaitPidFlag::__WALL)) {
                Err(Errno::EINTR) => {}
                status => return status,
            }
        }
    }

    /// Lets the victim run to its next event.
    pub fn next(&mut self) -> nix::Result<Event> {
        let begin = Instant::now();
        loop {
            if let Some(event) = self.look()? {
                return Ok(event);
            }
            if !self.resume()? {
                // All are blocked: by time, or by another process.
                let _ = sched_yield();
            }
            if begin.elapsed() > PATIENCE {
                return Err(Errno::ETIMEDOUT);
            }
        }
    }

    /// Resumes a thread that is stopped, the one whose turn it was if it is, and waits until
    /// it stops or is blocked. False if there is none.
    fn resume(&mut self) -> nix::Result<bool> {
        let is_stopped = |thread: &Thread| thread.at != At::Away;
        if !self.threads.get(self.turn).is_some_and(is_stopped) {
            match self.threads.iter().position(is_stopped) {
                Some(next) => self.turn = next,
                None => return Ok(false),
            }
        }
        let turn = self.turn;
        let (id, at) = (self.threads[turn].id, self.threads[turn].at);
        match at {
            At::Touching => {
                self.give_back(turn)?;
                self.step(id)?;
                self.take_away(turn)?;
                ptrace::syscall(id, None)?;
            }
            At::Entry => {
                self.allow_call(turn)?;
                ptrace::syscall(id, None)?;
            }
            At::Ready(signal) => {
                self.take_away(turn)?;
                ptrace::syscall(id, signal)?;
            }
            At::Away => {}
        }
        self.threads[turn].at = At::Away;
        let begin = Instant::now();
        while !self.has_stopped(turn)? {
            let state = std::fs::read(&self.threads[turn].state).unwrap_or_default();
            let is_blocked = state.first().is_none_or(u8::is_ascii_digit);
            if is_blocked || begin.elapsed() > PATIENCE {
                break;
            }
            let _ = sched_yield();
        }
        Ok(true)
    }

    /// Executes one instruction, or what is run as one.
    fn step(&self, id: Pid) -> nix::Result<()> {
        let Kind::Whole(ends) = Kind::of(id, Registers::read(id)?.pc()) else {
            ptrace::step(id, None)?;
            return self.wait_for(id).map(drop);
        };
        break_at(id, Some(ends))?;
        ptrace::cont(id, None)?;
        self.wait_for(id)?;
        break_at(id, None)
    }

    fn has_stopped(&self, index: usize) -> nix::Result<bool> {
        use nix::sys::wait::{Id, waitid};
        let id = Id::Pid(self.threads[index].id);
        // Seen, and left to be waited for.
        let flags = WaitPidFlag::__WALL
            | WaitPidFlag::WNOHANG
            | WaitPidFlag::WNOWAIT
            | WaitPidFlag::WEXITED
            | WaitPidFlag::WSTOPPED;
        Ok(waitid(id, flags)? != WaitStatus::StillAlive)
    }

    /// Looks at the threads that are away for one that has stopped at an event.
    fn look(&mut self) -> nix::Result<Option<Event>> {
        for index in 0..self.threads.len() {
            if self.threads[index].at != At::Away {
                continue;
            }
            let id = self.threads[index].id;
            let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
            let event = match waitpid(id, Some(flags))? {
                WaitStatus::StillAlive => continue,
                WaitStatus::PtraceSyscall(_) => self.call_or_return(index)?,
                WaitStatus::PtraceEvent(..) => {
                    let born = Pid::from_raw(ptrace::getevent(id)? as i32);
                    self.wait_for(born)?;
                    self.add(born);
                    // It is on its way out of the call.
                    ptrace::syscall(id, None)?;
                    continue;
                }
                WaitStatus::Stopped(_, Signal::SIGSTOP) if id == self.leader => Event::Over,
                WaitStatus::Stopped(_, Signal::SIGSEGV) if self.is_touch(id)? => {
                    self.threads[index].at = At::Touching;
                    Event::Touch
                }
                WaitStatus::Stopped(_, signal) => {
                    let passed =
                        (signal != Signal::SIGTRAP && signal != Signal::SIGSTOP).then_some(signal);
                    self.threads[index].at = At::Ready(passed);
                    continue;
                }
                // This thread has ended.
                _ => {
                    self.threads.remove(index);
                    self.turn = 0;
                    return self.look();
                }
            };
            self.turn = index;
            return Ok(Some(event));
        }
        Ok(None)
    }

    fn call_or_return(&mut self, index: usize) -> nix::Result<Event> {
        let registers = Registers::read(self.threads[index].id)?;
        match self.threads[index].call.take() {
            None => {
                self.threads[index].call = Some(registers);
                self.threads[index].at = At::Entry;
                Ok(Event::Call)
            }
            Some(call) => {
                self.call_at = Some(registers.pc() - SYSCALL_BYTES);
                if self.areas.follow(&call, registers.answer()) {
                    self.is_taken = false;
                }
                self.threads[index].at = At::Ready(None);
                Ok(Event::Return)
            }
        }
    }

    fn is_touch(&self, id: Pid) -> nix::Result<bool> {
        let info = ptrace::getsiginfo(id)?;
        // SAFETY:
        // - the signal is SIGSEGV, so the kernel has filled in the address.
        let address = unsafe { info.si_addr() };
        Ok(self.is_taken && self.areas.contains(address as u64))
    }

    /// Before a system call into which the segment's addresses go: gives the mapping back.
    fn allow_call(&mut self, index: usize) -> nix::Result<()> {
        let Some(call) = self.threads[index].call else {
            return Ok(());
        };
        // These take lists in which addresses are, or follow the list of robust locks.
        let indirect = [libc::SYS_futex_waitv, libc::SYS_exit, libc::SYS_exit_group];
        let is_direct = (0..5).any(|argument| self.areas.contains(call.argument(argument)));
        let is_indirect = indirect.contains(&call.number().cast_signed());
        if !self.is_taken || !(is_direct || is_indirect) {
            return Ok(());
        }
        self.give_back_at_entry(index)?;
        // The call itself, from its beginning.
        let id = self.threads[index].id;
        call.again().write(id)?;
        ptrace::syscall(id, None)?;
        self.wait_for(id)?;
        Ok(())
    }

    /// At the entry of a system call, which is then another one: `mprotect`, and over.
    fn give_back_at_entry(&mut self, index: usize) -> nix::Result<()> {
        let (id, call) = (self.threads[index].id, self.threads[index].call);
        let Some(call) = call else { return Ok(()) };
        let all: Vec<_> = self.areas.protections(false).collect();
        for (nth, arguments) in all.into_iter().enumerate() {
            if nth > 0 {
                // Once more to an entry.
                call.again().write(id)?;
                ptrace::syscall(id, None)?;
                self.wait_for(id)?;
            }
            change_entry(id, call, libc::SYS_mprotect.cast_unsigned(), arguments)?;
            ptrace::syscall(id, None)?;
            self.wait_for(id)?;
        }
        self.is_taken = false;
        Ok(())
    }

    fn take_away(&mut self, index: usize) -> nix::Result<()> {
        self.protect(index, true)
    }

    fn give_back(&mut self, index: usize) -> nix::Result<()> {
        self.protect(index, false)
    }

    /// Has a stopped thread call `mprotect` between two instructions of its own.
    fn protect(&mut self, index: usize, taken: bool) -> nix::Result<()> {
        let Some(at) = self.call_at else {
            return Ok(());
        };
        if self.areas.is_empty() || self.is_taken == taken {
            return Ok(());
        }
        let id = self.threads[index].id;
        let mut saved = Registers::read(id)?;
        for arguments in self.areas.protections(taken) {
            saved
                .calling(at, libc::SYS_mprotect.cast_unsigned(), arguments)
                .write(id)?;
            let mut seen = WaitStatus::StillAlive;
            // A signal that was under way comes first; it is our own, of attaching.
            for _ in 0..SIGNALS {
                ptrace::step(id, None)?;
                seen = self.wait_for(id)?;
                if Registers::read(id)?.pc() != at {
                    break;
                }
            }
            let after = Registers::read(id)?;
            assert_eq!(after.answer(), 0, "mprotect in the victim: {seen:?}");
            saved = saved.corrected(&after);
        }
        saved.write(id)?;
        self.is_taken = taken;
        Ok(())
    }

    /// Before the kill, so that the kernel finds the robust locks: gives the mapping back.
    pub fn release(&mut self) -> nix::Result<()> {
        if !self.is_taken {
            return Ok(());
        }
        match self.threads.get(self.turn).map(|thread| thread.at) {
            Some(At::Entry) => self.give_back_at_entry(self.turn),
            _ => self.give_back(self.turn),
        }
    }

    /// Waits for the ends of all threads but the leader, after the kill: it ends when they
    /// have been waited for.
    pub fn end(self) {
        for thread in self
            .threads
            .iter()
            .filter(|thread| thread.id != self.leader)
        {
            while let Ok(status) = self.wait_for(thread.id) {
                if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                    break;
                }
            }
        }
    }
}
