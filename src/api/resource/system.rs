//! What the operating system keeps when a process dies, and taking it away.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Child;
use std::time::UNIX_EPOCH;

use nix::sys::signal::Signal;

use crate::limits;
use crate::os::pidfd::Pidfd;
use crate::os::process::{mount_namespace, pid_namespace, start_time};
use crate::table::resources::{Fate, Identity};

const FILE: u64 = 1;
const SOCKET: u64 = 2;
const SHARED_MEMORY: u64 = 3;
const PROCESS: u64 = 4;

const KIND_BITS: u32 = 32;

/// Where POSIX shared memory has its names.
const SHARED_MEMORY_DIRECTORY: &str = "/dev/shm";

/// Something that outlives its process: by identity, so that whoever reclaims it takes
/// this one and no other.
///
/// A path is removed only if it still leads to the file that was registered (device,
/// inode, and time of birth where the file system has one); a process is ended (SIGKILL)
/// only if it is the one that was registered (pid and start time, same pid namespace).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemResource {
    pub(crate) path: String,
    pub(crate) identity: Identity,
}

impl SystemResource {
    /// A regular file that exists, by absolute path (at most 256 bytes).
    ///
    /// # Errors
    /// `InvalidInput` when the path is not absolute, too long, not UTF-8 or no regular
    /// file; what the system says when it cannot be looked at.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::path(FILE, path.as_ref())
    }

    /// The path of a Unix socket that is bound, likewise.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn socket(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::path(SOCKET, path.as_ref())
    }

    /// POSIX shared memory by the name that `shm_open` was given (`/name`).
    ///
    /// # Errors
    /// As [`file`](Self::file); `InvalidInput` for a name with a `/` inside.
    pub fn shared_memory(name: &str) -> io::Result<Self> {
        let bare = name.strip_prefix('/').unwrap_or(name);
        if bare.is_empty() || bare.contains('/') || bare == "." || bare == ".." {
            return Err(invalid("a shared memory name is one component"));
        }
        Self::path(
            SHARED_MEMORY,
            &Path::new(SHARED_MEMORY_DIRECTORY).join(bare),
        )
    }

    /// A child process that has not been waited for.
    ///
    /// # Errors
    /// `NotFound` when it is gone; there is no `/proc`, or that of another pid namespace.
    pub fn process(child: &Child) -> io::Result<Self> {
        let started = start_time(child.id())?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            path: String::new(),
            identity: [
                tag(PROCESS),
                u64::from(child.id()),
                started,
                pid_namespace()?,
            ],
        })
    }

    fn path(kind: u64, path: &Path) -> io::Result<Self> {
        let text = path.to_str().ok_or_else(|| invalid("it is not UTF-8"))?;
        if !path.is_absolute() {
            return Err(invalid("it is not an absolute path"));
        }
        if text.len() > limits::RESOURCE_PATH_BYTES {
            return Err(invalid("it is longer than 256 bytes"));
        }
        let identity = identity(kind, &fs::symlink_metadata(path)?)
            .ok_or_else(|| invalid("it is of another file type"))?;
        Ok(Self {
            path: text.into(),
            identity,
        })
    }
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// The identity of a file, if it is of the type that the kind asks for.
fn identity(kind: u64, metadata: &Metadata) -> Option<Identity> {
    let file_type = metadata.file_type();
    let fits = match kind {
        FILE | SHARED_MEMORY => file_type.is_file(),
        SOCKET => file_type.is_socket(),
        _ => false,
    };
    // An inode number comes to be used again; a time of birth does not.
    let born = metadata.created().ok();
    let born = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    let born = born.map_or(0, |born| born.as_nanos() as u64);
    fits.then_some([tag(kind), metadata.dev(), metadata.ino(), born])
}

/// A kind, with the mount namespace that gives its path a meaning; zero if unknown.
fn tag(kind: u64) -> u64 {
    kind | (mount_namespace().unwrap_or(0) << KIND_BITS)
}

fn kind_of(identity: Identity) -> u64 {
    identity[0] & ((1 << KIND_BITS) - 1)
}

/// What it is, for people.
pub(super) fn describe(identity: Identity, path: &str) -> Option<String> {
    match kind_of(identity) {
        FILE | SOCKET | SHARED_MEMORY => Some(path.into()),
        PROCESS => Some(format!("pid {}", identity[1])),
        _ => None,
    }
}

/// Takes it away, if it is still the one that was registered. `None` when that cannot be
/// judged from here, or not now.
pub(super) fn take_away(wanted: Identity, path: &str) -> Option<Fate> {
    match kind_of(wanted) {
        kind @ (FILE | SOCKET | SHARED_MEMORY) if path.starts_with('/') => {
            let is_same = |found: Identity| found[1..] == wanted[1..];
            // In another mount namespace (if it is known) the path says nothing about what
            // it does not lead to.
            let elsewhere = || wanted[0] != kind && wanted[0] != tag(kind);
            match fs::symlink_metadata(path) {
                Ok(metadata) if identity(kind, &metadata).is_some_and(is_same) => {
                    told(fs::remove_file(path))
                }
                Ok(_) => (!elsewhere()).then_some(Fate::Absent),
                Err(error) if is_absence(&error) => (!elsewhere()).then_some(Fate::Absent),
                Err(_) => None,
            }
        }
        // No descriptor left, or the like: not now.
        PROCESS => end(wanted).unwrap_or(None),
        _ => Some(Fate::Refused),
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn told(result: io::Result<()>) -> Option<Fate> {
    match result {
        Ok(()) => Some(Fate::Reclaimed),
        Err(error) if is_absence(&error) => Some(Fate::Absent),
        // It was tried, by the owner's own user.
        Err(_) => Some(Fate::Refused),
    }
}

fn end([_, pid, started, namespace]: Identity) -> io::Result<Option<Fate>> {
    let Ok(pid) = u32::try_from(pid) else {
        return Ok(Some(Fate::Refused));
    };
    // The pid is a number of that namespace, and means another process in ours.
    if namespace != pid_namespace()? {
        return Ok(None);
    }
    if pid == std::process::id() {
        return Ok(Some(Fate::Refused));
    }
    Ok(Some(match Pidfd::open(pid, started)? {
        Some(process) if process.signal(Signal::SIGKILL)? => Fate::Reclaimed,
        _ => Fate::Absent,
    }))
}
