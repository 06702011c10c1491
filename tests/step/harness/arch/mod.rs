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
    Registers, STOPS_AGAIN, SYSCALL_BYTES, break_at, change_entry, is_syscall, whole,
};

/// Where code that is run as one ends: the next instruction is at one of these addresses.
pub type Ends = [u64; 2];
