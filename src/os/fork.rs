//! Forks of this process: counted, and kept from inheriting byte locks.
//!
//! A byte lock lives as long as any copy of its descriptor. A forked child that
//! kept one would make its dead parent look alive, so the child closes all
//! [`PrivateFile`]s before it runs any other code.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use crate::limits::WAIT_BOUND_MICROS;
use crate::os::file::unlock_range;
use crate::os::{clock, futex, signal};

/// Private files of one process: one per attached segment handle, and a process
/// attaches few segments.
pub(crate) const MAX_PRIVATE_FILES: usize = 256;

const NONE: i32 = -1;

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Descriptors to be closed in a child.
static PRIVATE: [AtomicI32; MAX_PRIVATE_FILES] =
    [const { AtomicI32::new(NONE) }; MAX_PRIVATE_FILES];

/// Held (1) by whoever opens or closes a private file, and by a fork: no child is
/// born while a descriptor is open but not registered.
static GATE: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Whether the fork that this thread is about to make has the gate.
    static FORK_HAS_GATE: Cell<bool> = const { Cell::new(false) };
}

/// How many forks lie between the first process of this program and this one, as
/// far as fork handlers saw them. A handle whose number differs was made by a parent.
#[inline]
pub(crate) fn fork_count() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Starts to watch forks; the first call of a process counts, later ones repeat
/// its answer.
///
/// # Errors
/// No memory for the fork handlers.
pub(crate) fn watch() -> io::Result<()> {
    static WATCHED: OnceLock<Result<(), i32>> = OnceLock::new();
    WATCHED
        .get_or_init(|| {
            signal::at_fork(before_fork, after_fork_in_parent, after_fork_in_child)
                .map_err(|error| error.raw_os_error().unwrap_or(libc::ENOMEM))
        })
        .map_err(io::Error::from_raw_os_error)
}

extern "C" fn before_fork() {
    FORK_HAS_GATE.set(enter_gate());
}

extern "C" fn after_fork_in_parent() {
    if FORK_HAS_GATE.replace(false) {
        leave_gate();
    }
}

extern "C" fn after_fork_in_child() {
    FORK_HAS_GATE.set(false);
    FORKS.fetch_add(1, Ordering::Relaxed);
    for slot in &PRIVATE {
        let descriptor = slot.swap(NONE, Ordering::Relaxed);
        if descriptor != NONE {
            // Nothing can be done about a failure, and Linux frees the number anyway.
            let _ = nix::unistd::close(descriptor);
        }
    }
    // Also where another thread of the parent held it: that thread is not here.
    GATE.store(0, Ordering::Release);
}

/// Enters the gate, or gives up after a second (`false`): a fork from a signal
/// handler that interrupted the gate's holder must not hang for ever.
fn enter_gate() -> bool {
    let until = clock::now().saturating_add(WAIT_BOUND_MICROS);
    while GATE.swap(1, Ordering::Acquire) != 0 {
        if clock::now() >= until {
            return false;
        }
        futex::wait(futex::Cell::of(&GATE), 1, until);
    }
    true
}

fn leave_gate() {
    GATE.store(0, Ordering::Release);
    futex::wake(futex::Cell::of(&GATE), 1);
}

/// A file whose descriptor is closed in forked children: the home of byte locks.
/// Dropping it releases them, whoever has a copy of the descriptor.
#[derive(Debug)]
pub(crate) struct PrivateFile {
    /// Taken only by `drop`.
    file: Option<File>,
    slot: usize,
    born: u32,
}

impl PrivateFile {
    /// Opens a file by `open`, with forks of this process held off meanwhile.
    ///
    /// # Errors
    /// That of `open`, of [`watch`], or `EMFILE` when [`MAX_PRIVATE_FILES`] are open.
    pub(crate) fn open(open: impl FnOnce() -> io::Result<File>) -> io::Result<Self> {
        watch()?;
        let entered = enter_gate();
        let result = open().and_then(Self::register);
        if entered {
            leave_gate();
        }
        result
    }

    fn register(file: File) -> io::Result<Self> {
        let descriptor = file.as_raw_fd();
        let slot = PRIVATE.iter().position(|slot| {
            slot.compare_exchange(NONE, descriptor, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        });
        match slot {
            Some(slot) => Ok(Self {
                file: Some(file),
                slot,
                born: fork_count(),
            }),
            None => Err(io::Error::from_raw_os_error(libc::EMFILE)),
        }
    }

    /// The descriptor; `None` in a forked child, where it is closed.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        if fork_count() != self.born {
            return None;
        }
        self.file.as_ref().map(AsFd::as_fd)
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        if fork_count() != self.born {
            // The number was closed at the fork and may be another file's by now.
            std::mem::forget(file);
            return;
        }
        // Unlocked, not only closed: a child that another thread is spawning just now
        // has a copy until its exec, and `vfork` calls no fork handlers.
        let _ = unlock_range(&file, 0, 0);
        let entered = enter_gate();
        if let Some(slot) = PRIVATE.get(self.slot) {
            slot.store(NONE, Ordering::Relaxed);
        }
        drop(file);
        if entered {
            leave_gate();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::file;
    use std::process::Command;

    /// Runs this test binary again, because the handlers act on the whole process,
    /// and calls the handlers as a fork would, because `fork` is unsafe to call.
    #[test]
    fn child_handler_closes_private_files_and_counts() {
        if std::env::var_os("EBBTIDE_TEST_FORK").is_none() {
            let (_, module) = module_path!().split_once("::").unwrap();
            let output = Command::new(std::env::current_exe().unwrap())
                .arg("--exact")
                .arg(format!(
                    "{module}::child_handler_closes_private_files_and_counts"
                ))
                .env("EBBTIDE_TEST_FORK", "1")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && text.contains("1 passed"),
                "{text}"
            );
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "").unwrap();
        let open = || File::options().read(true).write(true).open(&path);
        let private = PrivateFile::open(open).unwrap();
        assert!(file::try_lock(private.descriptor().unwrap(), 1).unwrap());
        let forks = fork_count();

        before_fork();
        after_fork_in_parent();
        assert!(private.descriptor().is_some());

        before_fork();
        after_fork_in_child();
        assert_eq!(fork_count(), forks + 1);
        assert!(private.descriptor().is_none());
        let other = open().unwrap();
        assert!(
            file::try_lock(&other, 1).unwrap(),
            "the lock went with the descriptor"
        );
        drop(private);
        assert!(other.metadata().is_ok(), "a reused number is not closed");
        let again = PrivateFile::open(open).unwrap();
        assert!(again.descriptor().is_some(), "the gate is open");
    }
}
