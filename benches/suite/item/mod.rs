//! The things that are measured.

mod broadcast;
mod check;
mod death;
mod event;
mod inflight;
mod lock;
mod lock_contended;
mod segment;
mod shutdown;
mod state;

use crate::Fallible;
use crate::outcome::Item;
use crate::plan::Plan;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Check,
    Broadcast,
    Shutdown,
    Lock,
    Death,
    State,
    InFlight,
    Segment,
    Event,
}

impl Subject {
    pub const ALL: [Self; 9] = [
        Self::Check,
        Self::Broadcast,
        Self::Shutdown,
        Self::Lock,
        Self::Death,
        Self::State,
        Self::InFlight,
        Self::Segment,
        Self::Event,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Broadcast => "broadcast",
            Self::Shutdown => "shutdown",
            Self::Lock => "lock",
            Self::Death => "death",
            Self::State => "state",
            Self::InFlight => "inflight",
            Self::Segment => "segment",
            Self::Event => "event",
        }
    }

    pub fn measure(self, plan: &Plan) -> Fallible<Item> {
        match self {
            Self::Check => check::measure(plan),
            Self::Broadcast => broadcast::measure(plan),
            Self::Shutdown => shutdown::measure(plan),
            Self::Lock => lock::measure(plan),
            Self::Death => death::measure(plan),
            Self::State => state::measure(plan),
            Self::InFlight => inflight::measure(plan),
            Self::Segment => segment::measure(plan),
            Self::Event => event::measure(plan),
        }
    }
}
