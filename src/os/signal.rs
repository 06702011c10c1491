//! Signals, and the raw calls around processes that need `unsafe`: handlers,
//! fork handlers, pidfds, numbers of descriptors in a forked child.

use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// What a process does about one signal.
#[derive(Clone, Copy)]
pub(crate) struct Disposition(libc::sigaction);

impl Disposition {
    /// Runs a handler, with `SA_RESTART`.
    ///
    /// It runs between any two instructions of any thread: it may only touch atomics, read
    /// the clock and wake a futex, and must leave `errno` as it was ([`keeping_errno`]).
    pub(crate) fn handler(handler: extern "C" fn(libc::c_int)) -> Self {
        Self::of(handler as *const () as libc::sighandler_t)
    }

    /// Ignores the signal; children inherit that across `exec`.
    pub(crate) fn ignore() -> Self {
        Self::of(libc::SIG_IGN)
    }

    fn of(handler: libc::sighandler_t) -> Self {
        // SAFETY: all zeroes is a value of it: the default action, no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        Self(action)
    }

    /// The present one of a signal. Async-signal-safe.
    ///
    /// # Errors
    /// There is no such signal.
    pub(crate) fn present(signal: Signal) -> io::Result<Self> {
        let mut present = Self::of(libc::SIG_DFL);
        // SAFETY: no action is set, and the pointer is valid for writes of one.
        let result =
            unsafe { libc::sigaction(signal as libc::c_int, core::ptr::null(), &mut present.0) };
        Errno::result(result)?;
        Ok(present)
    }

    /// Whether it is the kernel's default action.
    pub(crate) fn is_default(self) -> bool {
        self.0.sa_sigaction == libc::SIG_DFL
    }

    /// Sets it for a signal. Async-signal-safe.
    ///
    /// # Errors
    /// The kernel refuses the signal (`SIGKILL`, `SIGSTOP`).
    pub(crate) fn set(self, signal: Signal) -> io::Result<()> {
        // SAFETY:
        // - A handler is a plain function that lives for ever, or one that was in effect
        //   before; what the former may do is the documented duty of its author.
        // - No earlier action is called or kept, and the pointer is valid for reads.
        let result =
            unsafe { libc::sigaction(signal as libc::c_int, &self.0, core::ptr::null_mut()) };
        Errno::result(result)?;
        Ok(())
    }

    /// Whether it does the same about a signal, whatever its flags.
    pub(crate) fn does_as(self, other: Self) -> bool {
        self.0.sa_sigaction == other.0.sa_sigaction
    }
}

/// A value that a signal handler reads and that other code replaces. Reading takes no lock
/// and allocates nothing.
///
/// An old value is freed by a replacement during which nobody reads: a reader counts itself
/// before it loads the pointer, and a replacement swaps the pointer before it loads the count,
/// so a reader that is not counted loads the new pointer. All four in one total order.
#[derive(Debug)]
pub(crate) struct Bound<T> {
    value: AtomicPtr<T>,
    readers: AtomicU32,
    /// Replaced, and perhaps still read.
    retired: Mutex<Vec<AtomicPtr<T>>>,
}

impl<T: Send + Sync> Bound<T> {
    pub(crate) const fn new() -> Self {
        Self {
            value: AtomicPtr::new(core::ptr::null_mut()),
            readers: AtomicU32::new(0),
            retired: Mutex::new(Vec::new()),
        }
    }

    /// Reads the value, if there is one. Async-signal-safe if `read` is.
    pub(crate) fn read<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
        self.readers.fetch_add(1, Ordering::SeqCst);
        let value = self.value.load(Ordering::SeqCst);
        // SAFETY:
        // - It is null or came from a `Box`, which is not freed while this reader is counted.
        // - Nobody has a mutable reference to it.
        let result = read(unsafe { value.as_ref() });
        self.readers.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// Replaces the value. Returns the old ones that nobody reads any more.
    pub(crate) fn replace(&self, value: Option<Box<T>>) -> Vec<T> {
        let value = value.map_or(core::ptr::null_mut(), Box::into_raw);
        let old = self.value.swap(value, Ordering::SeqCst);
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if !old.is_null() {
            retired.push(AtomicPtr::new(old));
        }
        if self.readers.load(Ordering::SeqCst) != 0 {
            return Vec::new();
        }
        let free = |old: AtomicPtr<T>| {
            // SAFETY:
            // - It came from a `Box`, and is in this list once, as it was swapped out once.
            // - No reader has it: none was counted after it was swapped out.
            *unsafe { Box::from_raw(old.into_inner()) }
        };
        retired.drain(..).map(free).collect()
    }
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
    use std::sync::Arc;

    static SEEN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count(_signal: libc::c_int) {
        keeping_errno(|| {
            SEEN.fetch_add(1, Ordering::Relaxed);
            Errno::set_raw(77);
        });
    }

    #[test]
    fn handlers_run_and_keep_errno() {
        let signal = Signal::SIGUSR2;
        let before = Disposition::present(signal).unwrap();
        Disposition::handler(count).set(signal).unwrap();
        let present = Disposition::present(signal).unwrap();
        assert!(present.does_as(Disposition::handler(count)) && !present.does_as(before));
        Errno::set_raw(5);
        nix::sys::signal::raise(signal).unwrap();
        assert_eq!(Errno::last_raw(), 5);
        assert_eq!(SEEN.load(Ordering::Relaxed), 1);
        Disposition::ignore().set(signal).unwrap();
        nix::sys::signal::raise(signal).unwrap();
        assert_eq!(SEEN.load(Ordering::Relaxed), 1);
        assert!(Disposition::handler(count).set(Signal::SIGKILL).is_err());
        before.set(signal).unwrap();
        assert!(Disposition::present(signal).unwrap().does_as(before));
    }

    /// The value is replaced while a handler that reads it runs.
    #[test]
    fn what_is_read_is_not_freed() {
        let bound = Bound::new();
        let [first, second] = [1, 2].map(Arc::new);
        let put = |value: &Arc<i32>| bound.replace(Some(Box::new(Arc::clone(value)))).len();
        assert_eq!(put(&first), 0);
        bound.read(|value| {
            assert_eq!(value, Some(&first));
            assert_eq!(put(&second), 0);
            // A second signal during the first.
            bound.read(|value| assert_eq!(value, Some(&second)));
            assert_eq!(bound.replace(None).len(), 0);
            assert_eq!((value, Arc::strong_count(&first)), (Some(&first), 2));
        });
        bound.read(|value| assert_eq!(value, None));
        assert_eq!(bound.replace(None).len(), 2);
        assert_eq!(Arc::strong_count(&first) + Arc::strong_count(&second), 2);
    }
}
