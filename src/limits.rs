//! Every fixed capacity and bound of the library, each with its reason.
//!
//! The segment has a fixed layout, so these numbers are part of it: changing one
//! that sizes a table changes the layout fingerprint, and segments of the old
//! layout are refused by name.

/// Runners one segment can hold at once. A host runs a few runners per core or
/// per accelerator; 1024 leaves room for the largest host and keeps one scan of
/// all membership words at 8 KiB.
pub const MAX_RUNNERS: usize = 1024;

/// Attached processes: every runner may be a process of its own, and 256 more
/// (supervisors, shells, exporters) may look on or initiate.
pub const MAX_PROCESSES: usize = 1280;

/// Attached threads: one keeper per process, and 2816 user threads that take locks.
pub const MAX_THREADS: usize = 4096;

/// Named locks of one segment.
pub const MAX_LOCKS: usize = 256;

/// Condition variables of one segment.
pub const MAX_CONDVARS: usize = 128;

/// Named events of one segment.
pub const MAX_EVENTS: usize = 128;

/// Registered resources of one segment: one per runner on the largest host, or a few of
/// each on a usual one.
pub const MAX_RESOURCES: usize = 1024;

/// What one resource can depend on directly. More is expressed by a chain.
pub const MAX_DEPENDENCIES: usize = 8;

/// Longest path of a registered system resource, in bytes: longer than any socket path,
/// and as long as the longest file name.
pub const RESOURCE_PATH_BYTES: usize = 256;

/// Longest segment name in bytes: together with the longest usual directory it
/// stays far below `PATH_MAX`, and it fits a status line.
pub const SEGMENT_NAME_BYTES: usize = 64;

/// Longest runner id, lock name or condition variable name, in bytes.
pub const ID_BYTES: usize = 64;

/// Longest reason text of a shutdown, in bytes; longer ones are cut at a character.
pub const REASON_BYTES: usize = 120;

/// Longest activity text ("what is this runner doing"), in bytes; cut likewise.
pub const ACTIVITY_BYTES: usize = 120;

/// Longest last words of a runner, in bytes; cut likewise.
pub const LAST_WORDS_BYTES: usize = 512;

/// Longest total budget of a shutdown, in milliseconds: what 32 bits hold (49.7 days).
pub const MAX_BUDGET_MILLIS: u64 = u32::MAX as u64;

/// Shares of the budget in per mille: Signaling, Draining, Closing.
pub const DEFAULT_SHARES: [u16; 3] = [100, 600, 300];

/// Longest sleep of a phase or event waiter, in microseconds: the safety net for
/// double faults (a waker killed between its store and its wake).
pub const WAIT_BOUND_MICROS: u64 = 1_000_000;

/// Sleeps of a lock waiter, in microseconds: the first, the second, and all later ones.
pub const LOCK_BOUNDS_MICROS: [u64; 3] = [5_000, 25_000, 100_000];

/// Sleep between two looks where the kernel cannot wake for a death (portable
/// liveness, or a kernel without `futex_waitv`), in microseconds. One look is one
/// byte-lock probe of about a microsecond.
pub const PORTABLE_POLL_MICROS: u64 = 10_000;

/// Words one sleep can watch: the kernel's own limit (`FUTEX_WAITV_MAX`).
pub(crate) const MAX_WAIT_WORDS: usize = 128;

/// Tries of a reader that keeps meeting a writer before it takes what it has as torn.
pub const READ_TRIES: usize = 64;
