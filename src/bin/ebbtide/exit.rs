//! Exit codes: the contract with scripts.

use std::error::Error;
use std::fmt::Write;

use ebbtide::{
    CoordinationError, EventError, LockError, SegmentError, ShutdownOutcome, StateError,
};

/// What an exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(
    not(feature = "tui"),
    expect(dead_code, reason = "those of the live view")
)]
pub enum Code {
    /// All completed, or there was nothing to do.
    Done = 0,
    /// Anything that has no code of its own.
    Other = 1,
    /// The arguments make no sense. The argument parser uses the same code.
    Usage = 2,
    /// No segment, runner or key of this name.
    Missing = 3,
    /// The deadline passed before everybody had finished.
    Laggards = 4,
    /// A runner died or failed; the others completed.
    Died = 5,
    /// The segment is foreign, torn, corrupt, or of another layout or boot.
    Refused = 6,
    /// Too late, or nothing to cancel.
    TooLate = 7,
    /// All did every phase; a handler, drain or cleanup failed or was left behind.
    Failures = 9,
    /// A runner went away midway without doing what it had registered.
    Abandoned = 10,
    /// `exec`: the program cannot be executed (the shells' code for it).
    NotExecutable = 126,
    /// `exec`: the program was not found (the shells' code for it).
    NotFound = 127,
    /// `status --watch`: the terminal went away, or SIGHUP (the shells' code for it).
    HungUp = 129,
    /// `status --watch`: ended by SIGINT from outside (likewise).
    Interrupted = 130,
    /// `status --watch`: ended by SIGTERM (likewise).
    Terminated = 143,
}

impl Code {
    /// The code of a program that a signal ended in order.
    #[cfg(feature = "tui")]
    pub const fn of_signal(signal: i32) -> Self {
        match signal {
            signal_hook::consts::SIGHUP => Self::HungUp,
            signal_hook::consts::SIGINT => Self::Interrupted,
            _ => Self::Terminated,
        }
    }

    /// The word for it in JSON errors.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Other => "other",
            Self::Usage => "usage",
            Self::Missing => "missing",
            Self::Laggards => "laggards",
            Self::Died => "died",
            Self::Refused => "refused",
            Self::TooLate => "too-late",
            Self::Failures => "failures",
            Self::Abandoned => "abandoned",
            Self::NotExecutable => "not-executable",
            Self::NotFound => "not-found",
            Self::HungUp => "hung-up",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

impl From<ShutdownOutcome> for Code {
    fn from(outcome: ShutdownOutcome) -> Self {
        match outcome {
            ShutdownOutcome::Completed => Self::Done,
            ShutdownOutcome::Died => Self::Died,
            ShutdownOutcome::TimedOut => Self::Laggards,
            ShutdownOutcome::Abandoned => Self::Abandoned,
            ShutdownOutcome::CompletedWithFailures => Self::Failures,
            // Called off, or not over: the caller did not get what it waited for.
            _ => Self::Other,
        }
    }
}

/// Why the command ends with another code than 0.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    /// One line for people, on standard error.
    pub message: String,
    /// The one JSON document was printed already.
    pub printed: bool,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            printed: false,
        }
    }

    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Code::Other, message)
    }

    /// Any error that has no code of its own, told with its sources.
    pub fn because(what: &str, error: &dyn Error) -> Self {
        Self::other(format!("{what}: {}", chain(error)))
    }
}

impl From<SegmentError> for Failure {
    fn from(error: SegmentError) -> Self {
        Self::new(code_of_segment(&error), chain(&error))
    }
}

impl From<CoordinationError> for Failure {
    fn from(error: CoordinationError) -> Self {
        use CoordinationError as E;
        let code = match &error {
            E::Segment(inner) => code_of_segment(inner),
            E::NoSuchRunner { .. } => Code::Missing,
            E::InvalidName { .. } => Code::Usage,
            E::TimedOut { .. } => Code::Laggards,
            E::TooLate { .. }
            | E::NotShuttingDown
            | E::ShuttingDown { .. }
            | E::NotComplete { .. }
            | E::Occupied { .. } => Code::TooLate,
            _ => Code::Other,
        };
        Self::new(code, chain(&error))
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        use StateError as E;
        let code = match &error {
            E::Segment(inner) => code_of_segment(inner),
            E::InvalidKey { .. } | E::TooLong { .. } => Code::Usage,
            E::TimedOut { .. } => Code::Laggards,
            _ => Code::Other,
        };
        Self::new(code, chain(&error))
    }
}

impl From<EventError> for Failure {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Lock(LockError::Coordination(inner)) => inner.into(),
            EventError::Payload { .. } | EventError::Count { .. } => {
                Self::new(Code::Usage, chain(&error))
            }
            other => Self::other(chain(&other)),
        }
    }
}

fn code_of_segment(error: &SegmentError) -> Code {
    use SegmentError as E;
    match error {
        E::InvalidName { .. } | E::InvalidToken { .. } => Code::Usage,
        E::NotFound { .. } | E::Stale { .. } => Code::Missing,
        E::ForeignOwner { .. }
        | E::Mode { .. }
        | E::NotRegular { .. }
        | E::Directory { .. }
        | E::Size { .. }
        | E::Magic { .. }
        | E::Layout { .. }
        | E::Boot { .. }
        | E::Corrupt { .. } => Code::Refused,
        _ => Code::Other,
    }
}

/// An error and what caused it, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide::Phase;
    use std::path::PathBuf;

    #[test]
    fn every_kind_of_refusal_has_its_code() {
        let missing = SegmentError::NotFound {
            name: "x".into(),
            path: PathBuf::new(),
        };
        assert_eq!(Failure::from(missing).code, Code::Missing);
        let torn = SegmentError::Size {
            path: PathBuf::new(),
            found: 1,
            expected: 2,
        };
        let torn = CoordinationError::Segment(torn);
        assert_eq!(Failure::from(torn).code, Code::Refused);
        let late = CoordinationError::TooLate {
            phase: Phase::Closing,
        };
        assert_eq!(Failure::from(late).code, Code::TooLate);
        let idle = CoordinationError::NotShuttingDown;
        assert_eq!(Failure::from(idle).code, Code::TooLate);
        assert_eq!(Code::from(ShutdownOutcome::TimedOut), Code::Laggards);
        assert_eq!(Code::from(ShutdownOutcome::Died), Code::Died);
        assert_eq!(Code::from(ShutdownOutcome::Cancelled), Code::Other);
    }
}
