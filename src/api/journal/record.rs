//! The journal as plain values.

use std::time::Duration;

use crate::api::resource::ResourceState;
use crate::phase::{Mode, Phase, ReasonCode};

/// The latest records of a segment's journal, in the order in which they were claimed.
///
/// A copy of one moment. The journal tells and decides nothing: a process killed between
/// an act and its record leaves no record of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Journal {
    /// Those that are there.
    pub records: Vec<JournalRecord>,
    /// Sequences without a record: being written just now, or never finished by a process
    /// that was killed or stopped in the middle.
    pub holes: Vec<u64>,
    /// How many came before the first one and are not kept any more (or not asked for).
    pub before: u64,
    /// The last sequence; give it to `journal_after` to get what follows.
    pub last: u64,
}

impl<'a> IntoIterator for &'a Journal {
    type Item = &'a JournalRecord;
    type IntoIter = std::slice::Iter<'a, JournalRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}

impl IntoIterator for Journal {
    type Item = JournalRecord;
    type IntoIter = std::vec::IntoIter<JournalRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalRecord {
    /// Its number, from 1.
    pub sequence: u64,
    /// When, on the monotonic clock of the host (normalised, so that it is the same in
    /// every time namespace). Two records of different processes may be a few
    /// microseconds out of the order of their sequences.
    pub at: Duration,
    /// How long ago that was when the journal was read.
    pub age: Duration,
    /// Process id of who wrote it, as it sees itself.
    pub pid: u32,
    /// The generation of the group.
    pub generation: u32,
    /// Id of the runner that it is about. Of one whose slot has a new holder by now, the
    /// first 24 bytes, or its slot if the journal has forgotten its name.
    pub runner: Option<String>,
    /// Thread slot of the thread that it is about.
    pub thread: Option<usize>,
    /// Whether it is of the runner's own shutdown, not of the group's.
    pub own: bool,
    /// What it was.
    pub event: JournalEvent,
}

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandlerEnd {
    /// It returned.
    Finished,
    /// It panicked.
    Panicked,
    /// It overran its phase, which went on without it.
    Abandoned,
    /// There was no time left for it.
    Skipped,
}

impl HandlerEnd {
    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0 => Self::Finished,
            1 => Self::Panicked,
            2 => Self::Abandoned,
            _ => Self::Skipped,
        }
    }

    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "Finished",
            Self::Panicked => "Panicked",
            Self::Abandoned => "Abandoned",
            Self::Skipped => "Skipped",
        }
    }
}

/// What a record tells of. Names of more than 24 bytes may be cut, and end in an ellipsis.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalEvent {
    /// A runner registered.
    Joined,
    /// A runner left in order.
    Left {
        /// It said of itself that it failed, or was ended by force.
        failed: bool,
    },
    /// A runner was found dead and counted out, by the writer of the record.
    Died,
    /// A shutdown was begun.
    Initiated {
        /// How hard.
        mode: Mode,
        /// Why.
        code: ReasonCode,
        /// The reason's text.
        text: String,
        /// The budget.
        budget: Duration,
    },
    /// Somebody asked for the shutdown that was under way.
    Merged {
        /// How hard it was to be.
        mode: Mode,
        /// The budget asked for.
        budget: Duration,
    },
    /// A shutdown was made harder.
    Escalated {
        /// The mode before.
        from: Mode,
        /// The mode asked for.
        to: Mode,
    },
    /// A shutdown was called off.
    Cancelled,
    /// A phase began, after Signaling, which begins with `Initiated`.
    Phase {
        /// Which.
        phase: Phase,
        /// The one before was over its time, and went on without somebody.
        forced: bool,
        /// How long the one before took.
        took: Duration,
    },
    /// A runner acknowledged a phase.
    Acknowledged {
        /// Which.
        phase: Phase,
        /// The phase had gone on without it, or it without something that overran.
        late: bool,
    },
    /// A handler is run.
    HandlerStarted {
        /// Its name.
        name: String,
        /// Its phase.
        phase: Phase,
    },
    /// A handler is not waited for any more.
    HandlerEnded {
        /// Its name.
        name: String,
        /// Its phase.
        phase: Phase,
        /// How it ended.
        end: HandlerEnd,
        /// Sequence of the record of its start.
        started: u64,
    },
    /// A resource changed its state.
    Resource {
        /// Its name, without the runner's.
        name: String,
        /// The state now; `None` if it is not registered any more.
        state: Option<ResourceState>,
    },
    /// A runner was granted more time.
    Extended {
        /// How much.
        granted: Duration,
    },
    /// A lock was held by a dead thread (which the record is about).
    OwnerDied {
        /// Its name.
        lock: String,
        /// Its next owner took it, and was told (which the record is about then); else it
        /// was freed by whoever cleared up after the dead.
        taken: bool,
    },
    /// A thread gave up its wait to resolve a deadlock.
    Deadlock {
        /// The lock that it waited for.
        lock: String,
        /// How many threads were in it.
        members: usize,
    },
    /// Two locks were taken in conflicting orders, for the first time.
    LockOrder {
        /// The lock that was held …
        held: String,
        /// … while this one was waited for.
        wanted: String,
    },
    /// A new generation was begun.
    Generation {
        /// Its number.
        generation: u32,
    },
    /// A process found that other code of its program had closed the descriptor through which
    /// the others know that it lives.
    LockLost {
        /// It opened the segment again and has its lock; else the segment has lost its name,
        /// and the process lives on without the lock.
        regained: bool,
    },
}

