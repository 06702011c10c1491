//! What differs between processors: registers, and how a system call looks.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::{Registers, SYSCALL_BYTES, break_at, change_entry, is_syscall, repeated};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{Registers, SYSCALL_BYTES, break_at, change_entry, is_syscall, repeated};
