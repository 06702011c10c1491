//! Error vocabulary: one enum per family of operations.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Mode, Phase};

/// A table slot's holder, named in [`SegmentError::Full`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Runner id, lock name, or `pid N` where the slot has no name.
    pub name: String,
    /// Process id as its owner saw it; informational, never a proof of identity.
    pub pid: u32,
}

/// Why a segment could not be created, opened, attached, listed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The name is empty, too long, starts with a dot or has a character outside
    /// `[A-Za-z0-9._-]`. Choose another name.
    #[error("segment name {name:?} is refused: {problem} (allowed: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot)")]
    InvalidName { name: String, problem: &'static str },
    /// No segment of this name exists in the directory. Create it, or check
    /// `EBBTIDE_DIR` and the user id.
    #[error("no segment {name:?} at {}", path.display())]
    NotFound { name: String, path: PathBuf },
    /// A segment of this name exists already. Open it, or remove it first.
    #[error("segment {name:?} exists already at {}", path.display())]
    Exists { name: String, path: PathBuf },
    /// The file belongs to another user. Segments are private to one user.
    #[error("{} belongs to uid {owner}, not to uid {expected}: refused", path.display())]
    ForeignOwner { path: PathBuf, owner: u32, expected: u32 },
    /// The file's permission bits let others in. `chmod` it, or allow the mode in
    /// the options.
    #[error("{} has mode {mode:04o}, at most {allowed:04o} is accepted", path.display())]
    Mode { path: PathBuf, mode: u32, allowed: u32 },
    /// Not a regular file (a link, directory, pipe, socket or device).
    #[error("{} is a {kind}, not a regular file: refused", path.display())]
    NotRegular { path: PathBuf, kind: &'static str },
    /// The segment directory cannot be trusted or made.
    #[error("segment directory {} is refused: {problem}", path.display())]
    Directory { path: PathBuf, problem: String },
    /// The file has another size than this layout: torn, truncated or foreign.
    #[error("{} has {found} bytes, a segment of this layout has {expected}: refused", path.display())]
    Size { path: PathBuf, found: u64, expected: u64 },
    /// The file does not begin as an ebbtide segment.
    #[error("{} is not an ebbtide segment (wrong magic number)", path.display())]
    Magic { path: PathBuf },
    /// Another layout version or other capacities. Use the release that made it,
    /// or remove it once its processes are gone.
    #[error("{} has layout {found}, this release has {expected}: refused", path.display())]
    Layout { path: PathBuf, found: String, expected: String },
    /// The segment was made before the last boot of this host. Remove it.
    #[error("{} was made in another boot of this host; remove it with `ebbtide rm`", path.display())]
    Boot { path: PathBuf },
    /// A value in the segment is impossible. Another process wrote over it.
    #[error("segment is corrupt: {what}")]
    Corrupt { what: String },
    /// A table is full of living entries, also after dead ones were reaped.
    #[error("table {table} is full: {capacity} entries, held by {}", holders(held_by))]
    Full { table: &'static str, capacity: usize, held_by: Vec<Holder> },
    /// The file system has not enough room for the whole segment.
    #[error("no space for {bytes} bytes at {}; free some or set EBBTIDE_DIR to another file system", path.display())]
    NoSpace { path: PathBuf, bytes: u64, #[source] source: io::Error },
    /// The system refuses access.
    #[error("no permission to {operation} {}", path.display())]
    Permission { operation: &'static str, path: PathBuf, #[source] source: io::Error },
    /// Living processes are attached. Shut them down first, or force the removal.
    #[error("segment {name:?} is in use by {} living process(es): {}; shut them down or use force", attached.len(), holders(attached))]
    InUse { name: String, attached: Vec<Holder> },
    /// The segment was removed (and perhaps made anew) since the handle or token was made.
    #[error("token or handle is stale: segment {name:?} was removed or made anew")]
    Stale { name: String },
    /// Not a token that this release prints.
    #[error("{token:?} is not a segment token: {problem}")]
    InvalidToken { token: String, problem: &'static str },
    /// The handle was made before a `fork` and is used in the child. Open the
    /// segment again in the child.
    #[error("this handle belongs to the parent of this forked process; open the segment again in the child")]
    ForkedHandle,
    /// An environment variable that binds the process is missing or unusable.
    #[error("environment variable {variable} {problem}")]
    Environment { variable: &'static str, problem: String },
    /// The process cannot relate its clock to that of its peers.
    #[error("cannot read the time-namespace offset of this process: {problem}; its deadlines would not be those of its peers")]
    Clock { problem: String },
    /// Any other failure of the system.
    #[error("cannot {operation} {}", path.display())]
    Io { operation: &'static str, path: PathBuf, #[source] source: io::Error },
}

/// Why a coordination call was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoordinationError {
    /// The group (or this runner) is shutting down or has completed; nobody may join.
    /// Wait for the next generation.
    #[error("refused: the group is in phase {phase} ({reason}), {} ms remain; join the next generation", remaining.as_millis())]
    ShuttingDown { phase: Phase, reason: String, remaining: Duration },
    /// A runner id, handler or lock name that is empty, too long or has control characters.
    #[error("name {name:?} is refused: {problem} (allowed: 1 to 64 bytes without control characters or '/')")]
    InvalidName { name: String, problem: &'static str },
    /// A living runner has this id already.
    #[error("runner {id:?} is registered already by living pid {pid}")]
    DuplicateRunner { id: String, pid: u32 },
    /// No runner of this id is or was registered here.
    #[error("no runner {id:?} in this segment")]
    NoSuchRunner { id: String },
    /// There is no shutdown to wait for, escalate, cancel or extend.
    #[error("no shutdown is under way")]
    NotShuttingDown,
    /// The shutdown has passed the point where it could be cancelled.
    #[error("too late to cancel: phase {phase} is published")]
    TooLate { phase: Phase },
    /// More time was asked without any progress since the last time.
    #[error("no extension for {id:?}: its progress counter has stood at {progress} since the last one")]
    NoProgress { id: String, progress: u64 },
    /// The overall cap leaves no more time to give.
    #[error("no extension: the overall cap of this shutdown is reached")]
    CapReached,
    /// The runner has left (or was counted out as dead); its handle is spent.
    #[error("runner {id:?} has left")]
    Left { id: String },
    /// New work is refused because the runner drains.
    #[error("runner {id:?} takes no new work in phase {phase}")]
    Draining { id: String, phase: Phase },
    /// Phases are acknowledged in order, and not before they are published.
    #[error("phase {phase} cannot be acknowledged now: {problem}")]
    OutOfOrder { phase: Phase, problem: &'static str },
    /// The generation has not ended.
    #[error("generation {generation} is in phase {phase}; a new one begins only after Complete")]
    NotComplete { generation: u32, phase: Phase },
    /// A runner of the old generation still lives; wait for it or end it.
    #[error("generation {generation} still has runner {id:?} (pid {pid}); wait until it is gone")]
    Occupied { generation: u32, id: String, pid: u32 },
    /// The timeout of this call passed first.
    #[error("timed out after {} ms in phase {phase}; waiting for {}", waited.as_millis(), laggards.join(", "))]
    TimedOut { waited: Duration, phase: Phase, laggards: Vec<String> },
    /// A mode can only become harder.
    #[error("mode is {mode} already; it never relaxes")]
    ModeHeld { mode: Mode },
    /// Shares of a budget must sum to 1000 per mille.
    #[error("shares sum to {sum} per mille, they must sum to 1000")]
    Shares { sum: u32 },
    /// The system refused a signal handler or a thread.
    #[error("cannot {operation}")]
    System { operation: &'static str, #[source] source: io::Error },
    /// The process-wide instance was not bound, or was bound twice.
    #[error("process-wide instance: {problem}")]
    Instance { problem: &'static str },
    /// The segment itself is at fault.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// Why a lock or condition variable call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The timeout passed; the lock was not taken.
    #[error("lock {name:?} not acquired within {} ms; held by {holder}", waited.as_millis())]
    TimedOut { name: String, waited: Duration, holder: String },
    /// Somebody holds the lock now.
    #[error("lock {name:?} is held by {holder}")]
    WouldBlock { name: String, holder: String },
    /// This very thread holds it already; waiting would never end.
    #[error("lock {name:?} is held by this thread already")]
    Recursive { name: String },
    /// The name is refused, the table is full, the handle is stale, …
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
}

impl From<SegmentError> for LockError {
    fn from(error: SegmentError) -> Self {
        Self::Coordination(error.into())
    }
}

/// Any error of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// From the segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// From the protocol.
    #[error(transparent)]
    Coordination(CoordinationError),
    /// From a lock.
    #[error(transparent)]
    Lock(LockError),
}

impl From<CoordinationError> for Error {
    fn from(error: CoordinationError) -> Self {
        match error {
            CoordinationError::Segment(inner) => Self::Segment(inner),
            other => Self::Coordination(other),
        }
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Coordination(inner) => inner.into(),
            other => Self::Lock(other),
        }
    }
}

fn holders(list: &[Holder]) -> String {
    const SHOWN: usize = 8;
    let mut text = list
        .iter()
        .take(SHOWN)
        .map(|holder| format!("{} (pid {})", holder.name, holder.pid))
        .collect::<Vec<_>>()
        .join(", ");
    if list.len() > SHOWN {
        text.push_str(&format!(" and {} more", list.len() - SHOWN));
    }
    text
}
