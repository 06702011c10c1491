//! What residents are ordered to do.

use crate::peer::lock::Means;
use crate::peer::old_protocol::Sleeps;
use crate::peer::store::Kind;

/// One order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Exit,
    /// Sleep on the raw word.
    Told,
    /// The same by futex_waitv, with a second word and a time limit.
    ToldOfTwo,
    /// Wait for an ebbtide shutdown.
    Observe,
    RawSync,
    Condition,
    EventFd,
    Socket,
    Signal,
    /// Look for a file every so many milliseconds.
    Poll(u8),
    /// Sleep on the raw word, then three raw barriers.
    Barriers,
    /// The same by futex_waitv, with two more words and a time limit.
    BarriersOfThree,
    /// The same with pthread barriers.
    PthreadBarriers,
    /// A whole ebbtide shutdown.
    Shutdown,
    OldProtocol(Sleeps),
    /// Take and give the lock until told to stop.
    Contend(Means),
    /// Take the lock once, when it is given.
    HandOff(Means),
    /// Take the lock and die with it.
    Hold(Means),
    /// Be a runner that acknowledges nothing.
    Ignore,
    /// Wait for an ebbtide event.
    Event,
    /// Wait for its descriptor.
    Notifier,
    /// Set a value until told to stop.
    Write(Kind, Size),
}

/// The sizes of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Short,
    Long,
}

impl Size {
    pub const ALL: [Self; 2] = [Self::Short, Self::Long];

    pub const fn bytes(self) -> usize {
        match self {
            Self::Short => 64,
            Self::Long => 1024,
        }
    }
}

impl Task {
    /// In the order of their numbers.
    fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Exit,
            Self::Told,
            Self::ToldOfTwo,
            Self::Observe,
            Self::RawSync,
            Self::Condition,
            Self::EventFd,
            Self::Socket,
            Self::Signal,
            Self::Barriers,
            Self::BarriersOfThree,
            Self::PthreadBarriers,
            Self::Shutdown,
            Self::OldProtocol(Sleeps::Listed),
            Self::OldProtocol(Sleeps::None),
            Self::Ignore,
            Self::Event,
            Self::Notifier,
        ];
        all.extend([1, 10, 100].map(Self::Poll));
        for means in Means::ALL {
            all.extend([
                Self::Contend(means),
                Self::HandOff(means),
                Self::Hold(means),
            ]);
        }
        for kind in Kind::ALL {
            all.extend(Size::ALL.map(|size| Self::Write(kind, size)));
        }
        all
    }

    pub fn number(self) -> u16 {
        let place = Self::all().iter().position(|task| *task == self);
        place.map_or(0, |place| place as u16)
    }

    /// Exit, for a number that stands for nothing.
    pub fn of(number: u16) -> Self {
        let all = Self::all();
        all.get(usize::from(number)).copied().unwrap_or(Self::Exit)
    }
}
