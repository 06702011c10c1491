//! Starting a child in an environment of its own: namespaces, control groups, filters.
//!
//! All of it happens between fork and exec of the child; the test process itself is
//! never moved.

use std::ffi::CStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::time::{Duration, Instant};

use ebbtide::Segment;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{self, Agent, PARENT, Place};

/// What the child finds itself in.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    flags: libc::c_int,
    /// In a process of its own: the first of its namespaces.
    forks: bool,
    mounts_proc: bool,
    uid_map: Option<&'static str>,
    /// Seconds that its clocks are ahead of ours.
    ahead: Option<i64>,
    /// Its `/proc` hides those that it may not trace, and it may trace only the weaker.
    hides: bool,
    /// System calls that its kernel has not.
    missing: Vec<u32>,
}

impl Launch {
    pub fn new() -> Self {
        Self::default()
    }

    /// A pid namespace of its own, with a `/proc` that shows it.
    pub fn pids(mut self) -> Self {
        self.flags |= libc::CLONE_NEWPID | libc::CLONE_NEWNS;
        self.forks = true;
        self.mounts_proc = true;
        self
    }

    /// A pid namespace of its own, under a `/proc` that shows another one.
    pub fn pids_under_foreign_proc(mut self) -> Self {
        self.flags |= libc::CLONE_NEWPID;
        self.forks = true;
        self
    }

    /// A user namespace of its own, with this map (or none: it is nobody there).
    pub fn users(mut self, map: Option<&'static str>) -> Self {
        self.flags |= libc::CLONE_NEWUSER;
        self.uid_map = map;
        self
    }

    /// A time namespace of its own, whose monotonic and boot clocks are ahead.
    pub fn clocks_ahead(mut self, seconds: i64) -> Self {
        self.flags |= libc::CLONE_NEWTIME;
        self.forks = true;
        self.ahead = Some(seconds);
        self
    }

    /// A mount namespace of its own.
    pub fn mounts(mut self) -> Self {
        self.flags |= libc::CLONE_NEWNS;
        self
    }

    /// A mount namespace of its own whose `/proc` has no entry for processes that it may not
    /// trace (`hidepid`), such as ours.
    pub fn hiding(mut self) -> Self {
        self.flags |= libc::CLONE_NEWNS;
        self.hides = true;
        self
    }

    /// A kernel without these system calls.
    pub fn without(mut self, calls: &[libc::c_long]) -> Self {
        self.missing = calls.iter().map(|call| *call as u32).collect();
        self
    }

    /// Starts this test binary again, in a role of the same test.
    ///
    /// # Errors
    /// The kernel or the privileges do not allow it: say so, and why.
    pub fn start(&self, place: &Place, role: &str, segment: &Segment) -> io::Result<Inmate> {
        let mut command = Agent::command(place, role);
        command.env(Segment::VARIABLE, segment.token().to_string());
        self.start_command(role, command)
    }

    /// The same with a command of one's own.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_command(&self, role: &str, mut command: Command) -> io::Result<Inmate> {
        if self.forks {
            // Its parent is nobody in its own namespace, or the one in between.
            command.env_remove(PARENT);
        }
        let launch = self.clone();
        // SAFETY:
        // - it runs in the forked child, in its only thread, before exec;
        // - it calls the kernel, and allocates, which glibc allows after a fork.
        unsafe { command.pre_exec(move || launch.enter()) };
        let agent = Agent::try_start(role, command)?;
        let pid = match self.forks {
            true => only_child(agent.pid()),
            false => agent.pid(),
        };
        Ok(Inmate { agent, pid })
    }

    fn enter(&self) -> io::Result<()> {
        // SAFETY: no memory is passed.
        check(unsafe { libc::unshare(self.flags) })?;
        if let Some(map) = self.uid_map {
            std::fs::write("/proc/self/setgroups", "deny")?;
            std::fs::write("/proc/self/uid_map", map)?;
            std::fs::write("/proc/self/gid_map", "0 0 1")?;
        }
        if let Some(ahead) = self.ahead {
            let offsets = format!("monotonic {ahead} 0\nboottime {ahead} 0\n");
            std::fs::write("/proc/self/timens_offsets", offsets)?;
        }
        if self.flags & libc::CLONE_NEWNS != 0 {
            // Nothing that is mounted here is seen elsewhere.
            mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE)?;
        }
        if self.forks {
            fork_into()?;
        }
        if self.mounts_proc {
            mount(c"proc", c"/proc", c"proc", 0)?;
        }
        if self.hides {
            // Whoever is in the group sees all: one in which we are not.
            let options = c"hidepid=2,gid=65533";
            mount_with(c"proc", c"/proc", c"proc", 0, Some(options))?;
            let trace: libc::c_ulong = 19;
            // SAFETY: this option takes a number. Of the capabilities it is CAP_SYS_PTRACE.
            check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, trace) })?;
        }
        if !self.missing.is_empty() {
            super::filter::install(&self.missing)?;
        }
        Ok(())
    }
}

