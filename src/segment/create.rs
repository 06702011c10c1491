//! Making a segment: built in a file without a name, and named when complete.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, unlinkat};

use crate::error::SegmentError;
use crate::os::file::{CREATORS_LOCK, unlock};
use crate::os::fork::PrivateFile;
use crate::os::{clock, process};
use crate::segment::directory::Directory;
use crate::segment::header::{Birth, Body, Identity};
use crate::segment::inode::{Inode, allocate};
use crate::segment::map::{Unverified, total_bytes};
use crate::segment::name::SegmentName;
use crate::segment::open::{Opened, Options, boot_id, open_in};
use crate::segment::refused;
use crate::segment::remove::remove_leftover;
use crate::segment::temporary::{self, TEMPORARY};

/// Rounds of [`open_or_create`] before it gives up on others that create and
/// remove the same name all the time; the later rounds rest a millisecond.
const ROUNDS: u32 = 64;

/// Age from which a creator removes temporary files of killed creators.
const ABANDONED: Duration = Duration::from_secs(60);

/// Makes a segment with an all-zero body. Of many that try, one gets it.
///
/// A creator killed at any instruction leaves no segment: the name appears when
/// all else is done. Makes the directory if it is missing.
///
/// # Errors
/// `Exists`; `InUse` when the name leads to a segment whose remover has not finished
/// within a second; `NoSpace` when the file system has no room for all of it, or this
/// process may not write so large a file; `Clock`, `Directory`, `Permission`, `Io`.
pub(crate) fn create<B: Body>(
    name: &SegmentName,
    options: &Options,
) -> Result<Opened<B>, SegmentError> {
    clock::init()?;
    let directory = Directory::prepare(&options.path()?)?;
    create_in(&directory, name, options)
}

/// Opens a segment, or makes it if there is none.
///
/// # Errors
/// As `open` and [`create`], but for `NotFound`, `Exists` and `Stale`, unless others
/// create and remove it again and again.
pub(crate) fn open_or_create<B: Body>(
    name: &SegmentName,
    options: &Options,
) -> Result<Opened<B>, SegmentError> {
    clock::init()?;
    let directory = Directory::prepare(&options.path()?)?;
    let mut round = 0;
    loop {
        let result = match open_in(&directory, name, options) {
            Err(SegmentError::NotFound { .. } | SegmentError::Stale { .. }) => {
                create_in(&directory, name, options)
            }
            result => result,
        };
        round += 1;
        match result {
            Err(SegmentError::Exists { .. } | SegmentError::Stale { .. }) if round < ROUNDS => {
                if round > ROUNDS / 8 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            result => return result,
        }
    }
}

fn create_in<B: Body>(
    directory: &Directory,
    name: &SegmentName,
    options: &Options,
) -> Result<Opened<B>, SegmentError> {
    // Saves the work where the name is taken; the link below decides.
    if Inode::look_up(directory, name).is_ok() && !remove_leftover(directory, name)? {
        return Err(exists(directory, name));
    }
    let blank = Blank::new(directory, total_bytes::<B>())?;
    build::<B>(directory, name, options, blank)
}

/// Fills the blank file, opens it, and gives it its name last: whatever is refused, no
/// name is left of it.
pub(super) fn build<B: Body>(
    directory: &Directory,
    name: &SegmentName,
    options: &Options,
    blank: Blank<'_>,
) -> Result<Opened<B>, SegmentError> {
    let path = directory.path_of(name);
    let fail = |operation| {
        let path = &path;
        move |error: Errno| refused(operation, path, error)
    };
    let mode = Mode::from_bits_truncate(options.permissions() as libc::mode_t);
    fchmod(&blank.file, mode).map_err(fail("set the mode of"))?;
    let bytes = total_bytes::<B>();
    allocate(&blank.file, bytes, directory.path())?;

    let (identity, boot) = (random(&path)?, boot_id()?);
    let unverified =
        Unverified::<B>::map(&blank.file).map_err(|error| refused("map", &path, error))?;
    unverified.initialise(&Birth {
        boot,
        identity,
        created_at: clock::now(),
        pid: std::process::id(),
        uid: geteuid().as_raw(),
        pid_namespace: process::pid_namespace()
            .map_err(|error| refused("read", Path::new("/proc/self/ns/pid"), error))?,
    });

    let map = unverified.verify(boot, &path)?;
    let source = format!("/proc/self/fd/{}", blank.file.as_raw_fd());
    // Another open file description than the mapped one.
    let locks = PrivateFile::open(|| File::options().read(true).write(true).open(&source))
        .map_err(|error| refused("open", &path, error))?;
    let opened = Opened::new(map, locks, name, directory.path());
    match linkat(
        AT_FDCWD,
        source.as_str(),
        directory,
        name.as_str(),
        AtFlags::AT_SYMLINK_FOLLOW,
    ) {
        Ok(()) => Ok(opened),
        Err(Errno::EEXIST) => Err(exists(directory, name)),
        Err(error) => Err(refused("give its name to", &path, error)),
    }
}

/// A new empty file that no opener can find.
pub(super) struct Blank<'a> {
    file: File,
    directory: &'a Directory,
    /// The name to take away again, where the file system has no unnamed files.
    temporary: Option<String>,
}

