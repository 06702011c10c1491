//! Descriptors that are kept, and the check that a number is still ours.
//!
//! A program may close a number that it did not open, and use it again for a file of its
//! own: by a double close, or by `close_range(3, ~0U)` as daemons do. A lock query on such a
//! number is answered for the wrong file, a lock or a write hits it, a close closes it. So
//! whatever is kept beyond one call knows its open file by a [`Name`], and is used, unlocked
//! and closed only while the number still has that name.
//!
//! The check and the use are two system calls. A query is checked *after* it was made: what
//! is lost does not come back, so a name that is still there was there during the query.
//! What changes something is checked before, too; a program that closes and reuses the
//! number in the microsecond between the check and the step is not caught.

use std::fmt;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::{Whence, close, lseek};

/// Offsets that serve as names: beyond every byte lock, and small enough for every usual
/// file system.
const FIRST_OFFSET: u64 = 1 << 41;
const OFFSETS: u64 = (1 << 43) - FIRST_OFFSET;

/// How an open file is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The file offset of the open file description, a random number. Nobody reads or
    /// writes through it, so the offset stays; another file, and another description of the
    /// same file, has another one. A copy by `dup` has the same one, and the same locks.
    Offset(u64),
    /// Device and inode.
    File(u64, u64),
    /// The process that a pidfd means, by its pid. Before Linux 6.9 all pidfds, and much
    /// else, are one inode.
    Process(u32),
}

impl Name {
    /// Names the open file description of a file that is never read or written through.
    ///
    /// # Errors
    /// No random number, or the descriptor is not open.
    fn give(file: &File) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let offset = FIRST_OFFSET + u64::from_ne_bytes(random) % OFFSETS;
        let wanted = libc::off_t::try_from(offset).ok();
        match wanted.map(|wanted| lseek(file, wanted, Whence::SeekSet)) {
            Some(Ok(_)) => Ok(Self::Offset(offset)),
            // A file system with a lower limit.
            None | Some(Err(Errno::EINVAL | Errno::EOVERFLOW)) => Self::of_file(file),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// The file of a descriptor, as its name.
    ///
    /// # Errors
    /// The descriptor is not open.
    fn of_file(file: impl AsFd) -> io::Result<Self> {
        let status = fstat(file)?;
        Ok(Self::File(status.st_dev, status.st_ino))
    }

    /// Whether a number has this name now.
    fn is_of(self, file: impl AsFd) -> bool {
        match self {
            Self::Offset(offset) => {
                let now = lseek(file, 0, Whence::SeekCur);
                now.is_ok_and(|now| u64::try_from(now) == Ok(offset))
            }
            Self::File(..) => Self::of_file(file).is_ok_and(|now| now == self),
            Self::Process(pid) => {
                let number = file.as_fd().as_raw_fd();
                let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
                text.is_ok_and(|text| means(&text, pid))
            }
        }
    }
}

/// Whether the description of a pidfd names this process, or one that is gone.
fn means(description: &str, pid: u32) -> bool {
    let mut lines = description.lines();
    let named = lines.find_map(|line| line.strip_prefix("Pid:"));
    let named = named.and_then(|named| named.trim().parse::<i64>().ok());
    named.is_some_and(|named| named == i64::from(pid) || named <= 0)
}

/// Something that is nothing but a descriptor, with its name. Dropping it closes the number
/// only if it is still ours.
pub(crate) struct Kept<T: AsFd> {
    /// Never dropped itself: see `drop`.
    inner: ManuallyDrop<T>,
    name: Name,
}

impl<T: AsFd> Kept<T> {
    /// Keeps a descriptor, known by device and inode.
    ///
    /// # Errors
    /// It is not open.
    pub(crate) fn new(inner: T) -> io::Result<Self> {
        Ok(Self {
            name: Name::of_file(&inner)?,
            inner: ManuallyDrop::new(inner),
        })
    }

    /// Whether the number is still ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.name.is_of(self.inner())
    }

    /// To be used if the number is still ours.
    pub(crate) fn get(&self) -> Option<&T> {
        self.is_ours().then(|| self.inner())
    }