/// Whether the kernel lets us do this at all; if not, why.
pub fn refusal(launch: &Launch) -> Option<String> {
    let mut command = Command::new("/bin/true");
    let probe = launch.clone();
    // SAFETY: as in `Launch::start_command`.
    unsafe { command.pre_exec(move || probe.enter()) };
    match command.status() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("a program in it ended: {status}")),
        Err(error) => Some(format!("the kernel refuses it: {error}")),
    }
}

/// Goes on in a child, the first process of the new namespaces; the parent waits for it
/// and ends as it ends.
fn fork_into() -> io::Result<()> {
    // SAFETY: one thread, see `Launch::start_command`.
    match check(unsafe { libc::fork() })? {
        0 => {
            let signal = libc::SIGKILL as libc::c_ulong;
            // SAFETY: this option takes a number.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })?;
            Ok(())
        }
        child => {
            let mut status = 0;
            // SAFETY: numbers only. Nobody may wait for what only this process keeps open.
            unsafe { libc::close_range(0, libc::c_uint::MAX, 0) };
            // SAFETY: the status is valid for writes.
            while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {}
            let code = if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                128 + libc::WTERMSIG(status)
            };
            // SAFETY: nothing of this process is left to be run.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Mounts for this mount namespace.
pub fn mount(what: &CStr, at: &CStr, kind: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    mount_with(what, at, kind, flags, None)
}

fn mount_with(
    what: &CStr,
    at: &CStr,
    kind: &CStr,
    flags: libc::c_ulong,
    options: Option<&CStr>,
) -> io::Result<()> {
    // SAFETY: the strings outlive the call; the options are a string, or none.
    let code = unsafe {
        libc::mount(
            what.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            flags,
            options.map_or(ptr::null(), |options| options.as_ptr().cast()),
        )
    };
    check(code).map(drop)
}

pub fn check(code: libc::c_int) -> io::Result<libc::c_int> {
    match code {
        -1 => Err(io::Error::last_os_error()),
        code => Ok(code),
    }
}

fn only_child(of: u32) -> u32 {
    support::until("it has forked", || {
        let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}

/// A child in an environment of its own.
pub struct Inmate {
    pub agent: Agent,
    /// Its pid here, where it may have another one there.
    pub pid: u32,
}

impl Inmate {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid as i32), signal).unwrap();
    }

    #[track_caller]
    pub fn until_asleep(&self) {
        support::until_asleep(self.pid);
    }

    /// SIGKILL, without waiting.
    pub fn shoot(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.shoot();
        self.agent.ended();
    }
}

impl Drop for Inmate {
    /// The agent knows the one in between only, and its end is not the end of this one.
    fn drop(&mut self) {
        let between = self.agent.pid();
        let is_there = || {
            let children = format!("/proc/{between}/task/{between}/children");
            let children = std::fs::read_to_string(children).unwrap_or_default();
            let mut children = children.split_whitespace();
            children.any(|child| child == self.pid.to_string())
        };
        let end = Instant::now() + support::HANG;
        while is_there() && Instant::now() < end {
            let _ = kill(Pid::from_raw(self.pid as i32), Signal::SIGKILL);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
