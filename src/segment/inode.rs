//! One file of a segment directory, held by an `O_PATH` descriptor.
//!
//! Looking at a file this way has no effect on it, whatever it is (a pipe does not
//! block, a device does not act, a link is not followed), and all later opens go
//! through the descriptor, so they reach the inode that was checked.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, posix_fallocate};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::geteuid;

use crate::error::SegmentError;
use crate::segment::directory::Directory;
use crate::segment::header::MAGIC;
use crate::segment::name::SegmentName;
use crate::segment::refused;

#[derive(Debug)]
pub(crate) struct Inode {
    /// `O_PATH`: names the inode, gives no access to its bytes.
    handle: File,
    found: Metadata,
    path: PathBuf,
}

impl Inode {
    /// Looks up a name.
    ///
    /// # Errors
    /// `NotFound`, `Permission` or `Io`.
    pub(crate) fn look_up(directory: &Directory, name: &SegmentName) -> Result<Self, SegmentError> {
        Self::find(directory, name.as_str())?
            .ok_or_else(|| not_found(name, directory.path_of(name)))
    }

    /// Looks up any entry of the directory; `None` where there is none.
    ///
    /// # Errors
    /// `Permission` or `Io`.
    pub(crate) fn find(directory: &Directory, entry: &str) -> Result<Option<Self>, SegmentError> {
        let path = directory.path().join(entry);
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let handle = match openat(directory, entry, flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(refused("open", &path, error)),
        };
        let found = handle
            .metadata()
            .map_err(|error| refused("examine", &path, error))?;
        Ok(Some(Self {
            handle,
            found,
            path,
        }))
    }

    /// Whether it is a regular file of this user.
    ///
    /// # Errors
    /// `ForeignOwner`, then `NotRegular`.
    pub(crate) fn check_owner_and_kind(&self) -> Result<(), SegmentError> {
        let (owner, expected) = (self.found.uid(), geteuid().as_raw());
        if owner != expected {
            return Err(SegmentError::ForeignOwner {
                path: self.path.clone(),
                owner,
                expected,
            });
        }
        let kind = self.found.file_type();
        if kind.is_file() {
            return Ok(());
        }
        let kind = if kind.is_symlink() {
            "symbolic link"
        } else if kind.is_dir() {
            "directory"
        } else if kind.is_fifo() {
            "named pipe"
        } else if kind.is_socket() {
            "socket"
        } else {
            "device"
        };
        Err(SegmentError::NotRegular {
            path: self.path.clone(),
            kind,
        })
    }

    /// Whether the permission bits stay within `allowed`.
    ///
    /// # Errors
    /// `Mode`.
    pub(crate) fn check_mode(&self, allowed: u32) -> Result<(), SegmentError> {
        let mode = self.found.mode() & 0o7777;
        if mode & !allowed == 0 {
            return Ok(());
        }
        Err(SegmentError::Mode {
            path: self.path.clone(),
            mode,
            allowed,
        })
    }

    /// Whether the file has exactly this many bytes.
    ///
    /// # Errors
    /// `Size`.
    pub(crate) fn check_size(&self, expected: u64) -> Result<(), SegmentError> {
        let found = self.found.len();
        if found == expected {
            return Ok(());
        }
        Err(SegmentError::Size {
            path: self.path.clone(),
            found,
            expected,
        })
    }

    /// Whether the file begins with the magic number. Read, not mapped: a hole in a
    /// file on a full tmpfs would be a SIGBUS.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn has_magic(&self, file: &File) -> Result<bool, SegmentError> {
        let mut bytes = [0; 8];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(u64::from_ne_bytes(bytes) == MAGIC),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(refused("read", &self.path, error)),
        }
    }

    /// Gives room to every byte of a file that may have holes.
    ///
    /// # Errors
    /// `NoSpace`.
    pub(crate) fn fill_holes(&self, file: &File) -> Result<(), SegmentError> {
        let bytes = self.found.len();
        if self.room() >= bytes {
            return Ok(());
        }
        allocate(file, bytes, &self.path)
    }

    /// Opens the inode anew: an open file description of its own, close-on-exec.
    ///
    /// # Errors
    /// The permission bits forbid it, no descriptors are left, or `/proc` is missing.
    pub(crate) fn reopen(&self, write: bool) -> io::Result<File> {
        File::options()
            .read(true)
            .write(write)
            .open(format!("/proc/self/fd/{}", self.handle.as_raw_fd()))
    }

    /// Whether the name still leads to this inode.
    ///
    /// # Errors
    /// The system refuses to say where it leads.
    pub(crate) fn is_still_named(
        &self,
        directory: &Directory,
        name: &str,
    ) -> Result<bool, SegmentError> {
        match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(now) => Ok(self.is(&now)),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(refused("examine", &self.path, error)),
        }
    }

    /// Whether a descriptor is of this inode. Other code of the process may have closed
    /// the one that was, and reused its number.
    pub(crate) fn is_of(&self, descriptor: impl AsFd) -> bool {
        fstat(descriptor).is_ok_and(|now| self.is(&now))
    }

    fn is(&self, other: &FileStat) -> bool {
        (other.st_dev, other.st_ino) == (self.found.dev(), self.found.ino())
    }

    pub(crate) fn len(&self) -> u64 {
        self.found.len()
    }

    /// Room that the file takes, in bytes: the blocks it has, without its holes.
    pub(crate) fn room(&self) -> u64 {
        self.found.blocks().saturating_mul(512)
    }

    /// What the loss of one name frees: all room, unless the file has another name.
    pub(crate) fn freed(&self) -> u64 {
        match self.found.nlink() {
            0 | 1 => self.room(),
            _ => 0,
        }
    }

    /// Time since the last write.
    pub(crate) fn age(&self) -> Option<Duration> {
        SystemTime::now()
            .duration_since(self.found.modified().ok()?)
            .ok()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

pub(crate) fn not_found(name: &SegmentName, path: PathBuf) -> SegmentError {
    SegmentError::NotFound {
        name: name.to_string(),
        path,
    }
}

/// Gives room to the first `bytes` bytes of a file, so that no later access needs any.
/// `path` is for the error.
///
/// Asks for the limit on the size of files first: an allocation beyond it raises SIGXFSZ,
/// which ends the process. A limit that another process lowers in between is not seen.
///
/// # Errors
/// `NoSpace`; `Io` for any other refusal.
pub(crate) fn allocate(file: &File, bytes: u64, path: &Path) -> Result<(), SegmentError> {
    const SIGNALS: usize = 64;
    let no_space = |error: Errno, limit| SegmentError::NoSpace {
        path: path.to_path_buf(),
        bytes,
        limit,
        source: error.into(),
    };
    let limit = getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft);
    if bytes > limit {
        return Err(no_space(Errno::EFBIG, Some(limit)));
    }
    let length = libc::off_t::try_from(bytes).map_err(|_| no_space(Errno::EFBIG, None))?;
    let mut result = Ok(());
    for _ in 0..SIGNALS {
        result = posix_fallocate(file, 0, length);
        // tmpfs gives up, and takes all back, when a signal comes.
        if result != Err(Errno::EINTR) {
            break;
        }
    }
    match result {
        Ok(()) => Ok(()),
        Err(error @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => Err(no_space(error, None)),
        Err(error) => Err(refused("allocate space for", path, error)),
    }
}