    /// Whatever has the number now. For what changes nothing, and is checked after.
    pub(crate) fn inner(&self) -> &T {
        &self.inner
    }

    pub(crate) fn name(&self) -> Name {
        self.name
    }
}

impl Kept<File> {
    /// Keeps a file that is never read or written through, known by its description.
    ///
    /// # Errors
    /// No random number, or it is not open.
    pub(crate) fn named(file: File) -> io::Result<Self> {
        Ok(Self {
            name: Name::give(&file)?,
            inner: ManuallyDrop::new(file),
        })
    }
}

impl Kept<OwnedFd> {
    /// Keeps the pidfd of a process.
    pub(crate) fn of_process(pidfd: OwnedFd, pid: u32) -> Self {
        Self {
            name: Name::Process(pid),
            inner: ManuallyDrop::new(pidfd),
        }
    }
}

impl<T: AsFd> Drop for Kept<T> {
    fn drop(&mut self) {
        if self.is_ours() {
            // By number: the destructors of the standard library end a process that has
            // closed the number by itself. A failure leaves nothing to be done, and Linux
            // frees the number anyway.
            let _ = close(self.inner.as_fd().as_raw_fd());
        }
    }
}

impl<T: AsFd> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kept")
            .field(&self.inner.as_fd().as_raw_fd())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// Closes a number as a program does that did not open it.
    fn close_behind(kept: &Kept<impl AsFd>) -> i32 {
        let number = kept.inner().as_fd().as_raw_fd();
        close(number).unwrap();
        number
    }

    fn open(path: &std::path::Path) -> File {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        options.open(path).unwrap()
    }

    /// Runs in a process of its own: numbers are everybody's.
    fn alone(test: &str, body: impl FnOnce()) {
        if std::env::var_os("EBBTIDE_TEST_ALONE").is_some() {
            return body();
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command
            .args(["--exact", &format!("{module}::{test}"), "--test-threads=1"])
            .env("EBBTIDE_TEST_ALONE", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{output:?}"
        );
    }

    #[test]
    fn a_description_is_known_by_its_offset() {
        alone("a_description_is_known_by_its_offset", || {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("file");
            let kept = Kept::named(open(&path)).unwrap();
            assert!(matches!(kept.name(), Name::Offset(_)) && kept.is_ours());
            let other = Kept::named(open(&path)).unwrap();
            assert_ne!(kept.name(), other.name());
            // Another description of the same file under the number.
            let number = close_behind(&kept);
            assert!(!kept.is_ours() && kept.get().is_none());
            let again = open(&path);
            assert_eq!(again.as_raw_fd(), number);
            assert!(!kept.is_ours());
            drop(kept);
            again.metadata().expect("a stranger's number is not closed");
            // Ours is closed.
            let number = other.inner().as_raw_fd();
            drop(other);
            assert_eq!(open(&path).as_raw_fd(), number);
        });
    }

    #[test]
    fn a_pipe_is_known_by_its_inode() {
        alone("a_pipe_is_known_by_its_inode", || {
            let directory = tempfile::tempdir().unwrap();
            let (mut reader, writer) = io::pipe().unwrap();
            let kept = Kept::new(writer).unwrap();
            kept.get().unwrap().write_all(b"x").unwrap();
            reader.read_exact(&mut [0]).unwrap();
            let number = close_behind(&kept);
            let file = open(&directory.path().join("file"));
            assert_eq!(file.as_raw_fd(), number);
            assert!(kept.get().is_none());
            drop(kept);
            assert_eq!(file.metadata().unwrap().len(), 0);
        });
    }

    #[test]
    fn a_descriptor_is_known_by_the_process_that_it_means() {
        assert!(means("pos:\t0\nPid:\t12\nNSpid:\t12\n", 12));
        assert!(means("pos:\t0\nPid:\t-1\n", 12));
        assert!(!means("pos:\t0\nPid:\t13\n", 12));
        assert!(!means("pos:\t0\neventfd-count: 1\n", 12));
    }
}
