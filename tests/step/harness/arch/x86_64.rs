//! x86-64.

use std::mem::offset_of;

use nix::sys::ptrace;
use nix::unistd::Pid;

use super::{Ends, Memory, Operand};

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

    /// The number of the system call whose instruction the thread is stopped before.
    pub fn next_number(&self) -> u64 {
        self.0.rax
    }

    pub fn argument(&self, index: usize) -> u64 {
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10, self.0.r8][index]
    }

    /// What a system call answered.
    pub fn answer(&self) -> i64 {
        self.0.rax.cast_signed()
    }

    /// A general register by its number in an instruction.
    pub fn general(&self, number: u8) -> u64 {
        let all = [
            self.0.rax, self.0.rcx, self.0.rdx, self.0.rbx, self.0.rsp, self.0.rbp, self.0.rsi,
            self.0.rdi, self.0.r8, self.0.r9, self.0.r10, self.0.r11, self.0.r12, self.0.r13,
            self.0.r14, self.0.r15,
        ];
        all[usize::from(number & 15)]
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

/// Reads the beginning of an instruction, byte by byte.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn displacement(&mut self, bytes: usize) -> Option<i64> {
        let mut value = [0; 4];
        for byte in value.iter_mut().take(bytes) {
            *byte = self.next()?;
        }
        Some(match bytes {
            1 => i64::from(value[0].cast_signed()),
            4 => i64::from(i32::from_le_bytes(value)),
            _ => 0,
        })
    }

    /// The memory operand of the ModRM byte that comes next, under a REX prefix.
    fn operand(&mut self, rex: u8) -> Option<Memory> {
        let mode_byte = self.next()?;
        let (mode, low) = (mode_byte >> 6, mode_byte & 7);
        let (mut base, mut index) = (Some(low | (rex & 1) << 3), None);
        let mut displaced = [0, 1, 4, 0][usize::from(mode)];
        match (mode, low) {
            (3, _) => return Some(Memory::None),
            // Relative to the program counter: never in a mapping made at run time.
            (0, 5) => return Some(Memory::None),
            (_, 4) => {
                let scaled = self.next()?;
                let number = (scaled >> 3 & 7) | (rex & 2) << 2;
                index = (number != 4).then_some((number, scaled >> 6));
                base = Some((scaled & 7) | (rex & 1) << 3);
                if mode == 0 && scaled & 7 == 5 {
                    (base, displaced) = (None, 4);
                }
            }
            _ => {}
        }
        let displacement = self.displacement(displaced)?;
        Some(Memory::At(Operand {
            base,
            index,
            displacement,
        }))
    }
}

/// Whether an instruction of the one-byte map has a ModRM byte.
fn has_mode(opcode: u8) -> bool {
    match opcode {
        0x00..=0x3f => opcode & 7 < 4,
        0x63 | 0x69 | 0x6b | 0x80..=0x8f | 0xc0 | 0xc1 | 0xc6 | 0xc7 => true,
        0xd0..=0xd3 | 0xd8..=0xdf | 0xf6 | 0xf7 | 0xfe | 0xff => true,
        _ => false,
    }
}

/// The same of the two-byte map.
fn has_mode_after_0f(opcode: u8) -> bool {
    !matches!(
        opcode,
        0x05..=0x0b | 0x0e | 0x30..=0x37 | 0x77 | 0x80..=0x8f | 0xa0..=0xa2 | 0xa8..=0xaa
            | 0xc8..=0xcf
    )
}

/// The memory that the instruction at the beginning of `code` reads or writes through a
/// general register, and whether it does so by one atomic step. What is not understood is
/// [`Memory::Unknown`]; the stack that a push or a call writes to is left out.
pub fn memory(code: &[u8]) -> (Memory, bool) {
    decode(&mut Bytes(code)).unwrap_or((Memory::Unknown, false))
}

fn decode(bytes: &mut Bytes<'_>) -> Option<(Memory, bool)> {
    let (mut locked, mut rex) = (false, 0);
    let opcode = loop {
        match bytes.next()? {
            0xf0 => locked = true,
            // Of the thread's own data.
            0x64 | 0x65 => return Some((Memory::None, false)),
            0x67 => return None,
            0x66 | 0xf2 | 0xf3 | 0x2e | 0x36 | 0x3e | 0x26 => {}
            prefix @ 0x40..=0x4f => {
                rex = prefix;
                break bytes.next()?;
            }
            opcode => break opcode,
        }
    };
    let plain = Some((Memory::None, false));
    match opcode {
        0x0f => match bytes.next()? {
            // Prefetches and long no-operations.
            0x0d | 0x18..=0x1f => plain,
            0x38 | 0x3a => {
                bytes.next()?;
                Some((bytes.operand(rex)?, locked))
            }
            second if has_mode_after_0f(second) => Some((bytes.operand(rex)?, locked)),
            _ => plain,
        },
        // Vector instructions.
        0xc4 => {
            let inverted = !bytes.next()?;
            bytes.next()?;
            bytes.next()?;
            let rex = (inverted >> 5 & 1) | (inverted >> 5 & 2);
            Some((bytes.operand(rex)?, false))
        }
        0xc5 => {
            bytes.next()?;
            match bytes.next()? {
                0x77 => plain,
                _ => Some((bytes.operand(0)?, false)),
            }
        }
        0x62 | 0xa0..=0xa7 | 0xaa..=0xaf => None,
        0x8d => plain,
        // An exchange with memory is atomic without a prefix.
        0x86 | 0x87 => {
            let operand = bytes.operand(rex)?;
            let is_memory = matches!(operand, Memory::At(_));
            Some((operand, is_memory))
        }
        opcode if has_mode(opcode) => Some((bytes.operand(rex)?, locked)),
        _ => plain,
    }
}
