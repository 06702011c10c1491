//! What differs between processors: registers, breakpoints, and how code looks.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as native;
#[cfg(target_arch = "x86_64")]
use x86_64 as native;

pub use native::{
    Registers, STOPS_AGAIN, SYSCALL_BYTES, break_at, change_entry, is_syscall, memory, whole,
};

/// Where code that is run as one ends: the next instruction is at one of these addresses.
pub type Ends = [u64; 2];

/// How an instruction finds the memory that it reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    base: Option<u8>,
    /// A register, and by how many bits it is shifted.
    index: Option<(u8, u8)>,
    displacement: i64,
}

impl Operand {
    /// The address, with these registers.
    pub fn address(&self, registers: &Registers) -> u64 {
        let base = self.base.map_or(0, |number| registers.general(number));
        let (number, shift) = self.index.unwrap_or_default();
        let index = match self.index {
            Some(_) => registers.general(number) << shift,
            None => 0,
        };
        base.wrapping_add(index)
            .wrapping_add_signed(self.displacement)
    }
}

/// What an instruction does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    None,
    At(Operand),
    Unknown,
}
