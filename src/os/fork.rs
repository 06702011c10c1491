//! Forks of this process: counted, and kept from inheriting byte locks.
//!
//! A byte lock lives as long as any copy of its descriptor. A forked child that
//! kept one would make its dead parent look alive, so the child closes all
//! [`PrivateFile`]s before it runs any other code. A child made by `_Fork` or by a bare
//! `clone` runs no handlers: it keeps the lock of its parent, whose death the other
//! processes then detect in another way (see `table/liveness.rs`).

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use crate::limits::WAIT_BOUND_MICROS;
use crate::os::descriptor::{Kept, Name};
use crate::os::file::unlock_range;
use crate::os::{clock, futex, signal};

/// Private files of one process: one per attached segment handle, and a process
/// attaches few segments.
pub(crate) const MAX_PRIVATE_FILES: usize = 256;

const NONE: i32 = -1;
/// Of an entry that is being filled in.
const RESERVED: i32 = -2;

static FORKS: AtomicU32 = AtomicU32::new(0);

/// A descriptor to be closed in a child, if the number still has its name there.
struct Entry {
    number: AtomicI32,
    /// The offset that is its name, or 0: then device and inode are.
    offset: AtomicU64,
    file: [AtomicU64; 2],
}

static PRIVATE: [Entry; MAX_PRIVATE_FILES] = [const {
    Entry {
        number: AtomicI32::new(NONE),
        offset: AtomicU64::new(0),
        file: [const { AtomicU64::new(0) }; 2],
    }
}; MAX_PRIVATE_FILES];

impl Entry {
    /// Fills the entry in, if it is free.
    fn fill(&self, number: RawFd, name: Name) -> bool {
        let is_free = self
            .number
            .compare_exchange(NONE, RESERVED, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if is_free {
            let (offset, [device, inode]) = match name {
                Name::Offset(offset) => (offset, [0; 2]),
                Name::File(device, inode) => (0, [device, inode]),
                Name::Process(_) => (0, [0; 2]),
            };
            self.offset.store(offset, Ordering::Relaxed);
            self.file[0].store(device, Ordering::Relaxed);
            self.file[1].store(inode, Ordering::Relaxed);
            self.number.store(number, Ordering::Release);
        }
        is_free
    }

    /// Closes the number in a forked child, unless the parent had lost it to a file that it
    /// did not register. Async-signal-safe.
    fn close_in_child(&self) {
        let number = self.number.swap(NONE, Ordering::Acquire);
        if number < 0 {
            return;
        }
        let is_ours = match self.offset.load(Ordering::Relaxed) {
            0 => {
                let [device, inode] = [0, 1].map(|at| self.file[at].load(Ordering::Relaxed));
                signal::file_of(number) == Some((device, inode))
            }
            offset => signal::position(number) == Some(offset),
        };
        if is_ours {
            // Nothing can be done about a failure, and Linux frees the number anyway.
            let _ = nix::unistd::close(number);
        }
    }
}

/// Held (1) by each thread that opens or closes a private file or sets a lock through one,
/// and by a fork: no child is born while a descriptor is open but not registered, and no number
/// becomes that of another private file in the middle of such a step.
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
    PRIVATE.iter().for_each(Entry::close_in_child);
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

/// Runs something while this process neither forks nor opens or closes a private file; after
/// a second of waiting, without that.
pub(crate) fn steadily<T>(act: impl FnOnce() -> T) -> T {
    let entered = enter_gate();
    let result = act();
    if entered {
        leave_gate();
    }
    result
}

/// A file whose descriptor is closed in forked children: the home of byte locks.
/// Dropping it releases them, whoever has a copy of the descriptor.
#[derive(Debug)]
pub(crate) struct PrivateFile {
    /// `None` only in the middle of `drop`.
    file: Option<Kept<File>>,
    slot: usize,
    born: u32,
    pid: u32,
}

impl PrivateFile {
    /// Opens a file by `open`, with forks of this process held off meanwhile.
    ///
    /// # Errors
    /// That of `open`, of [`watch`], or `EMFILE` when [`MAX_PRIVATE_FILES`] are open.
    pub(crate) fn open(open: impl FnOnce() -> io::Result<File>) -> io::Result<Self> {
        watch()?;
        steadily(|| open().and_then(Kept::named).and_then(Self::register))
    }

    fn register(file: Kept<File>) -> io::Result<Self> {
        let number = file.inner().as_raw_fd();
        let slot = PRIVATE
            .iter()
            .position(|entry| entry.fill(number, file.name()));
        match slot {
            Some(slot) => Ok(Self {
                file: Some(file),
                slot,
                born: fork_count(),
                pid: std::process::id(),
            }),
            None => Err(io::Error::from_raw_os_error(libc::EMFILE)),
        }
    }

    /// The descriptor; `None` in a forked child, where it is closed. Other code of the
    /// program may have closed the number and used it again: see [`is_ours`](Self::is_ours).
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        if fork_count() != self.born {
            return None;
        }
        self.file.as_ref().map(|file| file.inner().as_fd())
    }

    /// Whether the descriptor is still that of this file. Never so in a forked child.
    pub(crate) fn is_ours(&self) -> bool {
        let here = fork_count() == self.born;
        here && self.file.as_ref().is_some_and(Kept::is_ours)
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
        steadily(|| {
            // Unlocked, not only closed: a child that another thread is spawning just now
            // has a copy until its exec, and `vfork` calls no fork handlers. But in a child
            // made without fork handlers the locks are the parent's.
            if self.pid == std::process::id()
                && let Some(file) = file.get()
            {
                let _ = unlock_range(file, 0, 0);
            }
            if let Some(entry) = PRIVATE.get(self.slot) {
                entry.number.store(NONE, Ordering::Relaxed);
            }
            drop(file);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::file;
    use std::process::Command;

    fn again(test: &str) {
        let (_, module) = module_path!().split_once("::").unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::{test}")])
            .env("EBBTIDE_TEST_FORK", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
    }

    /// Runs this test binary again, because the handlers act on the whole process,
    /// and calls the handlers as a fork would, because `fork` is unsafe to call.
    #[test]
    fn child_handler_closes_private_files_and_counts() {
        if std::env::var_os("EBBTIDE_TEST_FORK").is_none() {
            return again("child_handler_closes_private_files_and_counts");
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
    /// In a process of its own, as the numbers are everybody's.
    #[test]
    fn a_number_that_became_a_strangers_is_left_alone() {
        if std::env::var_os("EBBTIDE_TEST_FORK").is_none() {
            return again("a_number_that_became_a_strangers_is_left_alone");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "").unwrap();
        let open = || File::options().read(true).write(true).open(&path);
        let lost = |private: &PrivateFile| {
            let number = private.descriptor().unwrap().as_raw_fd();
            nix::unistd::close(number).unwrap();
            let stranger = open().unwrap();
            assert_eq!(stranger.as_raw_fd(), number);
            assert!(!private.is_ours());
            assert!(file::try_lock(&stranger, 7).unwrap());
            stranger
        };
        let private = PrivateFile::open(open).unwrap();
        let stranger = lost(&private);
        drop(private);
        assert!(file::is_held_by_other(open().unwrap(), 7).unwrap());
        drop(stranger);
        // Nor does a forked child close it.
        let private = PrivateFile::open(open).unwrap();
        let stranger = lost(&private);
        before_fork();
        after_fork_in_child();
        assert!(stranger.metadata().is_ok() && !private.is_ours());
        drop(private);
        assert!(file::is_held_by_other(open().unwrap(), 7).unwrap());
    }
}
