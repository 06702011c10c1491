//! Killed at every instruction: a process runs one operation of the public API under
//! ptrace, is killed by SIGKILL after exactly k instructions, for every k, and then a
//! survivor must do everything and find nothing wrong.
//!
//! - `operation`: what victims die in, and their peers' part in it; with the twins, broken
//!   on purpose, which must be found out.
//! - `stage`: a victim's means; `board`: what is remembered of it outside the segment.
//! - `survivor`, `peer`, `check`: the process that lives on, and what it must find.
//! - `sweep`, `tally`: the kills, and what came of them; `path`: a shorter way there.
//! - `trace`, `arch`: one stepped thread. `crew`, `area`: all threads of a process,
//!   stopped at system calls and touches of the segment. `fork`: the processes.
//! - `rival`: peers under the same fire.
//! - `stop`: a process that is stopped instead, while others live on, and goes on later.
//!
//! The driver is this process: it has one thread and never attaches to a segment. Victims and
//! survivors are forked from it. Of a victim only the main thread is traced (in set-up and
//! tear-down all are); its keeper and whatever it starts run freely, and SIGKILL ends them
//! all.
//!
//! `ci/kill-sweep.sh` and `ci/stop-sweep.sh` have the long forms; `settings` the variables.

#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod harness;

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn main() -> std::process::ExitCode {
    harness::run()
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn main() {
    println!("step: skipped: single-stepping is written for Linux on x86-64 and AArch64");
}
