//! Opening a segment that exists.

use core::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::SegmentError;
use crate::os::descriptor::Kept;
use crate::os::file;
use crate::os::fork::PrivateFile;
use crate::os::{clock, process};
use crate::segment::directory::{Directory, directory};
use crate::segment::header::{Body, Header, Identity};
use crate::segment::inode::{Inode, not_found};
use crate::segment::locks::{Locks, Void};
use crate::segment::map::{Map, ReadMap, Unverified, total_bytes};
use crate::segment::name::SegmentName;
use crate::segment::refused;
use crate::segment::token::Token;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where segments are, and how private.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Default: `EBBTIDE_DIR`, else the directory of this user (see [`directory`]).
    pub(crate) directory: Option<PathBuf>,
    /// Permission bits of a new segment, and the most that are accepted of an
    /// existing one. Default 0600. The owner's read and write bits are always on.
    pub(crate) mode: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            directory: None,
            mode: 0o600,
        }
    }
}

impl Options {
    pub(crate) fn path(&self) -> Result<PathBuf, SegmentError> {
        directory(self.directory.as_deref())
    }

    pub(crate) fn permissions(&self) -> u32 {
        self.mode & 0o777 | 0o600
    }
}

/// A segment open for reading and writing.
pub(crate) struct Opened<B> {
    pub(super) map: Map<B>,
    /// Another open file description of the same inode than the mapping's: a
    /// mapping lives on in forked children and would keep the locks.
    locks: Locks,
    /// As it was when the header was verified.
    pub(super) identity: Identity,
    name: SegmentName,
    directory: PathBuf,
    pub(super) path: PathBuf,
}

impl<B: Body> Opened<B> {
    /// `locks` must be of the mapped inode, by another open file description.
    pub(crate) fn new(
        map: Map<B>,
        locks: PrivateFile,
        name: &SegmentName,
        directory: &Path,
    ) -> Self {
        Self {
            identity: map.header().identity(),
            map,
            locks: Locks::new(locks),
            name: name.clone(),
            path: directory.join(name.as_str()),
            directory: directory.to_path_buf(),
        }
    }

    /// The verified header.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        self.map.header()
    }

    /// The body; check each value where it is read.
    #[inline]
    pub(crate) fn body(&self) -> &B {
        self.map.body()
    }

    /// The byte locks.
    pub(crate) fn locks(&self) -> &Locks {
        &self.locks
    }

    pub(crate) fn name(&self) -> &SegmentName {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// The printable address of this very segment.
    pub(crate) fn token(&self) -> Token {
        Token::new(self.name.clone(), self.identity, &self.directory)
    }

    /// Whether the segment was removed since.
    #[inline]
    pub(crate) fn is_removed(&self) -> bool {
        self.header().is_removed()
    }

    /// Before each sleep of a wait: nobody finds a removed segment by its name any more, so
    /// those who would end the wait may never come. One load.
    ///
    /// # Errors
    /// `Stale` when the segment was removed.
    #[inline]
    pub(crate) fn not_removed(&self) -> Result<(), SegmentError> {
        match self.is_removed() {
            true => Err(stale(&self.name)),
            false => Ok(()),
        }
    }

    /// What a wait fails with that ended without its goal: with this, unless it ended because
    /// the segment was removed.
    pub(crate) fn or_stale<E: From<SegmentError>>(&self, error: E) -> E {
        self.not_removed().map_or_else(E::from, |()| error)
    }

    /// To be called by a process that has just taken its process byte lock: after
    /// an `Ok`, nobody removes the segment without force while the lock is held.
    ///
    /// # Errors
    /// `Stale` when the segment was removed before, also by a bare `unlink`.
    pub(crate) fn probe(&self) -> Result<(), SegmentError> {
        let is_linked = match self.locks.status() {
            Ok(Some(Ok(status))) => status.st_nlink != 0,
            Ok(Some(Err(error))) => return Err(refused("examine", &self.path, error)),
            // The descriptor is lost, or being replaced: then the name decides.
            Ok(None) | Err(Void) => self.named()?.is_some(),
        };
        if !is_linked || self.is_removed() {
            return Err(stale(&self.name));
        }
        Ok(())
    }
}

/// A segment open for reading only.
pub(crate) struct Observed<B> {
    pub(super) map: ReadMap<B>,
    /// For lock queries; takes none, so it may live on in forked children.
    pub(super) file: Kept<File>,
    pub(super) identity: Identity,
    name: SegmentName,
    directory: PathBuf,
    pub(super) path: PathBuf,
}

impl<B: Body> Observed<B> {
    /// The verified header, for loads only.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        self.map.header()
    }

    /// The body, for loads only: a store ends the process (see [`ReadMap`]).
    #[inline]
    pub(crate) fn body(&self) -> &B {
        self.map.body()
    }

    /// Whether any process holds a byte; true, too, when that is unknown: the kernel refuses
    /// the query, or other code of the program has closed the descriptor.
    pub(crate) fn is_held(&self, offset: u64) -> bool {
        let answer = file::is_held_by_other(self.file.inner(), offset).unwrap_or(true);
        // Asked after the query: what is lost does not come back.
        answer || !self.file.is_ours()
    }

    pub(crate) fn name(&self) -> &SegmentName {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The printable address of this very segment.
    pub(crate) fn token(&self) -> Token {
        Token::new(self.name.clone(), self.identity, &self.directory)
    }

    /// Whether the segment was removed since.
    pub(crate) fn is_removed(&self) -> bool {
        self.header().is_removed()
    }

    /// As [`Opened::not_removed`].
    pub(crate) fn not_removed(&self) -> Result<(), SegmentError> {
        match self.is_removed() {
            true => Err(stale(&self.name)),
            false => Ok(()),
        }
    }
}