impl JournalEvent {
    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left { .. } => "left",
            Self::Died => "died",
            Self::Initiated { .. } => "initiated",
            Self::Merged { .. } => "merged",
            Self::Escalated { .. } => "escalated",
            Self::Cancelled => "cancelled",
            Self::Phase { .. } => "phase",
            Self::Acknowledged { .. } => "acknowledged",
            Self::HandlerStarted { .. } => "handler-started",
            Self::HandlerEnded { .. } => "handler-ended",
            Self::Resource { .. } => "resource",
            Self::Extended { .. } => "extended",
            Self::OwnerDied { .. } => "owner-died",
            Self::Deadlock { .. } => "deadlock",
            Self::LockOrder { .. } => "lock-order",
            Self::Generation { .. } => "generation",
            Self::LockLost { .. } => "lock-lost",
        }
    }
}

impl std::fmt::Display for JournalEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        match self {
            Self::Joined => f.write_str("joined"),
            Self::Left { failed: false } => f.write_str("left"),
            Self::Left { failed: true } => f.write_str("left, failed or forced"),
            Self::Died => f.write_str("was found dead"),
            Self::Initiated {
                mode,
                code,
                text,
                budget,
            } => {
                write!(f, "{mode} shutdown within {} ms: {code}", ms(budget))?;
                if !text.is_empty() {
                    write!(f, ", {text}")?;
                }
                Ok(())
            }
            Self::Merged { mode, budget } => {
                write!(f, "asked again: {mode} within {} ms", ms(budget))
            }
            Self::Escalated { from, to } => write!(f, "hardened from {from} to {to}"),
            Self::Cancelled => f.write_str("called off"),
            Self::Phase {
                phase,
                forced,
                took,
            } => {
                let how = if *forced { ", forced" } else { "" };
                write!(f, "{phase} after {} ms{how}", ms(took))
            }
            Self::Acknowledged { phase, late } => {
                let how = if *late { ", late" } else { "" };
                write!(f, "acknowledged {phase}{how}")
            }
            Self::HandlerStarted { name, phase } => write!(f, "{phase} handler {name} started"),
            Self::HandlerEnded {
                name, phase, end, ..
            } => {
                let end = end.name().to_lowercase();
                write!(f, "{phase} handler {name} {end}")
            }
            Self::Resource { name, state } => match state {
                Some(state) => write!(f, "resource {name} is {state}"),
                None => write!(f, "resource {name} is unregistered"),
            },
            Self::Extended { granted } => write!(f, "was granted {} ms", ms(granted)),
            Self::OwnerDied { lock, taken: true } => {
                write!(f, "took lock {lock} after its owner's death")
            }
            Self::OwnerDied { lock, taken: false } => write!(f, "died with lock {lock}"),
            Self::Deadlock { lock, members } => {
                write!(f, "gave up lock {lock}: a deadlock of {members}")
            }
            Self::LockOrder { held, wanted } => {
                write!(f, "took {wanted} while it held {held}, against the order")
            }
            Self::Generation { generation } => write!(f, "generation {generation} begins"),
            Self::LockLost { regained: true } => {
                f.write_str("lost its lock on the segment, and took it again")
            }
            Self::LockLost { regained: false } => f.write_str(
                "lost its lock on the segment, and cannot take it again: the name is gone",
            ),
        }
    }
}
