//! Signals, and the raw calls around processes that need `unsafe`: handlers,
//! fork handlers, pidfds, numbers of descriptors in a forked child.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Installs one handler for several signals, with `SA_RESTART`, replacing whatever
/// was there. On an error some of them may be installed.
///
/// The handler runs between any two instructions of any thread: it may only touch
/// atomics, read the clock and wake a futex, and must leave `errno` as it was
/// ([`keeping_errno`]).
///
/// # Errors
/// The kernel refuses the signal (`SIGKILL`, `SIGSTOP`).
pub(crate) fn install(signals: &[Signal], handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    set(signals, SigHandler::Handler(handler))
}

/// Ignores a signal from now on; children inherit that across `exec`.
///
/// # Errors
/// As [`install`].
pub(crate) fn ignore(signal: Signal) -> io::Result<()> {
    set(&[signal], SigHandler::SigIgn)
}

/// Gives a signal its default action back.
///
/// # Errors
/// As [`install`].
pub(crate) fn restore_default(signal: Signal) -> io::Result<()> {
    set(&[signal], SigHandler::SigDfl)
}

fn set(signals: &[Signal], handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    for signal in signals {
        // SAFETY:
        // - The handler is a plain function that lives for ever; what it may do is
        //   the documented duty of the caller of `install`.
        // - No earlier action is called or kept.
        unsafe { sigaction(*signal, &action) }?;
    }
    Ok(())
}

/// Runs the body of a signal handler and leaves `errno` as it was.
pub(crate) fn keeping_errno(body: impl FnOnce()) {
    let before = Errno::last_raw();
    body();
    Errno::set_raw(before);
}

/// Has a function run when the process exits in order (`exit`, or a return from `main`), on
/// the thread that exits, after that one's thread-local values are gone. It must neither
/// unwind nor exit itself. Answers whether the C library took it.
pub(crate) fn at_exit(function: extern "C" fn()) -> bool {
    // SAFETY: a plain function that lives for ever; what it may do is the caller's duty.
    unsafe { libc::atexit(function) == 0 }
}

/// Registers fork handlers: `prepare` runs in the parent before each fork,
/// `parent` and `child` after it on either side. They can never be taken back.
///
/// They must confine themselves to what is async-signal-safe.
///
/// # Errors
/// No memory for the registration.
pub(crate) fn at_fork(
    prepare: extern "C" fn(),
    parent: extern "C" fn(),
    child: extern "C" fn(),
) -> io::Result<()> {
    // SAFETY:
    // - All three are plain functions that live for ever and do not unwind
    //   (extern "C" aborts instead).
    let result = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

/// The file offset of whatever has this number, if anything has one. Async-signal-safe.
pub(crate) fn position(number: RawFd) -> Option<u64> {
    // SAFETY: takes numbers, touches no memory, and with these arguments moves no offset,
    // whatever the number is.
    let position = unsafe { libc::lseek(number, 0, libc::SEEK_CUR) };
    u64::try_from(position).ok()
}

/// Device and inode of whatever has this number. Async-signal-safe.
pub(crate) fn file_of(number: RawFd) -> Option<(u64, u64)> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the pointer is valid for writes of one such structure.
    let result = unsafe { libc::fstat(number, status.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so the kernel has filled it.
    let status = unsafe { status.assume_init() };
    Some((status.st_dev, status.st_ino))
}

/// A descriptor of the process that has this pid now; close-on-exec.
pub(crate) fn pidfd_open(pid: libc::pid_t) -> Result<OwnedFd, Errno> {
    // SAFETY:
    // - The call takes two numbers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0u32) };
    let descriptor = Errno::result(result)? as RawFd;
    // SAFETY:
    // - The kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Sends a signal to the process that the descriptor names.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    // SAFETY:
    // - The descriptor is borrowed for the call; a null siginfo is allowed and
    //   means what kill(2) would send.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as libc::c_int,
            core::ptr::null::<libc::siginfo_t>(),
            0u32,
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    static SEEN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count(_signal: libc::c_int) {
        keeping_errno(|| {
            SEEN.fetch_add(1, Ordering::Relaxed);
            Errno::set_raw(77);
        });
    }

    #[test]
    fn handlers_run_and_keep_errno() {
        install(&[Signal::SIGUSR2], count).unwrap();
        Errno::set_raw(5);
        nix::sys::signal::raise(Signal::SIGUSR2).unwrap();
        assert_eq!(Errno::last_raw(), 5);
        assert_eq!(SEEN.load(Ordering::Relaxed), 1);
        ignore(Signal::SIGUSR2).unwrap();
        nix::sys::signal::raise(Signal::SIGUSR2).unwrap();
        assert_eq!(SEEN.load(Ordering::Relaxed), 1);
        assert!(install(&[Signal::SIGKILL], count).is_err());
        restore_default(Signal::SIGUSR2).unwrap();
    }
}
