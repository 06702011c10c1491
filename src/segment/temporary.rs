//! Temporary files of creators, on file systems without `O_TMPFILE`.
//!
//! A creator holds the *creator's byte* ([`CREATORS_LOCK`]) of its temporary file until it has
//! removed the temporary name; the kernel frees the byte when the creator dies. A process that
//! removes leftovers takes the byte first and holds it over the unlink:
//!
//! - *The creator has the byte first*: the remover does not get it, and leaves the file.
//! - *The remover has it first*: the creator does not get it, or gets it after the unlink and
//!   finds that its file has no name. In both cases it makes another file.
//!
//! The name is random and no process makes it again, so an unlink never takes the name of
//! another file.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::SegmentError;
use crate::os::file::{CREATORS_LOCK, try_lock};
use crate::os::fork::PrivateFile;
use crate::segment::directory::Directory;
use crate::segment::inode::Inode;
use crate::segment::refused;

/// How the names of temporary files begin. No segment name begins with a dot.
pub(super) const TEMPORARY: &str = ".tmp-";

/// Takes the creator's byte of a file just made; `false` if it was discarded before.
///
/// # Errors
/// The system refuses to lock or to examine the file.
pub(super) fn claim(file: &File) -> io::Result<bool> {
    Ok(try_lock(file, CREATORS_LOCK)? && file.metadata()?.nlink() != 0)
}

/// The names of the temporary files in a directory, sorted.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn names(directory: &Directory) -> Result<Vec<String>, SegmentError> {
    let fail = |error| refused("list", directory.path(), error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory.path()).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        names.extend(
            name.into_string()
                .ok()
                .filter(|name| name.starts_with(TEMPORARY)),
        );
    }
    names.sort();
    Ok(names)
}

/// Removes a temporary file that no living process builds a segment in, if it was last written
/// `age` ago or earlier. Returns how many bytes that freed; `None` if the file was left, or had
/// been removed before.
///
/// # Errors
/// `Permission`, `Io`.
pub(crate) fn discard(
    directory: &Directory,
    name: &str,
    age: Duration,
) -> Result<Option<u64>, SegmentError> {
    let Some(inode) = Inode::find(directory, name)? else {
        return Ok(None);
    };
    let is_young = age > Duration::ZERO && inode.age().is_none_or(|found| found <= age);
    if is_young || inode.check_owner_and_kind().is_err() {
        return Ok(None);
    }
    let fail = |operation| {
        let path = inode.path();
        move |error: io::Error| refused(operation, path, error)
    };
    // Kept from forked children: they would keep the byte.
    let file = PrivateFile::open(|| inode.reopen(true)).map_err(fail("open"))?;
    let descriptor = file.descriptor().ok_or(SegmentError::ForkedHandle)?;
    if !try_lock(descriptor, CREATORS_LOCK).map_err(fail("lock"))?
        || !inode.is_of(descriptor)
        || !inode.is_still_named(directory, name)?
    {
        return Ok(None);
    }
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) => Ok(Some(inode.freed())),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(refused("remove", inode.path(), error)),
    }
}
