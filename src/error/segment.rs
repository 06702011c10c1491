//! Errors of the segment.

use super::debug_as_display;
use std::io;
use std::path::PathBuf;

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
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The name is empty, too long, starts with a dot or has a character outside
    /// `[A-Za-z0-9._-]`. Choose another name.
    #[error(
        "segment name {name:?} is refused: {problem} (allowed: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot)"
    )]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No segment of this name exists in the directory. Create it, or check
    /// `EBBTIDE_DIR` and the user id.
    #[error("no segment {name:?} at {}", path.display())]
    NotFound {
        /// The name.
        name: String,
        /// Path of the file or directory.
        path: PathBuf,
    },
    /// A segment of this name exists already. Open it, or remove it first.
    #[error("segment {name:?} exists already at {}", path.display())]
    Exists {
        /// The name.
        name: String,
        /// Path of the file or directory.
        path: PathBuf,
    },
    /// The file belongs to another user. Segments are private to one user.
    #[error("{} belongs to uid {owner}, not to uid {expected}: refused", path.display())]
    ForeignOwner {
        /// Path of the file or directory.
        path: PathBuf,
        /// Uid that owns the file.
        owner: u32,
        /// What is required.
        expected: u32,
    },
    /// The file's permission bits let others in. `chmod` it, or allow the mode in
    /// the options.
    #[error("{} has mode {mode:04o}, at most {allowed:04o} is accepted", path.display())]
    Mode {
        /// Path of the file or directory.
        path: PathBuf,
        /// Mode bits or mode found.
        mode: u32,
        /// The most that is accepted.
        allowed: u32,
    },
    /// Not a regular file (a link, directory, pipe, socket or device).
    #[error("{} is a {kind}, not a regular file: refused", path.display())]
    NotRegular {
        /// Path of the file or directory.
        path: PathBuf,
        /// What it is instead.
        kind: &'static str,
    },
    /// The segment directory cannot be trusted or made.
    #[error("segment directory {} is refused: {problem}", path.display())]
    Directory {
        /// Path of the file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file has another size than this layout: torn, truncated or foreign.
    #[error("{} has {found} bytes, a segment of this layout has {expected}: refused", path.display())]
    Size {
        /// Path of the file or directory.
        path: PathBuf,
        /// What is there.
        found: u64,
        /// What is required.
        expected: u64,
    },
    /// The file does not begin as an ebbtide segment.
    #[error("{} is not an ebbtide segment (wrong magic number)", path.display())]
    Magic {
        /// Path of the file or directory.
        path: PathBuf,
    },
    /// Another layout version or other capacities. Use the release that made it,
    /// or remove it once its processes are gone.
    #[error("{} has layout {found}, this release has {expected}: refused", path.display())]
    Layout {
        /// Path of the file or directory.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What is required.
        expected: String,
    },
    /// The segment was made before the last boot of this host. Remove it.
    #[error("{} was made in another boot of this host; remove it with `ebbtide rm`", path.display())]
    Boot {
        /// Path of the file or directory.
        path: PathBuf,
    },
    /// A value in the segment is impossible. Another process wrote over it.
    #[error("segment is corrupt: {what}")]
    Corrupt {
        /// What is impossible, and where.
        what: String,
    },
    /// A table is full of living entries, also after dead ones were reaped.
    #[error(
        "table {table} is full: {capacity} entries, held by {}",
        holders(held_by)
    )]
    Full {
        /// The table.
        table: &'static str,
        /// How many it holds.
        capacity: usize,
        /// Who holds them.
        held_by: Vec<Holder>,
    },
    /// The file system has not enough room for the whole segment, or the limit of this
    /// process on the size of a file is lower. Free some room, or raise the limit.
    #[error("no space for {bytes} bytes at {}; {}", path.display(), more_space(*limit))]
    NoSpace {
        /// Path of the file or directory.
        path: PathBuf,
        /// Bytes needed.
        bytes: u64,
        /// `RLIMIT_FSIZE` of this process, if that is what refuses them.
        limit: Option<u64>,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The system refuses access.
    #[error("no permission to {operation} {}", path.display())]
    Permission {
        /// What was tried.
        operation: &'static str,
        /// Path of the file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Living processes are attached: shut them down first, or force the removal. Or
    /// another process is removing the segment and has not finished within a second, most
    /// likely because it is stopped: continue it or kill it, then try again. Force does not
    /// help against a remover.
    #[error("segment {name:?} is {}", in_use(attached, remover.as_ref()))]
    InUse {
        /// The name.
        name: String,
        /// Who is attached; empty if a remover is the reason.
        attached: Vec<Holder>,
        /// The process that is removing the segment, if that is the reason. Its pid is 0
        /// where it is not known.
        remover: Option<Holder>,
    },
    /// The segment was removed (and perhaps made anew) since the handle or token was made.
    #[error(
        "segment {name:?} was removed (and perhaps made anew) since this token or handle was \
         made: open it by name again"
    )]
    Stale {
        /// The name.
        name: String,
    },
    /// Not a token that this release prints.
    #[error("{token:?} is not a segment token: {problem}")]
    InvalidToken {
        /// The text, cut if long.
        token: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The handle was made before a `fork` and is used in the child. Open the
    /// segment again in the child.
    #[error(
        "this handle belongs to the parent of this forked process; open the segment again in the child"
    )]
    ForkedHandle,
    /// Other code of this program closed or replaced the descriptor through which the library
    /// shows the other processes that this one lives, and they took it for dead before it
    /// could take its lock again: what it held passed on. Open the segment again, and keep
    /// the program from closing descriptors that it did not open.
    #[error(
        "other code of this process closed a descriptor of the library, and the process was taken for dead; open the segment again"
    )]
    Detached,
    /// An environment variable that binds the process is missing or unusable.
    #[error("environment variable {variable} {problem}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The process cannot relate its clock to that of its peers.
    #[error(
        "cannot read the time-namespace offset of this process: {problem}; its deadlines would not be those of its peers"
    )]
    Clock {
        /// What is wrong with it.
        problem: String,
    },
    /// Any other failure of the system.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Path of the file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

debug_as_display!(SegmentError {
    InvalidName,
    NotFound,
    Exists,
    ForeignOwner,
    Mode,
    NotRegular,
    Directory,
    Size,
    Magic,
    Layout,
    Boot,
    Corrupt,
    Full,
    NoSpace,
    Permission,
    InUse,
    Stale,
    InvalidToken,
    ForkedHandle,
    Detached,
    Environment,
    Clock,
    Io,
});

fn more_space(limit: Option<u64>) -> String {
    match limit {
        None => "free some or set EBBTIDE_DIR to another file system".to_owned(),
        Some(limit) => format!(
            "this process may write files of at most {limit} bytes; raise RLIMIT_FSIZE (ulimit -f, LimitFSIZE=)"
        ),
    }
}

fn in_use(attached: &[Holder], remover: Option<&Holder>) -> String {
    match remover {
        None => format!(
            "in use by {} living process(es): {}; shut them down or use force",
            attached.len(),
            holders(attached)
        ),
        Some(remover) => format!(
            "being removed by {}, which has not finished; continue that process (SIGCONT) or kill it, then try again",
            remover.name
        ),
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
