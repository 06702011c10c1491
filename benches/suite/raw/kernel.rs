//! Locks and descriptors of the kernel.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

fn check(code: libc::c_int) -> io::Result<()> {
    match code {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// `flock`: between open file descriptions.
pub fn flock(file: &File, operation: libc::c_int) {
    // SAFETY: the descriptor is open; no memory is passed.
    check(unsafe { libc::flock(file.as_raw_fd(), operation) }).expect("flock works");
}

/// Takes an exclusive open-file-description lock of the whole file; blocks.
pub fn lock_description(file: &File) -> nix::Result<()> {
    description(file, libc::F_WRLCK)
}

pub fn unlock_description(file: &File) -> nix::Result<()> {
    description(file, libc::F_UNLCK)
}

fn description(file: &File, kind: libc::c_int) -> nix::Result<()> {
    let whole = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLKW(&whole)).map(drop)
}

/// One semaphore of System V, as a lock that is given back when its process dies.
pub struct Semaphore {
    id: libc::c_int,
    is_maker: bool,
}

impl Semaphore {
    /// A new one, with one permit.
    pub fn create() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let id = unsafe { libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600) };
        check(id)?;
        let made = Self { id, is_maker: true };
        // SAFETY: SETVAL takes an int; no memory is passed.
        check(unsafe { libc::semctl(id, 0, libc::SETVAL, 1) })?;
        Ok(made)
    }

    pub fn open(id: i32) -> Self {
        Self {
            id,
            is_maker: false,
        }
    }

    pub fn id(&self) -> i32 {
        self.id
    }

    fn add(&self, count: libc::c_short) {
        let mut step = libc::sembuf {
            sem_num: 0,
            sem_op: count,
            sem_flg: libc::SEM_UNDO as libc::c_short,
        };
        // SAFETY: one step, which outlives the call.
        check(unsafe { libc::semop(self.id, &raw mut step, 1) }).expect("semop works");
    }

    pub fn lock(&self) {
        self.add(-1);
    }

    pub fn unlock(&self) {
        self.add(1);
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        if self.is_maker {
            // SAFETY: no memory is passed.
            unsafe { libc::semctl(self.id, 0, libc::IPC_RMID) };
        }
    }
}

/// A descriptor that becomes readable when the process has ended.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    let fd = libc::c_int::try_from(fd).unwrap_or(-1);
    check(fd)?;
    // SAFETY: the kernel has just opened it for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets a descriptor be inherited by children from now on, or no longer.
pub fn inherit(fd: &impl AsFd, inherited: bool) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let flags = match inherited {
        true => FdFlag::empty(),
        false => FdFlag::FD_CLOEXEC,
    };
    fcntl(fd, FcntlArg::F_SETFD(flags)).map(drop)
}

/// Takes over a descriptor that was inherited under this number.
pub fn inherited(fd: i32) -> OwnedFd {
    // SAFETY: the parent made it for this process and passed its number; it is taken over
    // once, at the start.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Waits until a descriptor is readable.
pub fn readable(fd: &impl AsFd) {
    let mut polled = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    while !poll(&mut polled, PollTimeout::NONE).is_ok_and(|ready| ready > 0) {}
}

/// The cores that this process may run on.
pub fn cores() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count())
        .filter(|core| set.is_set(*core).unwrap_or(false))
        .collect()
}

/// Ties the calling thread, and what it starts later, to some cores.
pub fn run_on(cores: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// More descriptors, as far as this process may have them.
pub fn more_descriptors() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is valid for writes.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the limit outlives the call. A refusal leaves it as it was.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}
