//! The descriptor through which an attachment takes byte locks, and its replacement when
//! other code of the program has closed it.
//!
//! Every query is void unless the number still has the name that it was given (see
//! `os/descriptor.rs`). Then nothing is concluded from it: a byte that was asked for is
//! held, one that was to be taken is not taken.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{PoisonError, RwLock};

use nix::sys::stat::{FileStat, fstat};

use crate::error::SegmentError;
use crate::os::file;
use crate::os::fork::{self, PrivateFile};
use crate::segment::directory::Directory;
use crate::segment::header::Body;
use crate::segment::inode::Inode;
use crate::segment::open::Opened;
use crate::segment::refused;

/// The result is unknown: the descriptor is not ours any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Void;

/// The descriptor for byte locks of one attachment.
#[derive(Debug)]
pub(crate) struct Locks {
    /// Only the thread that replaces it waits for it: signal handlers ask through it, too.
    file: RwLock<PrivateFile>,
    /// Device and inode of the segment's file; zeros if they are not known.
    of: (u64, u64),
}

impl Locks {
    /// `file` must be of the mapped inode, by another open file description.
    pub(crate) fn new(file: PrivateFile) -> Self {
        let status = file.descriptor().and_then(|file| fstat(file).ok());
        Self {
            of: status.map_or((0, 0), |status| (status.st_dev, status.st_ino)),
            file: RwLock::new(file),
        }
    }

    /// Runs a query; `None` while the descriptor is being replaced.
    fn ask<T>(&self, query: impl FnOnce(BorrowedFd<'_>) -> T) -> Result<Option<T>, Void> {
        let Ok(file) = self.file.try_read() else {
            return Ok(None);
        };
        let answer = query(file.descriptor().ok_or(Void)?);
        // After it: what is lost does not come back.
        if file.is_ours() {
            Ok(Some(answer))
        } else {
            Err(Void)
        }
    }

    #[cfg(test)]
    pub(crate) fn number(&self) -> std::os::fd::RawFd {
        use std::os::fd::AsRawFd;
        let file = self.file.read().unwrap();
        file.descriptor().unwrap().as_raw_fd()
    }

    /// Whether the descriptor is still ours.
    pub(crate) fn are_ours(&self) -> bool {
        self.ask(|_| ()).is_ok()
    }

    /// Whether another description holds a byte; true, too, when the kernel refuses to say.
    pub(crate) fn is_held(&self, offset: u64) -> Result<bool, Void> {
        let answer = self.ask(|file| file::is_held_by_other(file, offset))?;
        Ok(answer.and_then(Result::ok).unwrap_or(true))
    }

    /// Takes a byte. False if another description has it, or the kernel refuses.
    pub(crate) fn try_take(&self, offset: u64) -> Result<bool, Void> {
        let Ok(file) = self.file.try_read() else {
            return Ok(false);
        };
        // Steadily: what takes a lost number meanwhile is not a private file of ours, so
        // what is undone below had no owner.
        fork::steadily(|| {
            let descriptor = file.descriptor().filter(|_| file.is_ours()).ok_or(Void)?;
            let taken = file::try_lock(descriptor, offset).unwrap_or(false);
            if file.is_ours() {
                return Ok(taken);
            }
            if taken {
                // Set on a file of the program, far beyond all contents.
                let _ = file::unlock(descriptor, offset);
            }
            Err(Void)
        })
    }

    /// Gives a byte back. Through a lost descriptor there is nothing to give back: the
    /// kernel took it when the number was closed.
    pub(crate) fn give_back(&self, offset: u64) {
        let Ok(file) = self.file.try_read() else {
            return;
        };
        fork::steadily(|| {
            if let Some(descriptor) = file.descriptor().filter(|_| file.is_ours()) {
                let _ = file::unlock(descriptor, offset);
            }
        });
    }

    /// What the kernel knows of the file.
    pub(crate) fn status(&self) -> Result<Option<io::Result<FileStat>>, Void> {
        self.ask(|file| fstat(file).map_err(io::Error::from))
    }

    /// Whether a file is the segment's, by device and inode.
    pub(crate) fn are_of(&self, file: impl AsFd) -> bool {
        let is_it = |now: FileStat| (now.st_dev, now.st_ino) == self.of && self.of != (0, 0);
        fstat(file).is_ok_and(is_it)
    }

    /// Replaces the descriptor by one that `open` opens, if that is of the same file: false
    /// if it is of another. It holds no byte yet.
    ///
    /// # Errors
    /// That of `open`.
    pub(crate) fn replace(&self, open: impl FnOnce() -> io::Result<File>) -> io::Result<bool> {
        let new = PrivateFile::open(open)?;
        if !new.descriptor().is_some_and(|file| self.are_of(file)) {
            return Ok(false);
        }
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *file, new);
        drop(file);
        // Closes the number only if it is still the old description's.
        drop(old);
        Ok(true)
    }
}

impl<B: Body> Opened<B> {
    /// Opens the descriptor for byte locks again by the segment's name; it holds none. False
    /// if the name does not lead to this segment any more.
    ///
    /// # Errors
    /// The system refuses it.
    pub(crate) fn reopen(&self) -> Result<bool, SegmentError> {
        let Some(inode) = self.look_up()? else {
            return Ok(false);
        };
        self.locks()
            .replace(|| inode.reopen(true))
            .map_err(|error| refused("open", self.path(), error))
    }

    /// The segment's file, opened for reading by its name; `None` if the name leads to it no
    /// more. For a process that has lost the descriptor.
    ///
    /// # Errors
    /// The system refuses it.
    pub(super) fn named(&self) -> Result<Option<File>, SegmentError> {
        let Some(inode) = self.look_up()? else {
            return Ok(None);
        };
        let file = inode
            .reopen(false)
            .map_err(|error| refused("open", self.path(), error))?;
        Ok(self.locks().are_of(&file).then_some(file))
    }

    /// What the segment's name leads to.
    fn look_up(&self) -> Result<Option<Inode>, SegmentError> {
        let directory = self.path().parent().map(Directory::existing);
        let Some(directory) = directory.transpose()?.flatten() else {
            return Ok(None);
        };
        match Inode::look_up(&directory, self.name()) {
            Ok(inode) => Ok(Some(inode)),
            Err(SegmentError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
