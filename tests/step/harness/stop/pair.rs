//! Which pairs of operation and scenario there are, and what guards them.

use super::operation::{self, Operation};
use super::run::{Fate, Pair};
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
    ("initiate", "terms"),
];

/// A finding about stops, as the pair that shows it.
pub struct Known {
    pub what: &'static str,
    pub operation: &'static str,
    pub scenario: &'static str,
    pub fate: Fate,
}

/// The findings, each with the pair that shows it: tried at more points than others.
pub const KNOWN: &[Known] = &[
    Known {
        what: "a stopped initiator takes the terms of the next shutdown away",
        operation: "initiate",
        scenario: "terms",
        fate: Fate::GoesOn,
    },
    Known {
        what: "a helper's late stamp makes a budget endless",
        operation: "acknowledge, not last",
        scenario: "many epochs",
        fate: Fate::GoesOn,
    },
    Known {
        what: "a joiner is admitted into a shutdown that is over",
        operation: "join",
        scenario: "finished",
        fate: Fate::GoesOn,
    },
    Known {
        what: "a living runner is marked dead by one who saw its slot's former holder die",
        operation: "initiate beside the dead",
        scenario: "refused for long",
        fate: Fate::GoesOn,
    },
    Known {
        what: "two own a lock that the dead one's slot name comes back to",
        operation: "lock of the dead",
        scenario: "threads",
        fate: Fate::GoesOn,
    },
    Known {
        what: "what a stopped process reaps is not handed on",
        operation: "reap",
        scenario: "inheritance",
        fate: Fate::GoesOn,
    },
    Known {
        what: "a removal takes the name of a new segment away",
        operation: "remove",
        scenario: "replaced",
        fate: Fate::GoesOn,
    },
    Known {
        what: "opening over leftovers takes the name of a new segment away",
        operation: "open or create, leftovers",
        scenario: "replaced",
        fate: Fate::GoesOn,
    },
    Known {
        what: "an item is counted in the gate of the slot's next holder",
        operation: "begin and end",
        scenario: "next holder",
        fate: Fate::Steps,
    },
    Known {
        what: "last words are written into another's record",
        operation: "set last words",
        scenario: "next holder",
        fate: Fate::GoesOn,
    },
    Known {
        what: "an activity is written into another's record",
        operation: "set activity",
        scenario: "next holder",
        fate: Fate::GoesOn,
    },
    Known {
        what: "progress is counted in another's record",
        operation: "progress",
        scenario: "next holder",
        fate: Fate::GoesOn,
    },
    Known {
        what: "a verdict is written into another's record",
        operation: "leave forced",
        scenario: "next holder",
        fate: Fate::GoesOn,
    },
];

impl Known {
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
