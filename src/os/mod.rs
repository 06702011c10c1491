//! The only system calls of the crate.

#[cfg(all(test, target_os = "linux"))]
pub(crate) mod asleep;
pub(crate) mod clock;
pub(crate) mod descriptor;
pub(crate) mod file;
pub(crate) mod fork;
#[allow(unsafe_code)]
pub(crate) mod futex;
pub(crate) mod notify;
pub(crate) mod pidfd;
pub(crate) mod process;
#[allow(unsafe_code)]
pub(crate) mod signal;