impl<'a> Blank<'a> {
    pub(super) fn new(directory: &'a Directory, bytes: u64) -> Result<Self, SegmentError> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        match openat(directory, ".", flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(file) => Ok(Self {
                file: file.into(),
                directory,
                temporary: None,
            }),
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOENT) => {
                Self::named(directory, bytes)
            }
            Err(error) => Err(cannot_create(directory, bytes, error)),
        }
    }

    /// For file systems without `O_TMPFILE`. A creator killed here leaves a dot
    /// file, which is no segment name; later creators sweep it.
    pub(super) fn named(directory: &'a Directory, bytes: u64) -> Result<Self, SegmentError> {
        sweep(directory);
        for _ in 0..ROUNDS {
            let blank = Self::named_once(directory, bytes)?;
            if temporary::claim(&blank.file)
                .map_err(|error| refused("lock a temporary file in", directory.path(), error))?
            {
                return Ok(blank);
            }
        }
        Err(cannot_create(directory, bytes, Errno::EAGAIN))
    }

    /// A process that removes temporary files may have taken it already.
    fn named_once(directory: &'a Directory, bytes: u64) -> Result<Self, SegmentError> {
        let [first, second] = random(directory.path())?;
        let name = format!(
            "{TEMPORARY}{}-{first:016x}{second:016x}",
            std::process::id()
        );
        let flags =
            OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let file = openat(
            directory,
            name.as_str(),
            flags,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )
        .map_err(|error| cannot_create(directory, bytes, error))?;
        Ok(Self {
            file: file.into(),
            directory,
            temporary: Some(name),
        })
    }
}

impl Drop for Blank<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            // If it cannot be taken away now, a later sweep does it.
            let _ = unlinkat(self.directory, name.as_str(), UnlinkatFlags::NoRemoveDir);
            // The mapping keeps the byte otherwise; after the name, nobody asks for it.
            let _ = unlock(&self.file, CREATORS_LOCK);
        }
    }
}

/// Removes temporary names that killed creators left. A file that has its
/// segment name already keeps that one.
fn sweep(directory: &Directory) {
    for name in temporary::names(directory).unwrap_or_default() {
        // What is refused now, a later sweep removes.
        let _ = temporary::discard(directory, &name, ABANDONED);
    }
}

fn random(path: &Path) -> Result<Identity, SegmentError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        refused(
            "get random bytes for",
            path,
            std::io::Error::other(error.to_string()),
        )
    })?;
    let number = u128::from_ne_bytes(bytes);
    Ok([number as u64, (number >> 64) as u64])
}

fn cannot_create(directory: &Directory, bytes: u64, error: Errno) -> SegmentError {
    match error {
        Errno::ENOSPC | Errno::EDQUOT => SegmentError::NoSpace {
            path: directory.path().to_path_buf(),
            bytes,
            limit: None,
            source: error.into(),
        },
        _ => refused("create a file in", directory.path(), error),
    }
}

fn exists(directory: &Directory, name: &SegmentName) -> SegmentError {
    SegmentError::Exists {
        name: name.to_string(),
        path: directory.path_of(name),
    }
}
