//! What failed, and how.

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum FailureSource {
    /// A shutdown handler.
    Handler = 0,
    /// The drain closure of a resource.
    Drain = 1,
    /// The cleanup of a resource, or one that was never begun.
    Cleanup = 2,
    /// The force closure of a resource.
    Force = 3,
    /// Items in flight that were not waited for.
    Items = 4,
}

impl FailureSource {
    pub(super) const ALL: [Self; 5] = [
        Self::Handler,
        Self::Drain,
        Self::Cleanup,
        Self::Force,
        Self::Items,
    ];

    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Drain => "drain",
            Self::Cleanup => "cleanup",
            Self::Force => "force",
            Self::Items => "items",
        }
    }
}

/// How it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum FailureKind {
    /// It returned an error.
    Failed = 0,
    /// It panicked.
    Panicked = 1,
    /// It did not run.
    Skipped = 2,
    /// It overran its time, or its runner went away meanwhile. It may still be running.
    Abandoned = 3,
    /// It was closed before a resource that depends on it, which was not closed in time.
    OutOfOrder = 4,
}

impl FailureKind {
    pub(super) const ALL: [Self; 5] = [
        Self::Failed,
        Self::Panicked,
        Self::Skipped,
        Self::Abandoned,
        Self::OutOfOrder,
    ];

    /// The name used by the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "Failed",
            Self::Panicked => "Panicked",
            Self::Skipped => "Skipped",
            Self::Abandoned => "Abandoned",
            Self::OutOfOrder => "OutOfOrder",
        }
    }
}
