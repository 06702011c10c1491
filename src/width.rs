//! The width of every tag in a shared word, with the rate at which it can be made to move.
//!
//! A process may be stopped between reading a word and the compare-and-swap that follows
//! from it. Where nothing but the tag's value guards that step, the tag must not come back
//! while the process is stopped. Each constant states the fastest rate measured for one
//! unprivileged process on an otherwise idle core, and the time that a wrap takes at it.
//! Refused operations consume no tag.
//!
//! Feature `narrow` (tests only) makes every tag so narrow that a few steps wrap it. What a
//! second condition guards must then still hold; what rests on width alone must be caught.

/// The shipped width, or the one of feature `narrow`.
const fn bits(shipped: u32, narrow: u32) -> u32 {
    if cfg!(feature = "narrow") {
        narrow
    } else {
        shipped
    }
}

/// The mask of the low `bits` bits.
pub(crate) const fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

/// Epoch of a scope: one initiate and cancel, 0.9 µs. Wraps after 11 days.
pub(crate) const EPOCH: u32 = bits(40, 2);
/// Low bits of it beside the name of a process that shortened a budget; for people only
/// (`table/shortened.rs`).
pub(crate) const SHORTENED: u32 = bits(26, 2);
/// Low bits of it in a count of ended shutdowns. The count decides nothing, and a wrap loses
/// one (`table/endings.rs`).
pub(crate) const ENDING: u32 = bits(32, 2);
/// Tag of a stamp. Time orders stamps (the scope's floor), so any width holds.
pub(crate) const STAMP: u32 = bits(16, 1);
/// Epoch kept beside the number of a group's generation. The number, 32 bits, is what
/// guards: a new generation, 7 µs, so 8 hours; any width of the epoch holds
/// (`table/generation.rs`).
pub(crate) const RENEWAL_EPOCH: u32 = bits(32, 2);
/// Generation of a runner slot: an admitted join and a leave, 3 µs. 107 years.
pub(crate) const RUNNER: u32 = bits(50, 2);
/// Low bits of it in an acknowledgement, beside the epoch; see `table/ack.rs`.
pub(crate) const ACK_RUNNER: u32 = bits(19, 2);
/// Low bits of it in a gate: 3 µs. 19 days.
pub(crate) const GATE: u32 = bits(39, 2);
/// Low bits of it in a runner's count of progress: 3 µs. 50 seconds, and the count must
/// agree, too; what a wrap gives away is one step of progress.
pub(crate) const PROGRESS: u32 = bits(24, 2);
/// Generation of a process slot: an attachment, 46 µs. 410 years.
pub(crate) const PROCESS: u32 = bits(48, 2);
/// Generation of a thread slot, and so the name of a lock's owner: a thread that attaches
/// and ends, 46 µs. 205 years. One bit less than fits, which is a flag of locks.
pub(crate) const THREAD: u32 = bits(47, 2);
/// Low bits of it in the half of a name that a sleeper compares (`sync/owner.rs`). Where
/// they agree and the rest does not, one bounded sleep is slept, and no lock is taken.
pub(crate) const NAME_LOW: u32 = bits(16, 1);
/// Low bits of it in a published wait (`table/waits.rs`); a second condition guards each
/// step that follows from them.
pub(crate) const WAIT_THREAD: u32 = bits(16, 1);
/// Generation of a barrier: a barrier of one party passed, 0.1 µs. 2 hours; of two
/// threads that wait for each other, days.
pub(crate) const BARRIER: u32 = bits(36, 2);
/// Number of a wait in its thread slot: one wait for a lock, 2 µs. 6 days.
pub(crate) const WAIT: u32 = bits(38, 2);
/// Generation of a resource: register and unregister, 1 µs. 3 days.
pub(crate) const RESOURCE: u32 = bits(38, 2);
/// Low bits of it in a reclaim word that names its claimant; without a claimant the word
/// holds the whole generation. A claim takes a death: 46 µs. 26 minutes, and the claimant
/// must be of the same process slot and generation, too.
pub(crate) const RECLAIM_RESOURCE: u32 = bits(25, 1);
/// Low bits of the claimant's process generation in a reclaim word: 46 µs. 13 minutes, and
/// only together with the generation of the resource.
pub(crate) const RECLAIM_PROCESS: u32 = bits(24, 2);
/// Low bits of the initiator's process generation in the tag of a request, within one epoch:
/// 46 µs, so 94 ms. Only where an initiator died between its claim and its shutdown, and its
/// slot has had a multiple of 2,048 holders since, and the present one lives: then the next
/// shutdown runs with the dead one's terms (shares, cap, reason), which are advice.
pub(crate) const REQUEST_PROCESS: u32 = bits(11, 2);
