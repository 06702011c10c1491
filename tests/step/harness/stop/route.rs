//! The route of an operation: where on it the thread is stopped.
//!
//! A stop matters only by what other processes do before the next access of the segment or
//! the next system call. So the points of a route are the instructions that access the
//! segment's mapping, and the system calls; the thread is stopped before each. Between two
//! of them it touches nothing that another process sees, so a stop at any other instruction
//! is the same as one at the next point.

use std::collections::HashMap;

use nix::sys::ptrace;
use nix::unistd::Pid;

use crate::harness::arch::{Memory, Registers, is_syscall, memory, whole};
use crate::harness::area::Areas;

/// The next step of a thread that is stopped at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read or write a word of the segment.
    Access,
    /// The same by one atomic step.
    Atomic,
    /// Call the system, by this number.
    Call(u64),
    /// Nothing that another process sees.
    Plain,
}

/// A point: the `nth` time (from 1) that the thread comes to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub address: u64,
    pub nth: u64,
    /// Instructions before it when the route was learned; names the point in messages.
    pub index: u64,
    pub kind: Kind,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let base = base();
        let offset = self.address.wrapping_sub(base);
        write!(f, "{} ({:?} {offset:#x}", self.index, self.kind)?;
        match self.nth {
            1 => f.write_str(")"),
            nth => write!(f, ", time {nth})"),
        }
    }
}

/// Where the test binary is mapped: the same in all processes forked from the driver.
fn base() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let start = maps.split('-').next().unwrap_or_default();
    u64::from_str_radix(start, 16).unwrap_or(0)
}

/// The route of an operation.
pub struct Route {
    pub points: Vec<Point>,
    /// Instructions from the first to the last.
    pub length: u64,
}

#[derive(Clone, Copy)]
struct Decoded {
    memory: Memory,
    is_atomic: bool,
    is_call: bool,
}

/// Learns a route while a thread is stepped along it.
pub struct Learner {
    thread: Pid,
    process: Pid,
    directory: String,
    areas: Areas,
    code: HashMap<u64, Decoded>,
    seen: HashMap<u64, u64>,
    steps: u64,
    after_call: bool,
    /// Every instruction is a point.
    every: bool,
    pub points: Vec<Point>,
}

impl Learner {
    pub fn new(process: Pid, directory: String, every: bool) -> Self {
        Self {
            thread: process,
            process,
            areas: Areas::of(process, &directory),
            directory,
            code: HashMap::new(),
            seen: HashMap::new(),
            steps: 0,
            after_call: false,
            every,
            points: Vec::new(),
        }
    }

    /// The thread is this one.
    pub fn follow(&mut self, thread: Pid) {
        self.thread = thread;
    }

    /// The thread is stopped before an instruction, which is executed next.
    pub fn stands(&mut self) {
        if std::mem::take(&mut self.after_call) {
            // It may have mapped a segment.
            self.areas = Areas::of(self.process, &self.directory);
        }
        let Ok(registers) = Registers::read(self.thread) else {
            return;
        };
        let address = registers.pc();
        let thread = self.thread;
        let decoded = *self
            .code
            .entry(address)
            .or_insert_with(|| decode(thread, address));
        let nth = self.seen.entry(address).or_default();
        *nth += 1;
        let touches = match decoded.memory {
            Memory::None => false,
            Memory::At(operand) => self.areas.contains(operand.address(&registers)),
            Memory::Unknown => true,
        };
        let kind = match (decoded.is_call, touches, decoded.is_atomic) {
            (true, ..) => Kind::Call(registers.next_number()),
            (false, true, true) => Kind::Atomic,
            (false, true, false) => Kind::Access,
            (false, false, _) => Kind::Plain,
        };
        self.after_call = decoded.is_call;
        if self.every || kind != Kind::Plain {
            self.points.push(Point {
                address,
                nth: *nth,
                index: self.steps,
                kind,
            });
        }
        self.steps += 1;
    }

    /// Instructions stepped so far.
    pub fn length(&self) -> u64 {
        self.steps
    }
}

fn decode(thread: Pid, address: u64) -> Decoded {
    let word = |at: u64| {
        let word = ptrace::read(thread, at as ptrace::AddressType).ok()?;
        Some(word.cast_unsigned())
    };
    let (first, second) = (word(address).unwrap_or(0), word(address + 8).unwrap_or(0));
    let code = [first.to_le_bytes(), second.to_le_bytes()].concat();
    let (memory, is_atomic) = match whole(address, word) {
        // String instructions and exclusive sequences, which are run as one.
        Some(_) => (memory(&code).0, true),
        None => memory(&code),
    };
    Decoded {
        memory,
        is_atomic,
        is_call: is_syscall(first),
    }
}
