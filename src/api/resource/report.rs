//! What is known of resources, as plain values.

use std::time::Duration;

use crate::table::resources::{Fate, State};

/// What kind of thing a resource is; for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceType {
    /// A queue of work or messages.
    Queue,
    /// A channel.
    Channel,
    /// A child process.
    Process,
    /// A file.
    File,
    /// A socket or connection.
    Network,
    /// Shared memory.
    SharedMemory,
    /// Anything else.
    Custom,
}

impl ResourceType {
    const ALL: [Self; 7] = [
        Self::Queue,
        Self::Channel,
        Self::Process,
        Self::File,
        Self::Network,
        Self::SharedMemory,
        Self::Custom,
    ];

    pub(crate) const fn bits(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.bits() == bits);
        known.unwrap_or(Self::Custom)
    }

    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "Queue",
            Self::Channel => "Channel",
            Self::Process => "Process",
            Self::File => "File",
            Self::Network => "Network",
            Self::SharedMemory => "SharedMemory",
            Self::Custom => "Custom",
        }
    }
}

impl std::fmt::Display for ResourceType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a resource stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceState {
    /// In use.
    Active,
    /// To be closed; nothing new may depend on it.
    Draining,
    /// Its cleanup runs.
    Closing,
    /// Its cleanup succeeded (or it has none).
    Closed,
    /// Its cleanup answered an error or panicked.
    Failed,
    /// Its cleanup was given up; its force closure was run.
    TimedOut,
    /// Its owner died.
    Orphaned,
    /// Its object (or its manager) went away while it was registered.
    Dropped,
}

impl ResourceState {
    pub(crate) const ALL: [Self; 8] = [
        Self::Active,
        Self::Draining,
        Self::Closing,
        Self::Closed,
        Self::Failed,
        Self::TimedOut,
        Self::Orphaned,
        Self::Dropped,
    ];

    pub(crate) const fn of(state: State) -> Option<Self> {
        Some(match state {
            State::Free | State::Claimed => return None,
            State::Active => Self::Active,
            State::Draining => Self::Draining,
            State::Closing => Self::Closing,
            State::Closed => Self::Closed,
            State::Failed => Self::Failed,
            State::TimedOut => Self::TimedOut,
            State::Orphaned => Self::Orphaned,
            State::Dropped => Self::Dropped,
        })
    }

    /// Whether it is still to be closed, or being closed.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Draining | Self::Closing)
    }

    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Draining => "Draining",
            Self::Closing => "Closing",
            Self::Closed => "Closed",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Orphaned => "Orphaned",
            Self::Dropped => "Dropped",
        }
    }
}

impl std::fmt::Display for ResourceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a resource counts as leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Leak {
    /// Its object or manager was dropped while it was registered.
    Dropped,
    /// It was still open when its runner, or the whole shutdown, had ended.
    StillActive,
    /// Its owner died before it was closed.
    OwnerDied,
}

impl Leak {
    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dropped => "Dropped",
            Self::StillActive => "StillActive",
            Self::OwnerDied => "OwnerDied",
        }
    }
}

/// What became of the system resource of a gone process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reclaim {
    /// It was removed, or its process was ended.
    Reclaimed,
    /// It was gone already, or another one has its name now.
    Absent,
    /// The system did not allow it.
    Refused,
}

impl Reclaim {
    pub(crate) const fn of(fate: Fate) -> Self {
        match fate {
            Fate::Reclaimed => Self::Reclaimed,
            Fate::Absent => Self::Absent,
            Fate::Refused => Self::Refused,
        }
    }

    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reclaimed => "Reclaimed",
            Self::Absent => "Absent",
            Self::Refused => "Refused",
        }
    }
}

/// One resource, in a [`Status`](crate::Status), a [`ShutdownReport`](crate::ShutdownReport)
/// or a [`CleanupReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceReport {
    /// Id of the runner that registered it.
    pub runner: String,
    /// The name it was registered under.
    pub name: String,
    /// What it is.
    pub kind: ResourceType,
    /// Where it stands.
    pub state: ResourceState,
    /// For how long it has been in that state.
    pub since: Duration,
    /// Its cleanup order.
    pub order: i32,
    /// What it depends on directly, as `runner/name`.
    pub depends_on: Vec<String>,
    /// How long its cleanup ran before it ended or was given up; `None` if it did not run.
    pub took: Option<Duration>,
    /// How long after it was given up its cleanup came to its end.
    pub late: Option<Duration>,
    /// What went wrong: errors, panics, who was waited for. The first bytes of each, as long as
    /// the record of its runner is kept; the whole in the process that closed it.
    pub error: Option<String>,
    /// The path or process that was registered with it.
    pub system: Option<String>,
    /// What became of that after the owner's death.
    pub reclaimed: Option<Reclaim>,
    /// Why it counts as leaked.
    pub leak: Option<Leak>,
}

impl ResourceReport {
    /// `runner/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.runner, self.name)
    }
}

/// What one call of [`Segment::reclaim`](crate::Segment::reclaim) did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reaped {
    /// How many gone processes it cleared from the tables.
    pub processes: usize,
    /// The resources whose system part it reclaimed, or found absent, or was refused.
    pub resources: Vec<ResourceReport>,
}

/// What came of a cleanup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CleanupReport {
    /// How long it took.
    pub took: Duration,
    /// Every resource of the runner, those that ended in the order of their ends.
    pub resources: Vec<ResourceReport>,
}

impl CleanupReport {
    /// Whether every resource was closed in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let mut states = self.resources.iter().map(|resource| resource.state);
        states.all(|state| state == ResourceState::Closed)
    }

    /// Those that were not closed by anybody.
    pub fn leaks(&self) -> impl Iterator<Item = &ResourceReport> {
        self.resources
            .iter()
            .filter(|resource| resource.leak.is_some())
    }

    /// The report of one resource by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ResourceReport> {
        self.resources.iter().find(|resource| resource.name == name)
    }
}
