//! x86-64.

use std::mem::offset_of;

use nix::sys::ptrace;
use nix::unistd::Pid;

use super::Ends;

/// Length of the instruction that calls the system.
pub const SYSCALL_BYTES: u64 = 2;

/// Whether the code (little-endian) begins with a system call.
pub fn is_syscall(code: u64) -> bool {
    code & 0xffff == 0x050f
}

/// Whether a thread that stands at a breakpoint is stopped by it again instead of going on.
pub const STOPS_AGAIN: bool = false;

/// What begins at an address and is to be run as one: a string instruction with a repeat
/// prefix stops once for each repetition when stepped.
pub fn whole(at: u64, code: impl Fn(u64) -> Option<u64>) -> Option<Ends> {
    let [prefix, second, third, ..] = code(at)?.to_le_bytes();
    let is_string = |opcode| matches!(opcode, 0xa4..=0xa7 | 0xaa..=0xaf);
    let length = match (prefix, second) {
        (0xf2 | 0xf3, opcode) if is_string(opcode) => 2,
        (0xf2 | 0xf3, 0x40..=0x4f) if is_string(third) => 3,
        _ => return None,
    };
    Some([at + length; 2])
}

/// The general registers of a stopped thread.
#[derive(Clone, Copy)]
pub struct Registers(libc::user_regs_struct);

impl Registers {
    pub fn read(thread: Pid) -> nix::Result<Self> {
        ptrace::getregs(thread).map(Self)
    }

    pub fn write(self, thread: Pid) -> nix::Result<()> {
        ptrace::setregs(thread, self.0)
    }

    /// Address of the next instruction.
    pub fn pc(&self) -> u64 {
        self.0.rip
    }

    /// The number of the system call that is under way.
    pub fn number(&self) -> u64 {
        self.0.orig_rax
    }

    pub fn argument(&self, index: usize) -> u64 {
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10, self.0.r8][index]
    }

    /// What a system call answered.
    pub fn answer(&self) -> i64 {
        self.0.rax.cast_signed()
    }

    /// About to execute the system call instruction at `at`.
    pub fn calling(mut self, at: u64, number: u64, arguments: [u64; 3]) -> Self {
        self.0.rip = at;
        self.0.rax = number;
        // No system call is under way: nothing to be restarted.
        self.0.orig_rax = u64::MAX;
        [self.0.rdi, self.0.rsi, self.0.rdx] = arguments;
        self
    }

    /// Corrects what a stop at a system call shows otherwise than it is, by what a later stop
    /// showed: nothing here.
    pub fn corrected(self, _later: &Self) -> Self {
        self
    }

    /// These of a stop at the entry of a system call, about to execute it once more.
    pub fn again(mut self) -> Self {
        self.0.rip -= SYSCALL_BYTES;
        self.0.rax = self.0.orig_rax;
        self
    }
}

/// Turns the system call at whose entry a thread stands into another one.
pub fn change_entry(
    thread: Pid,
    mut entry: Registers,
    number: u64,
    arguments: [u64; 3],
) -> nix::Result<()> {
    entry.0.orig_rax = number;
    [entry.0.rdi, entry.0.rsi, entry.0.rdx] = arguments;
    entry.write(thread)
}

/// Stops the thread, and no other one, before it executes an instruction at one of two
/// addresses; `None`: no more. An error where there is no such means.
pub fn break_at(thread: Pid, addresses: Option<Ends>) -> nix::Result<()> {
    const REGISTERS: usize = offset_of!(libc::user, u_debugreg);
    const CONTROL: usize = REGISTERS + 7 * size_of::<u64>();
    let set = |offset: usize, value: u64| {
        ptrace::write_user(thread, offset as ptrace::AddressType, value.cast_signed())
    };
    set(CONTROL, 0)?;
    if let Some([one, other]) = addresses {
        set(REGISTERS, one)?;
        set(REGISTERS + size_of::<u64>(), other)?;
        // Bits 0 and 2: these registers count for this thread, as addresses of code.
        set(CONTROL, 0b101)?;
    }
    Ok(())
}
