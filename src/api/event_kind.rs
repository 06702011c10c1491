//! What a set of an event says.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::table::event_log::Said;

/// What a set is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A shutdown.
    Shutdown,
    /// A resource may be used.
    ResourceReady,
    /// A clean-up is done.
    CleanupComplete,
    /// Something went wrong.
    Error,
    /// Whatever the program means by the number.
    Custom(u32),
}

impl Default for EventKind {
    fn default() -> Self {
        Self::Custom(0)
    }
}

const CODE_SHIFT: u32 = 32;

impl EventKind {
    pub(crate) const fn raw(self) -> u64 {
        let (code, number) = match self {
            Self::Custom(number) => (0, number),
            Self::Shutdown => (1, 0),
            Self::ResourceReady => (2, 0),
            Self::CleanupComplete => (3, 0),
            Self::Error => (4, 0),
        };
        code << CODE_SHIFT | number as u64
    }

    /// A code that no release writes reads as a custom one.
    pub(crate) const fn of(raw: u64) -> Self {
        match raw >> CODE_SHIFT {
            1 => Self::Shutdown,
            2 => Self::ResourceReady,
            3 => Self::CleanupComplete,
            4 => Self::Error,
            _ => Self::Custom(raw as u32),
        }
    }
}

/// `shutdown`, `resource-ready`, `cleanup-complete`, `error`, `custom-N`.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown => f.pad("shutdown"),
            Self::ResourceReady => f.pad("resource-ready"),
            Self::CleanupComplete => f.pad("cleanup-complete"),
            Self::Error => f.pad("error"),
            Self::Custom(number) => f.pad(&format!("custom-{number}")),
        }
    }
}

impl FromStr for EventKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [
            Self::Shutdown,
            Self::ResourceReady,
            Self::CleanupComplete,
            Self::Error,
        ];
        let custom = || text.strip_prefix("custom-")?.parse().ok().map(Self::Custom);
        known
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .or_else(custom)
            .ok_or_else(|| {
                "expected shutdown, resource-ready, cleanup-complete, error or custom-N".into()
            })
    }
}

/// One set of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventSet {
    /// Its number: the first set of an event is 1.
    pub sequence: u64,
    /// What it is about.
    pub kind: EventKind,
    /// What it says, up to 256 bytes.
    pub payload: Vec<u8>,
    /// How long ago it was.
    pub age: Duration,
}

impl EventSet {
    pub(crate) fn of(sequence: u64, said: Said, now: u64) -> Self {
        Self {
            sequence,
            kind: EventKind::of(said.kind),
            payload: said.payload,
            age: Duration::from_micros(now.saturating_sub(said.at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_the_segment_and_their_text() {
        let kinds = [
            EventKind::Shutdown,
            EventKind::ResourceReady,
            EventKind::CleanupComplete,
            EventKind::Error,
            EventKind::Custom(0),
            EventKind::Custom(u32::MAX),
        ];
        for kind in kinds {
            assert_eq!(EventKind::of(kind.raw()), kind);
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!(EventKind::of(u64::MAX), EventKind::Custom(u32::MAX));
        for text in [
            "",
            "custom",
            "custom-",
            "custom--1",
            "Shutdown",
            "custom-4294967296",
        ] {
            assert!(text.parse::<EventKind>().is_err(), "{text}");
        }
    }
}
