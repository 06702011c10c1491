//! Every fixed capacity and bound of the library, each with its reason.
//!
//! The segment has a fixed layout, so these numbers are part of it: changing one
//! that sizes a table changes the layout fingerprint, and segments of the old
//! layout are refused by name.
//!
//! A segment takes 5.5 MiB, all of it from the beginning: the file is allocated whole, so that
//! no access fails later for want of room (with SIGBUS). The large tables, in MiB: texts of
//! runners 1.3, texts of resources 0.8, runners 0.8, events 0.6, shared state 0.5,
//! threads 0.5, journal 0.25. A unit test in `layout.rs` pins the total.

/// Runners one segment can hold at once. A host runs a few runners per core or
/// per accelerator; 1024 leaves room for the largest host and keeps one scan of
/// all membership words at 16 KiB.
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

/// Named events of one segment, each with its ring of [`EVENT_RING`] entries of 288 bytes.
pub const MAX_EVENTS: usize = 128;

/// Keys of the shared state of one segment. Configuration, counters and small records
/// of a job are tens of keys; with room for the longest values the table takes 0.5 MiB.
pub const MAX_KEYS: usize = 256;

/// Longest key of the shared state, in bytes, as other names.
pub const KEY_BYTES: usize = 64;

/// Longest value of the shared state, in bytes. A reader copies it between two looks at
/// one stamp, so it should fit well into what a core does between two commits (64 ns for
/// a kilobyte); what is larger belongs in shared memory of its own, with its name here.
pub const VALUE_BYTES: usize = 1024;

/// How long a writer of the shared state waits for other writers by default, in
/// microseconds: only one that was stopped in the middle, or runs a slow closure in a
/// transaction, makes anybody wait.
pub const STATE_LOCK_MICROS: u64 = 5_000_000;
/// Lock-order violations of which it is kept who was the first; further ones are kept
/// by name only. Each is a mistake to be repaired, so a segment rarely has two.
pub const MAX_VIOLATIONS: usize = 64;
/// Latest sets that an event keeps for its subscribers. One that falls further behind gets
/// the number of sets that it missed (`Delivery::Lagged`).
pub const EVENT_RING: usize = 16;

/// Longest payload of a set, in bytes: a path or a small record.
pub const EVENT_PAYLOAD_BYTES: usize = 256;

/// Longest wait of a setter for another one that was stopped in the middle of a set, in
/// milliseconds. A dead one is not waited for.
pub const EVENT_SETTER_MILLIS: u64 = 5_000;

/// Semaphores of one segment.
pub const MAX_SEMAPHORES: usize = 64;

/// Permits of one semaphore: each is a word that says whose it is, and a waiter watches
/// the lives of all holders in one sleep.
pub const MAX_PERMITS: usize = 64;

/// Barriers of one segment.
pub const MAX_BARRIERS: usize = 64;

/// Parties of one barrier: a waiter watches the lives of all in one sleep.
pub const MAX_PARTIES: usize = 64;

/// Places of one barrier: those who wait, and those of earlier rounds who have not
/// returned yet.
pub(crate) const MAX_PLACES: usize = 2 * MAX_PARTIES - 1;
/// Registered resources of one segment: one per runner on the largest host, or a few of
/// each on a usual one.
pub const MAX_RESOURCES: usize = 1024;

/// Items in flight of one runner at once: what its gate counts, beside the generation that
/// keeps an earlier holder's items apart. A queue of that many items is the place for more.
pub const MAX_IN_FLIGHT: u32 = (1 << 24) - 1;

/// What one resource can depend on directly. More is expressed by a chain.
pub const MAX_DEPENDENCIES: usize = 8;

/// Longest path of a registered system resource, in bytes: longer than any socket path,
/// and as long as the longest file name.
pub const RESOURCE_PATH_BYTES: usize = 256;

/// Failures of handlers, drains, cleanups and force closures that a segment keeps with name
/// and cause, 456 bytes each: those of the runners whose records it has. Further ones are
/// counted.
pub const MAX_FAILURES: usize = 256;

/// Failures of one runner that are kept with name and cause, so that one runner with many
/// does not take the places of the others. Further ones are counted.
pub const FAILURES_PER_RUNNER: usize = 16;

/// Longest cause of a failure, in bytes; longer ones are cut at a character.
pub const CAUSE_BYTES: usize = 120;

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
pub const LAST_WORDS_BYTES: usize = 256;

/// Longest total budget of a shutdown, in milliseconds: 49.7 days. The control word has 16
/// bits for a budget, so it is rounded down to four digits: exact in milliseconds up to
/// 8.191 s, in ten milliseconds up to 81.91 s, and so on.
pub const MAX_BUDGET_MILLIS: u64 = u32::MAX as u64;

/// Shares of the budget in per mille: Signaling, Draining, Closing.
pub const DEFAULT_SHARES: [u16; 3] = [100, 600, 300];

/// How long a phase may take once the mode is Immediate, in microseconds: from the phase's
/// beginning, or from the escalation if that came later, and never past what the budget leaves
/// it. A second is enough to remove a file or to close a socket, and three of them are what an
/// operator waits for.
pub const IMMEDIATE_PHASE_MICROS: u64 = 1_000_000;

/// What part of Closing's time is kept for what is left to close: in the last quarter a
/// resource does not wait for those of a runner that has not come to Closing, in the last
/// eighth for none.
pub const CLOSING_RESERVE: [u64; 2] = [4, 8];

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

/// Latest records that the journal keeps, 64 bytes each: a shutdown of a hundred runners
/// with a few handlers and resources each is some two thousand, so the last two are there.
pub const JOURNAL_RECORDS: usize = 4096;

/// Upper bounds of the histogram buckets, in microseconds: from a wake-up of an idle
/// group to a shutdown that takes minutes.
pub const TALLY_BOUNDS_MICROS: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
