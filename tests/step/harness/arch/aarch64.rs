//! AArch64.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

use super::{Ends, Memory, Operand};

/// Length of the instruction that calls the system, as of every other one.
pub const SYSCALL_BYTES: u64 = 4;
/// The register set of the breakpoints.
const NT_ARM_HW_BREAK: usize = 0x402;
/// The register set that holds the number of the system call under way.
const NT_ARM_SYSTEM_CALL: usize = 0x404;
/// The longest sequence between an exclusive load and its store, in instructions.
const SEQUENCE: u64 = 16;

/// Whether a thread that stands at a breakpoint is stopped by it again instead of going on.
pub const STOPS_AGAIN: bool = true;

/// Whether the code (little-endian) begins with a system call.
pub fn is_syscall(code: u64) -> bool {
    code & 0xffff_ffff == 0xd400_0001
}

/// What begins at an address and is to be run as one: from an exclusive load to its store,
/// which fails for ever when anything stops the thread in between. Nobody sees anything of
/// it before the store. (With the atomic instructions of ARMv8.1 there are none.)
pub fn whole(at: u64, code: impl Fn(u64) -> Option<u64>) -> Option<Ends> {
    let word = |at: u64| code(at).map(|word| word as u32);
    // Those of pairs, of half the sizes, are compare-and-swap instructions.
    let is_swap = |word: u32| word & 0x8020_0000 == 0x0020_0000;
    let is_load = |word: u32| word & 0x3fc0_0000 == 0x0840_0000 && !is_swap(word);
    let is_store = |word: u32| word & 0x3fc0_0000 == 0x0800_0000 && !is_swap(word);
    // On a condition, or on a register that is zero or not.
    let is_branch =
        |word: u32| word & 0xff00_0010 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000;
    if !is_load(word(at)?) {
        return None;
    }
    let mut left = None;
    for next in (1..SEQUENCE).map(|nth| at + nth * SYSCALL_BYTES) {
        let word = word(next)?;
        if is_store(word) {
            let end = next + SYSCALL_BYTES;
            return Some([end, left.unwrap_or(end)]);
        }
        if is_branch(word) {
            // 19 bits, signed, of instructions.
            let distance = i64::from((word << 8).cast_signed() >> 13) * 4;
            if left.replace(next.wrapping_add_signed(distance)).is_some() {
                return None;
            }
        }
    }
    None
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
        self.0.pc
    }

    /// The number of the system call that is under way.
    pub fn number(&self) -> u64 {
        self.0.regs[8]
    }

    /// The number of the system call whose instruction the thread is stopped before.
    pub fn next_number(&self) -> u64 {
        self.0.regs[8]
    }

    pub fn argument(&self, index: usize) -> u64 {
        self.0.regs[index]
    }

    /// What a system call answered.
    pub fn answer(&self) -> i64 {
        self.0.regs[0].cast_signed()
    }

    /// A general register by its number in an instruction.
    pub fn general(&self, number: u8) -> u64 {
        match self.0.regs.get(usize::from(number)) {
            Some(value) => *value,
            None => self.0.sp,
        }
    }

    /// About to execute the system call instruction at `at`.
    pub fn calling(mut self, at: u64, number: u64, arguments: [u64; 3]) -> Self {
        self.0.pc = at;
        self.0.regs[8] = number;
        self.0.regs[..3].copy_from_slice(&arguments);
        self
    }

    /// Corrects what a stop at a system call shows otherwise than it is, by what a later stop
    /// showed: the kernel puts into register 7 whether it is the entry or the return.
    pub fn corrected(mut self, later: &Self) -> Self {
        self.0.regs[7] = later.0.regs[7];
        self
    }

    /// These of a stop at the entry of a system call, about to execute it once more.
    pub fn again(mut self) -> Self {
        self.0.pc -= SYSCALL_BYTES;
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
    entry.0.regs[..3].copy_from_slice(&arguments);
    entry.write(thread)?;
    set(thread, NT_ARM_SYSTEM_CALL, &mut (number as i32))
}

/// Writes a register set of a stopped thread, or its beginning.
fn set<T>(thread: Pid, set: usize, value: &mut T) -> nix::Result<()> {
    let mut part = libc::iovec {
        iov_base: (&raw mut *value).cast(),
        iov_len: size_of::<T>(),
    };
    // SAFETY:
    // - PTRACE_SETREGSET reads an iovec that lives through the call;
    // - its buffer is `value`, of that length, and lives through the call.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_SETREGSET,
            thread.as_raw(),
            set as *mut libc::c_void,
            &raw mut part,
        )
    };
    Errno::result(result).map(drop)
}

/// The beginning of the register set of breakpoints.
#[repr(C)]
struct Breakpoints {
    /// About the processor, only read.
    about: u64,
    each: [Breakpoint; 2],
}

#[repr(C)]
struct Breakpoint {
    address: u64,
    control: u64,
}

/// Stops the thread, and no other one, before it executes an instruction at one of two
/// addresses; `None`: no more. An error where there is no such means.
pub fn break_at(thread: Pid, addresses: Option<Ends>) -> nix::Result<()> {
    // Enabled, in user code, on all four bytes.
    let control = if addresses.is_some() {
        0xf << 5 | 0b10 << 1 | 1
    } else {
        0
    };
    let each = addresses
        .unwrap_or_default()
        .map(|address| Breakpoint { address, control });
    set(thread, NT_ARM_HW_BREAK, &mut Breakpoints { about: 0, each })
}

/// The memory that an instruction reads or writes, and whether it does so by one atomic
/// step. Of the address only the base register is read: a segment is larger than any
/// distance from it that an instruction can hold.
pub fn memory(code: &[u8]) -> (Memory, bool) {
    let Some(word) = code.first_chunk().map(|word| u32::from_le_bytes(*word)) else {
        return (Memory::Unknown, false);
    };
    let is_access = word & 0x0a00_0000 == 0x0800_0000;
    // Relative to the program counter: never in a mapping made at run time.
    let is_literal = word & 0x3b00_0000 == 0x1800_0000;
    if !is_access || is_literal {
        return (Memory::None, false);
    }
    let is_exclusive = word & 0x3f80_0000 == 0x0800_0000;
    let is_swap = word & 0x3fa0_7c00 == 0x08a0_7c00;
    let is_atomic = word & 0x3b20_0c00 == 0x3820_0000;
    let operand = Operand {
        base: Some((word >> 5 & 31) as u8),
        index: None,
        displacement: 0,
    };
    (Memory::At(operand), is_exclusive || is_swap || is_atomic)
}
