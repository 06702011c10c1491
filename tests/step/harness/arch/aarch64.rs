//! AArch64. A single-stepped load-exclusive loses its reservation, so the C library and the
//! program must use the atomic instructions of ARMv8.1 (both do where the processor has them).
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// Length of the instruction that calls the system.
pub const SYSCALL_BYTES: u64 = 4;
/// The register set that holds the number of the system call under way.
const NT_ARM_SYSTEM_CALL: usize = 0x404;

/// Whether the code (little-endian) begins with a system call.
pub fn is_syscall(code: u64) -> bool {
    code & 0xffff_ffff == 0xd400_0001
}

/// There is no instruction that stops more than once when stepped.
pub fn repeated(_code: u64) -> Option<u64> {
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

    pub fn argument(&self, index: usize) -> u64 {
        self.0.regs[index]
    }

    /// What a system call answered.
    pub fn answer(&self) -> i64 {
        self.0.regs[0].cast_signed()
    }

    /// About to execute the system call instruction at `at`.
    pub fn calling(mut self, at: u64, number: u64, arguments: [u64; 3]) -> Self {
        self.0.pc = at;
        self.0.regs[8] = number;
        self.0.regs[..3].copy_from_slice(&arguments);
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
    let mut number = number as i32;
    let mut part = libc::iovec {
        iov_base: (&raw mut number).cast(),
        iov_len: size_of::<i32>(),
    };
    // SAFETY:
    // - PTRACE_SETREGSET reads an iovec that lives through the call;
    // - its buffer is an i32, the size of this register set, and lives through the call.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_SETREGSET,
            thread.as_raw(),
            NT_ARM_SYSTEM_CALL as *mut libc::c_void,
            &raw mut part,
        )
    };
    Errno::result(result).map(drop)
}

/// Not used here: everything is stepped, which takes longer and finds the same.
pub fn break_at(_thread: Pid, _address: Option<u64>) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}
