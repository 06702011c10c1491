//! Which pairs of operation and scenario there are, and what guards them.

use super::operation::{self, Operation};
use super::route::{Kind, Point};
use super::run::{Fate, Order, Pair};
use super::scenario::{self, Scenario};

/// What keeps a stale step of a pair from being taken for a fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A second condition: it must hold however narrow the tags are.
    Condition,
    /// The width of a tag: with the tags of feature `narrow` it may be caught.
    Width,
}

/// The pairs that rest on the width of a tag.
const WIDTHS: &[(&str, &str)] = &[
    ("lock of the dead", "threads"),
    ("initiate beside the dead", "next holder"),
    ("initiate beside the dead", "refused for long"),
    // Generation of the gate; of the count of progress; epoch of the extension.
    ("begin and end", "next holder"),
    ("progress", "next holder"),
    ("extend", "next holder fails"),
    // Epoch of the extension, and of the acknowledgement: each of these was caught.
    ("extend", "terms"),
    ("extend, coordinator", "cancelled"),
    ("acknowledge, last", "terms"),
    ("acknowledge, last", "many epochs"),
    ("leave, last", "finished"),
];

/// Which points of a route are tried.
#[derive(Clone, Copy)]
pub enum Where {
    /// Every n-th.
    Each(usize),
    /// Before each atomic step.
    Atomic,
    /// Before each system call of a number.
    Call(i64),
}

/// A finding about stops, as the pair that shows it.
pub struct Known {
    pub what: &'static str,
    operation: &'static str,
    scenario: &'static str,
    pub fate: Fate,
    at: Where,
}

const fn known(
    what: &'static str,
    operation: &'static str,
    scenario: &'static str,
    fate: Fate,
    at: Where,
) -> Known {
    Known {
        what,
        operation,
        scenario,
        fate,
        at,
    }
}

/// The findings, each with the pair and the points that show it.
pub const KNOWN: &[Known] = &[
    known(
        "a stopped initiator takes the terms of the next shutdown away",
        "initiate",
        "terms",
        Fate::GoesOn,
        Where::Each(2),
    ),
    known(
        "a helper's late stamp makes a budget endless",
        "acknowledge, not last",
        "many epochs",
        Fate::GoesOn,
        Where::Each(2),
    ),
    known(
        "a joiner is admitted into a shutdown that is over",
        "join",
        "finished",
        Fate::GoesOn,
        Where::Atomic,
    ),
    known(
        "a living runner is marked dead on evidence about its slot's former holder",
        "initiate beside the dead",
        "refused for long",
        Fate::GoesOn,
        Where::Atomic,
    ),
    known(
        "two own a lock that the dead one's slot name comes back to",
        "lock of the dead",
        "threads",
        Fate::GoesOn,
        Where::Each(1),
    ),
    known(
        "what a stopped process reaps is not handed on",
        "reap",
        "inheritance",
        Fate::GoesOn,
        Where::Atomic,
    ),
    known(
        "a removal takes the name of a new segment away",
        "remove",
        "replaced",
        Fate::GoesOn,
        Where::Call(libc::SYS_unlinkat),
    ),
    known(
        "a forced removal takes the name of a new segment away",
        "remove, forced",
        "replaced",
        Fate::GoesOn,
        Where::Call(libc::SYS_unlinkat),
    ),
    known(
        "opening over leftovers takes the name of a new segment away",
        "open or create, leftovers",
        "replaced",
        Fate::GoesOn,
        Where::Call(libc::SYS_unlinkat),
    ),
    known(
        "an item is counted in the gate of the slot's next holder",
        "begin and end",
        "next holder",
        Fate::Steps,
        Where::Each(1),
    ),
    known(
        "last words are written into another's record",
        "set last words",
        "next holder",
        Fate::GoesOn,
        Where::Each(4),
    ),
    known(
        "an activity is written into another's record",
        "set activity",
        "next holder",
        Fate::GoesOn,
        Where::Each(2),
    ),
    known(
        "progress is counted in another's record",
        "progress",
        "next holder",
        Fate::GoesOn,
        Where::Each(1),
    ),
    known(
        "a verdict is written into another's record",
        "leave forced",
        "next holder fails",
        Fate::GoesOn,
        Where::Each(2),
    ),
    known(
        "an extension is noted in another's record",
        "extend",
        "next holder fails",
        Fate::GoesOn,
        Where::Each(1),
    ),
    known(
        "a cause is written into another's record",
        "fail",
        "next holder",
        Fate::GoesOn,
        Where::Each(2),
    ),
];

/// The findings that narrow tags bring back: each must be caught, or its pair does not rest on
/// the width of a tag.
pub fn caught_if_narrow() -> impl Iterator<Item = (&'static str, &'static str)> {
    let pairs = KNOWN.iter().map(|known| (known.operation, known.scenario));
    pairs.filter(|pair| WIDTHS.contains(pair))
}

/// A finding that takes two that are stopped: each at its atomic steps.
pub struct KnownOfTwo {
    pub what: &'static str,
    pub first: &'static str,
    pub second: &'static str,
    pub order: Order,
}

pub const KNOWN_OF_TWO: &[KnownOfTwo] = &[KnownOfTwo {
    what: "a generation begins over a joiner of the last one",
    first: "join",
    second: "begin generation",
    order: Order::FirstFirst,
}];

impl Where {
    pub fn of(self, points: &[Point]) -> Vec<Point> {
        let step = match self {
            Self::Each(step) => step,
            Self::Atomic | Self::Call(_) => 1,
        };
        let has = |point: &&Point| match (self, point.kind) {
            (Self::Each(_), _) | (Self::Atomic, Kind::Atomic) => true,
            (Self::Call(number), Kind::Call(seen)) => seen == number.cast_unsigned(),
            _ => false,
        };
        points.iter().step_by(step).filter(has).copied().collect()
    }
}

impl Known {
    pub fn points(&self, all: &[Point]) -> Vec<Point> {
        self.at.of(all)
    }

    pub fn pair(&self) -> Pair {
        Pair {
            operation: operation::named(self.operation),
            scenario: scenario::named(self.scenario),
        }
    }
}

impl Pair {
    pub fn guard(self) -> Guard {
        let (operation, scenario) = (self.operation.name, self.scenario.name);
        match WIDTHS.contains(&(operation, scenario)) {
            true => Guard::Width,
            false => Guard::Condition,
        }
    }

    /// All that make sense.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |operation: &'static Operation| {
            let fits = move |scenario: &&'static Scenario| (scenario.fits)(operation);
            let pair = move |scenario| Self {
                operation,
                scenario,
            };
            scenario::ALL.iter().filter(fits).map(pair)
        };
        operation::all().flat_map(of)
    }
}
