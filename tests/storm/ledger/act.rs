//! How often each thing was done in a round, for the table and for the proof that it was.

use std::sync::atomic::Ordering;

use super::{ACTS_AT, Ledger};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Work,
    Lock,
    Takeover,
    Condvar,
    Permit,
    /// A count of permits during which no word moved.
    Counted,
    Barrier,
    Broken,
    Event,
    Heard,
    Ticket,
    Commit,
    Snapshot,
    Resource,
    Cleanup,
    Reclaimed,
    Shutdown,
    Cancel,
    Escalate,
    Extend,
    Generation,
    /// A phase past Signaling that was compared with what everybody has done.
    Phase,
    Terms,
    Reap,
    Check,
    Deadlock,
    Join,
    /// A join that was refused because a shutdown was on.
    Refused,
    Thread,
    Closed,
    Leave,
    /// A handler or cleanup that fails.
    Flaw,
    /// A runner that goes away in the middle of a shutdown.
    Part,
    /// A join under the id of one that was killed.
    Heir,
}

pub const ACTS: usize = Act::ALL.len();

impl Act {
    pub const ALL: [Self; 34] = [
        Self::Work,
        Self::Lock,
        Self::Takeover,
        Self::Condvar,
        Self::Permit,
        Self::Counted,
        Self::Barrier,
        Self::Broken,
        Self::Event,
        Self::Heard,
        Self::Ticket,
        Self::Commit,
        Self::Snapshot,
        Self::Resource,
        Self::Cleanup,
        Self::Reclaimed,
        Self::Shutdown,
        Self::Cancel,
        Self::Escalate,
        Self::Extend,
        Self::Generation,
        Self::Phase,
        Self::Terms,
        Self::Reap,
        Self::Check,
        Self::Deadlock,
        Self::Join,
        Self::Refused,
        Self::Thread,
        Self::Closed,
        Self::Leave,
        Self::Flaw,
        Self::Part,
        Self::Heir,
    ];

    /// Seldom enough that a short run on a slow machine may go without.
    pub fn is_rare(self) -> bool {
        matches!(
            self,
            Self::Takeover
                | Self::Broken
                | Self::Reclaimed
                | Self::Cancel
                | Self::Escalate
                | Self::Extend
                | Self::Phase
                | Self::Terms
                | Self::Check
                | Self::Deadlock
                | Self::Refused
                | Self::Closed
                | Self::Flaw
                | Self::Part
                | Self::Heir
        )
    }
}

impl Ledger {
    pub fn count(&self, act: Act) {
        self.word(ACTS_AT + act as usize)
            .fetch_add(1, Ordering::Relaxed);
    }

    pub fn counted(&self, act: Act) -> u64 {
        self.word(ACTS_AT + act as usize).load(Ordering::Relaxed)
    }
}
