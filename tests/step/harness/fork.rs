//! Processes forked from the driver, which has one thread and never attaches to a segment.
//! They are the test binary again, with the same addresses in all of them, and cost a tenth
//! of starting the binary anew: that is what makes a kill at every instruction affordable.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// A forked process; killed and waited for when dropped.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
    is_over: bool,
}

/// Runs `body` in a new process, which ends with it.
pub fn run(body: impl FnOnce()) -> Forked {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    assert_eq!(threads, 1, "only a process of one thread may fork");
    // SAFETY:
    // - the process has one thread (just counted), so the child's copy of every lock and of
    //   the allocator is in a consistent state, and it may do whatever its parent might.
    match unsafe { fork() }.expect("a process") {
        ForkResult::Parent { child } => Forked {
            pid: child,
            is_over: false,
        },
        ForkResult::Child => {
            // Nothing is left over when the driver is killed.
            let _ = set_pdeathsig(Signal::SIGKILL);
            let ended = catch_unwind(AssertUnwindSafe(body));
            exit(i32::from(ended.is_err()));
        }
    }
}

impl Forked {
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// SIGKILL, without waiting for it.
    pub fn shoot(&self) {
        if !self.is_over {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }

    /// Waits until it has stopped itself, untraced.
    pub fn stops(&self) {
        let stopped = waitpid(self.pid, Some(WaitPidFlag::WUNTRACED));
        assert!(
            matches!(stopped, Ok(WaitStatus::Stopped(..))),
            "{stopped:?}"
        );
    }

    /// Waits for the end; a stop on the way is none.
    pub fn end(&mut self) -> Option<WaitStatus> {
        while !self.is_over {
            match waitpid(self.pid, None) {
                Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => {
                    self.is_over = true;
                    return Some(status);
                }
                Ok(_) => {}
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => self.is_over = true,
            }
        }
        None
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        self.shoot();
        self.end();
    }
}
