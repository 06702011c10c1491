//! Removing a segment.

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::SegmentError;
use crate::limits::MAX_PROCESSES;
use crate::os::file::{PROCESS_LOCKS, try_lock_range};
use crate::os::fork::PrivateFile;
use crate::segment::directory::Directory;
use crate::segment::header::{HEADER_BYTES, Identity};
use crate::segment::inode::{Inode, not_found};
use crate::segment::map::{Nothing, Unverified};
use crate::segment::name::SegmentName;
use crate::segment::open::Options;
use crate::segment::refused;

/// Removes a segment. Works on whatever regular file of this user has the name:
/// torn ones, other layouts, other boots.
///
/// It takes all process byte locks at once, which shows that nobody is attached
/// and keeps attachers out; marks the header, so that one who has opened the file
/// but not attached yet learns of it; and takes the name away. With `force` it goes
/// on although somebody is attached. That the name was taken away by another
/// meanwhile is no error.
///
/// Two removals of which one is forced may overlap with a new creation of the same
/// name; only then the new segment can lose its name.
///
/// # Errors
/// `InUse` with an empty list (the caller knows whom to name); `NotFound`,
/// `Directory`, `ForeignOwner`, `NotRegular`, `Permission`, `Io`.
pub(crate) fn remove(
    name: &SegmentName,
    options: &Options,
    force: bool,
) -> Result<(), SegmentError> {
    let path = options.path()?;
    let Some(directory) = Directory::existing(&path)? else {
        return Err(not_found(name, path.join(name.as_str())));
    };
    let inode = Inode::look_up(&directory, name)?;
    remove_inode(&directory, name, &inode, force)
}

/// Removes a segment again that its creator could not attach to, unless somebody else has
/// by now. As far as that can be done: it is nothing but an empty segment.
pub(crate) fn take_back(name: &SegmentName, options: &Options, made: Identity) {
    let remove = || {
        let directory = Directory::existing(&options.path()?)?;
        let Some(directory) = directory else {
            return Ok(());
        };
        let inode = Inode::look_up(&directory, name)?;
        if with_header(&inode, |header| header.identity())? == Some(made) {
            remove_inode(&directory, name, &inode, false)?;
        }
        Ok::<_, SegmentError>(())
    };
    let _ = remove();
}

/// Finishes the removal of a segment that is marked as removed but still has its
/// name, because its remover was killed in between. `true` if the name is free now.
///
/// # Errors
/// As [`remove`], but for `InUse` (the answer is `false`).
pub(super) fn remove_leftover(
    directory: &Directory,
    name: &SegmentName,
) -> Result<bool, SegmentError> {
    let result = Inode::look_up(directory, name).and_then(|inode| {
        if !is_marked(&inode)? {
            return Ok(false);
        }
        remove_inode(directory, name, &inode, false).map(|()| true)
    });
    match result {
        Err(SegmentError::NotFound { .. }) => Ok(true),
        Err(SegmentError::InUse { .. }) => Ok(false),
        result => result,
    }
}

fn remove_inode(
    directory: &Directory,
    name: &SegmentName,
    inode: &Inode,
    force: bool,
) -> Result<(), SegmentError> {
    inode.check_owner_and_kind()?;
    let fail = |error| refused("open", inode.path(), error);
    // Released when it is closed, at the end of this function.
    let locks = PrivateFile::open(|| inode.reopen(true)).map_err(fail)?;
    let descriptor = locks.descriptor().ok_or(SegmentError::ForkedHandle)?;
    let alone = try_lock_range(descriptor, PROCESS_LOCKS, MAX_PROCESSES as u64)
        .map_err(|error| refused("lock", inode.path(), error))?;
    if !alone && !force {
        return Err(SegmentError::InUse {
            name: name.to_string(),
            attached: Vec::new(),
        });
    }
    with_header(inode, |header| header.mark_removed())?;
    if !inode.is_still_named(directory, name) {
        return Ok(());
    }
    match unlinkat(directory, name.as_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(refused("remove", inode.path(), error)),
    }
}

fn is_marked(inode: &Inode) -> Result<bool, SegmentError> {
    if inode.check_owner_and_kind().is_err() {
        return Ok(false);
    }
    let marked = with_header(inode, |header| header.is_removed())?;
    Ok(marked.unwrap_or(false))
}

/// Shows the header of a file that some release of ebbtide made. The words used
/// here are at the same place in every layout.
fn with_header<T>(
    inode: &Inode,
    body: impl FnOnce(&crate::segment::header::Header) -> T,
) -> Result<Option<T>, SegmentError> {
    let file = inode
        .reopen(true)
        .map_err(|error| refused("open", inode.path(), error))?;
    if inode.len() < HEADER_BYTES as u64 || !inode.has_magic(&file)? {
        return Ok(None);
    }
    let unverified =
        Unverified::<Nothing>::map(&file).map_err(|error| refused("map", inode.path(), error))?;
    Ok(Some(body(unverified.header())))
}
