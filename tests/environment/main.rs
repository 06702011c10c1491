//! Strange surroundings: namespaces, limits, full and frozen things, old kernels.
//!
//! A test that the kernel or the privileges forbid says so on standard error
//! (`NOT TESTED …`), with the reason. Processes are moved into their surroundings between
//! fork and exec; this one never is. `docs/reliability.md` has the list of what is
//! guaranteed where.

#[allow(unused)]
#[macro_use]
#[path = "../process/support/mod.rs"]
mod support;

mod cgroups;
mod clocks;
mod disks;
mod filter;
mod forking;
mod hands;
mod large;
mod launch;
mod limits;
mod lost;
mod missing;
mod namespaces;
mod past;
mod recycled;
mod spawning;
mod tables;
