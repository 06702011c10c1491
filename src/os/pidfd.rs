//! A descriptor that names a process by identity.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::os::descriptor::Kept;
use crate::os::process::start_time;
use crate::os::signal;

/// A process by identity: unlike a pid it never comes to mean another one.
#[derive(Debug)]
pub(crate) struct Pidfd {
    descriptor: Kept<OwnedFd>,
    pid: u32,
    start_time: u64,
}

impl Pidfd {
    /// Opens the process `pid` of this pid namespace, provided that it started at
    /// `start_time`. `None` when that very process is gone.
    ///
    /// # Errors
    /// The kernel has no pidfds, no descriptor is left, or [`start_time`] is unknown.
    pub(crate) fn open(pid: u32, expected_start_time: u64) -> io::Result<Option<Self>> {
        let Ok(number) = libc::pid_t::try_from(pid) else {
            return Ok(None);
        };
        if number == 0 {
            return Ok(None);
        }
        let descriptor = match signal::pidfd_open(number) {
            Ok(descriptor) => Kept::of_process(descriptor, pid),
            // EINVAL: the number is that of a thread, not of a process.
            Err(Errno::ESRCH | Errno::EINVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Identity after opening: if it fits now, then the expected process lives
        // now; it lived already when the caller learned its start time, that is
        // before the opening; so it had the pid at the opening, too.
        Ok(
            (start_time(pid)? == Some(expected_start_time)).then_some(Self {
                descriptor,
                pid,
                start_time: expected_start_time,
            }),
        )
    }

    /// Sends a signal. `false` when the process is gone. Where the program has closed the
    /// descriptor, the process is found again by its identity.
    ///
    /// # Errors
    /// No permission to signal it; where the descriptor is lost, as [`open`](Self::open).
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<bool> {
        if let Some(descriptor) = self.descriptor.get() {
            return send(descriptor, signal);
        }
        match Self::open(self.pid, self.start_time)? {
            Some(again) => send(again.descriptor.inner(), signal),
            None => Ok(false),
        }
    }
}

fn send(descriptor: &OwnedFd, signal: Signal) -> io::Result<bool> {
    match signal::pidfd_send_signal(descriptor.as_fd(), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl AsFd for Pidfd {
    /// Readable (`poll`) when the process has been torn down.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.inner().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_signalled_by_identity() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let start = start_time(child.id()).unwrap().unwrap();
        assert!(Pidfd::open(child.id(), start + 1).unwrap().is_none());
        assert!(Pidfd::open(0, 0).unwrap().is_none());
        assert!(Pidfd::open(u32::MAX, 0).unwrap().is_none());
        let process = Pidfd::open(child.id(), start).unwrap().unwrap();
        assert!(process.signal(Signal::SIGKILL).unwrap());
        child.wait().unwrap();
        assert!(!process.signal(Signal::SIGKILL).unwrap());
        assert!(Pidfd::open(child.id(), start).unwrap().is_none());
    }
}
