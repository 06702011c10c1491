//! A process by identity, for callers whose policy is to send signals.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Child;

use nix::sys::signal::Signal;

use crate::api::coordinator::ShutdownCoordinator;
use crate::error::CoordinationError;
use crate::os::pidfd::Pidfd;
use crate::os::process::{pid_namespace, start_time};

/// A process by identity: unlike a pid it never comes to mean another process.
///
/// The library sends no signal by itself; this is for supervisors who decide to. As it
/// is a descriptor that becomes readable when the process is gone, it can be polled. A
/// forked child may use its parent's: it means the same process there.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::process::Command;
/// use ebbtide::ProcessHandle;
///
/// let mut child = Command::new("sleep").arg("60").spawn()?;
/// let handle = ProcessHandle::of_child(&child)?;
/// assert!(handle.signal(15)?); // SIGTERM
/// child.wait()?;
/// assert!(!handle.signal(15)?); // gone: told, not sent to somebody else
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ProcessHandle {
    /// `None`: it was gone when the handle was made.
    pidfd: Option<Pidfd>,
}

impl ProcessHandle {
    /// The handle of a child of this process that has not been waited for.
    ///
    /// # Errors
    /// No descriptor is left, the kernel has no pidfds (before 5.3), or `/proc` is missing
    /// or that of another pid namespace.
    pub fn of_child(child: &Child) -> io::Result<Self> {
        // A child keeps its pid until it is waited for, so its start time is its own.
        match start_time(child.id())? {
            Some(started) => Self::open(child.id(), started),
            None => Ok(Self { pidfd: None }),
        }
    }

    pub(crate) fn open(pid: u32, started: u64) -> io::Result<Self> {
        let pidfd = Pidfd::open(pid, started)?;
        Ok(Self { pidfd })
    }

    /// Sends a signal by number. False if the process is gone. Never blocks.
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal; no permission.
    pub fn signal(&self, number: i32) -> io::Result<bool> {
        let signal = Signal::try_from(number)?;
        match &self.pidfd {
            Some(pidfd) => pidfd.signal(signal),
            None => Ok(false),
        }
    }

    /// The descriptor to poll for the process's end; `None` if it was gone already.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }
}

impl ShutdownCoordinator {
    /// The process of a living runner by identity, for a caller whose policy is to
    /// signal it.
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`] when no living runner has the id, `System`
    /// when it lives in another pid namespace, `/proc` shows another one than ours, or the
    /// kernel has no pidfds.
    pub fn process(&self, id: &str) -> Result<ProcessHandle, CoordinationError> {
        let core = self.checked()?;
        let absent = || CoordinationError::NoSuchRunner { id: id.into() };
        let (_, member) = self.view().find(id).ok_or_else(absent)?;
        let process = member.process().filter(|_| member.is_counted());
        let identity = process.and_then(|process| core.tables().processes.present(process));
        let identity = identity.ok_or_else(absent)?;
        let system = |source| CoordinationError::System {
            operation: "open the runner's process",
            source,
        };
        let ours = pid_namespace().map_err(system)?;
        if identity.pid_namespace != ours {
            return Err(system(std::io::Error::other(
                "it lives in another pid namespace",
            )));
        }
        if identity.start_time == 0 {
            return Err(system(std::io::Error::other(
                "it could not tell when it was started",
            )));
        }
        ProcessHandle::open(identity.pid, identity.start_time).map_err(system)
    }
}