/// Opens a segment by name. Does not attach: takes no byte lock and writes nothing.
///
/// # Errors
/// In the order of the checks: `Clock`, `InvalidName` (by the caller), `Directory`,
/// `NotFound`, `ForeignOwner`, `NotRegular`, `Mode`, `Size`, `Magic`, `Layout`,
/// `Boot`, `NoSpace` (a file with holes on a full file system, or larger than this process
/// may write), `Stale` (removed, but its remover has not unlinked the name yet, or died
/// before it could); `Permission`, `Io`.
pub(crate) fn open<B: Body>(
    name: &SegmentName,
    options: &Options,
) -> Result<Opened<B>, SegmentError> {
    clock::init()?;
    let path = options.path()?;
    match Directory::existing(&path)? {
        Some(directory) => open_in(&directory, name, options),
        None => Err(not_found(name, path.join(name.as_str()))),
    }
}

/// Opens the very segment that a token names; the directory of `options` is not used.
///
/// # Errors
/// As [`open`]; `Stale` when there is no segment there now or another one.
pub(crate) fn open_token<B: Body>(
    token: &Token,
    options: &Options,
) -> Result<Opened<B>, SegmentError> {
    let name = token.segment_name();
    let options = Options {
        directory: Some(token.directory().to_path_buf()),
        ..options.clone()
    };
    match open(name, &options) {
        Ok(opened) if opened.identity() == token.identity() => Ok(opened),
        Ok(_) | Err(SegmentError::NotFound { .. }) => Err(stale(name)),
        Err(error) => Err(error),
    }
}

/// Opens a segment for reading only. A removed one can still be observed.
///
/// # Errors
/// As [`open`], but neither `NoSpace` nor `Stale`.
pub(crate) fn observe<B: Body>(
    name: &SegmentName,
    options: &Options,
) -> Result<Observed<B>, SegmentError> {
    clock::init()?;
    let path = options.path()?;
    let Some(directory) = Directory::existing(&path)? else {
        return Err(not_found(name, path.join(name.as_str())));
    };
    let inode = find::<B>(&directory, name, options)?;
    let file = inode
        .reopen(false)
        .map_err(|error| refused("open", inode.path(), error))?;
    check_magic(&inode, &file)?;
    let map = ReadMap::<B>::map(&file, boot_id()?, inode.path())
        .map_err(|error| refused("map", inode.path(), error))??;
    // Nothing reads through it from here on.
    let file = Kept::named(file).map_err(|error| refused("examine", inode.path(), error))?;
    Ok(Observed {
        identity: map.header().identity(),
        map,
        file,
        name: name.clone(),
        directory: path,
        path: inode.path().to_path_buf(),
    })
}

/// Opens the very segment that a token names, for reading only.
///
/// # Errors
/// As [`observe`]; `Stale` when there is no segment there now or another one.
pub(crate) fn observe_token<B: Body>(
    token: &Token,
    options: &Options,
) -> Result<Observed<B>, SegmentError> {
    let name = token.segment_name();
    let options = Options {
        directory: Some(token.directory().to_path_buf()),
        ..options.clone()
    };
    match observe(name, &options) {
        Ok(seen) if seen.identity == token.identity() => Ok(seen),
        Ok(_) | Err(SegmentError::NotFound { .. }) => Err(stale(name)),
        Err(error) => Err(error),
    }
}

pub(crate) fn open_in<B: Body>(
    directory: &Directory,
    name: &SegmentName,
    options: &Options,
) -> Result<Opened<B>, SegmentError> {
    let inode = find::<B>(directory, name, options)?;
    let file = inode
        .reopen(true)
        .map_err(|error| refused("open", inode.path(), error))?;
    check_magic(&inode, &file)?;
    let map = Unverified::<B>::map(&file)
        .map_err(|error| refused("map", inode.path(), error))?
        .verify(boot_id()?, inode.path())?;
    if map.header().is_removed() {
        return Err(stale(name));
    }
    inode.fill_holes(&file)?;
    let locks = PrivateFile::open(|| inode.reopen(true))
        .map_err(|error| refused("open", inode.path(), error))?;
    Ok(Opened::new(map, locks, name, directory.path()))
}

/// All checks that need no byte of the file.
fn find<B: Body>(
    directory: &Directory,
    name: &SegmentName,
    options: &Options,
) -> Result<Inode, SegmentError> {
    let inode = Inode::look_up(directory, name)?;
    inode.check_owner_and_kind()?;
    inode.check_mode(options.permissions())?;
    inode.check_size(total_bytes::<B>())?;
    Ok(inode)
}

fn check_magic(inode: &Inode, file: &File) -> Result<(), SegmentError> {
    if inode.has_magic(file)? {
        return Ok(());
    }
    Err(SegmentError::Magic {
        path: inode.path().to_path_buf(),
    })
}

pub(crate) fn boot_id() -> Result<[u8; 16], SegmentError> {
    process::boot_id().map_err(|error| refused("read", Path::new(BOOT_ID), error))
}

pub(crate) fn stale(name: &SegmentName) -> SegmentError {
    SegmentError::Stale {
        name: name.to_string(),
    }
}

impl<B> fmt::Debug for Opened<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Opened")
            .field("path", &self.path)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Observed<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Observed")
            .field("path", &self.path)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
