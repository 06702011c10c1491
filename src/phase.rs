//! Vocabulary of the protocol: phases, modes and reason codes.

use core::fmt;

/// Where a shutdown stands. Phases only move forward, except that a cancelled
/// shutdown returns to [`Running`](Phase::Running).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// No shutdown is under way.
    Running = 0,
    /// Every runner is told; each acknowledges that it knows and takes no new work of its own accord.
    Signaling = 1,
    /// New work is refused; each runner acknowledges when nothing is in flight.
    Draining = 2,
    /// Resources are closed, dependents first. The commit point: no cancel from here on.
    Closing = 3,
    /// Everybody in scope has finished, died, or run out of time.
    Complete = 4,
}

impl Phase {
    /// The three phases that runners acknowledge, in order.
    pub const ACKNOWLEDGED: [Phase; 3] = [Phase::Signaling, Phase::Draining, Phase::Closing];

    /// The lower-case name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Signaling => "signaling",
            Self::Draining => "draining",
            Self::Closing => "closing",
            Self::Complete => "complete",
        }
    }

    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        Some(match bits {
            0 => Self::Running,
            1 => Self::Signaling,
            2 => Self::Draining,
            3 => Self::Closing,
            4 => Self::Complete,
            _ => return None,
        })
    }

    /// Index into per-phase tables; `None` for the two ends.
    pub(crate) const fn index(self) -> Option<usize> {
        match self {
            Self::Signaling => Some(0),
            Self::Draining => Some(1),
            Self::Closing => Some(2),
            Self::Running | Self::Complete => None,
        }
    }

    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Running => Self::Signaling,
            Self::Signaling => Self::Draining,
            Self::Draining => Self::Closing,
            Self::Closing | Self::Complete => Self::Complete,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How hard a shutdown is. A shutdown's mode escalates and never relaxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mode {
    /// In-flight work is finished.
    #[default]
    Graceful = 0,
    /// In-flight work is asked to stop early ([`Runner::should_abort`](crate::Runner::should_abort)
    /// turns true); draining still waits for it.
    Fast = 1,
    /// Draining does not wait for in-flight work, each phase has one second at most for
    /// handlers, drains and cleanups, and whoever supervises a foreign program may kill it.
    Immediate = 2,
}

impl Mode {
    /// The lower-case name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graceful => "graceful",
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }

    /// The next harder mode; the hardest stays.
    #[must_use]
    pub const fn harder(self) -> Self {
        match self {
            Self::Graceful => Self::Fast,
            Self::Fast | Self::Immediate => Self::Immediate,
        }
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits {
            0 => Self::Graceful,
            1 => Self::Fast,
            // The fourth pattern is never written; the strictest reading is the safe one.
            _ => Self::Immediate,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a shutdown was asked for, as a code that survives the death of its initiator
/// at any instruction (the text beside it may not).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ReasonCode {
    /// Somebody asked.
    #[default]
    Requested = 0,
    /// A termination signal arrived.
    Signal = 1,
    /// Something failed.
    Failure = 2,
    /// A new version takes over.
    Upgrade = 3,
    /// Nothing is left to do.
    Idle = 4,
    /// The host is going down.
    HostShutdown = 5,
}

impl ReasonCode {
    /// The lower-case name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Signal => "signal",
            Self::Failure => "failure",
            Self::Upgrade => "upgrade",
            Self::Idle => "idle",
            Self::HostShutdown => "host-shutdown",
        }
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits {
            1 => Self::Signal,
            2 => Self::Failure,
            3 => Self::Upgrade,
            4 => Self::Idle,
            5 => Self::HostShutdown,
            _ => Self::Requested,
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
