//! Byte locks: open-file-description locks on single bytes of a file.
//!
//! The locked bytes lie far beyond the end of any segment, so they never stand
//! for contents. Each process slot has two:
//!
//! - its *life byte*, held by the process that lives there, and by no other process, ever
//!   (a remover of the segment takes all of them for an instant);
//! - its *sweep byte*, held by the process that sweeps what a gone holder left.
//!
//! A byte lock belongs to the open file description: it goes when
//! the last descriptor *and the last mapping* made through it are gone, in whatever
//! process (a child on its way from fork to exec counts), unless it is unlocked. The
//! descriptor that locks must therefore not be the one that was mapped, and it
//! must not live on in a forked child (see `os/fork.rs`).

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::limits::MAX_PROCESSES;

/// The byte of process slot 0; slot `n` has the byte `PROCESS_LOCKS + n`.
pub(crate) const PROCESS_LOCKS: u64 = 1 << 40;

/// The removers' byte, directly before the process slots' bytes: held by the one process
/// that may take the file's name away (see `segment/remove/`).
pub(crate) const REMOVERS_LOCK: u64 = PROCESS_LOCKS - 1;

/// The creator's byte of a temporary file, directly before the removers' byte: held while
/// its creator builds a segment in it (see `segment/temporary.rs`).
pub(crate) const CREATORS_LOCK: u64 = REMOVERS_LOCK - 1;

/// The sweep byte of process slot 0, directly after the life bytes.
pub(crate) const SWEEP_LOCKS: u64 = PROCESS_LOCKS + MAX_PROCESSES as u64;

/// Takes the byte lock at `offset` if no other description holds it. Never blocks.
///
/// # Errors
/// Any failure other than "held by another": a descriptor without write access,
/// no memory for locks.
pub(crate) fn try_lock(file: impl AsFd, offset: u64) -> io::Result<bool> {
    try_lock_range(file, offset, 1)
}

/// Takes all byte locks of a range, or none of them. Never blocks.
///
/// # Errors
/// As [`try_lock`].
pub(crate) fn try_lock_range(file: impl AsFd, start: u64, length: u64) -> io::Result<bool> {
    let request = range(libc::F_WRLCK, start, length)?;
    match fcntl(file, FcntlArg::F_OFD_SETLK(&request)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Releases the byte lock at `offset`; not holding it is no error.
///
/// # Errors
/// A bad descriptor, or no memory to split a range.
pub(crate) fn unlock(file: impl AsFd, offset: u64) -> io::Result<()> {
    unlock_range(file, offset, 1)
}

/// Releases all byte locks of a range that this description holds; a length of
/// zero means to the end of all offsets.
///
/// # Errors
/// As [`unlock`].
pub(crate) fn unlock_range(file: impl AsFd, start: u64, length: u64) -> io::Result<()> {
    fcntl(
        file,
        FcntlArg::F_OFD_SETLK(&range(libc::F_UNLCK, start, length)?),
    )?;
    Ok(())
}

/// Whether a description other than `file`'s own holds the byte lock at `offset`.
/// Works on a read-only descriptor.
///
/// # Errors
/// A bad descriptor.
pub(crate) fn is_held_by_other(file: impl AsFd, offset: u64) -> io::Result<bool> {
    Ok(first_held_by_other(file, offset, 1)?.is_some())
}

/// The offset of a byte lock that another description holds within the range, if
/// any (of several, whichever the kernel meets first).
///
/// # Errors
/// A bad descriptor.
pub(crate) fn first_held_by_other(
    file: impl AsFd,
    start: u64,
    length: u64,
) -> io::Result<Option<u64>> {
    let mut request = range(libc::F_WRLCK, start, length)?;
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut request))?;
    if i32::from(request.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    Ok(Some(u64::try_from(request.l_start).unwrap_or(0).max(start)))
}

fn range(kind: libc::c_int, start: u64, length: u64) -> io::Result<libc::flock> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    Ok(libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::try_from(start).map_err(invalid)?,
        l_len: libc::off_t::try_from(length).map_err(invalid)?,
        l_pid: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    #[test]
    fn byte_locks_exclude_other_descriptions_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .unwrap()
        };
        let (mine, other) = (open(), open());
        let reader = File::open(&path).unwrap();
        let byte = PROCESS_LOCKS + 3;
        assert!(try_lock(&mine, byte).unwrap());
        assert!(
            try_lock(&mine, byte).unwrap(),
            "locking again is no conflict"
        );
        assert!(!try_lock(&other, byte).unwrap());
        assert!(try_lock(&other, byte + 1).unwrap());
        assert!(!is_held_by_other(&mine, byte).unwrap());
        assert!(is_held_by_other(&reader, byte).unwrap());
        assert_eq!(
            first_held_by_other(&other, PROCESS_LOCKS, 100).unwrap(),
            Some(byte)
        );
        assert!(!try_lock_range(open(), PROCESS_LOCKS, 100).unwrap());
        unlock(&mine, byte).unwrap();
        unlock(&other, byte + 1).unwrap();
        assert!(!is_held_by_other(&reader, byte).unwrap());
        assert!(try_lock_range(&mine, PROCESS_LOCKS, 100).unwrap());
        assert!(is_held_by_other(&reader, PROCESS_LOCKS + 99).unwrap());
        unlock_range(&mine, PROCESS_LOCKS, 100).unwrap();
        assert_eq!(
            first_held_by_other(&reader, PROCESS_LOCKS, 100).unwrap(),
            None
        );
    }
}
