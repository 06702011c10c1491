//! One stop: a process is stopped at a point of an operation, others play a scenario, and
//! it goes on or is killed; then everything is checked.

use std::fmt;

use super::aftermath;
use super::cast::{Cast, Who};
use super::operation::Operation;
use super::route::Point;
use super::scenario::Scenario;
use super::victim::Victim;
use crate::harness::board::Board;
use crate::harness::survivor::Violation;

/// What becomes of the stopped process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on to the end of the operation.
    GoesOn,
    /// It executes the one instruction before which it was stopped, and is killed.
    Steps,
    /// It is killed.
    Dies,
}

impl Fate {
    pub const ALL: [Self; 3] = [Self::GoesOn, Self::Steps, Self::Dies];

    pub fn name(self) -> &'static str {
        match self {
            Self::GoesOn => "goes on",
            Self::Steps => "steps",
            Self::Dies => "dies",
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A pair to be tried.
#[derive(Clone, Copy)]
pub struct Pair {
    pub operation: &'static Operation,
    pub scenario: &'static Scenario,
}

/// A second process that is stopped while the first one is.
#[derive(Clone, Copy)]
pub struct Second {
    pub operation: &'static Operation,
    pub point: Point,
    pub order: Order,
}

/// Who goes on when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The second one, then the first.
    SecondFirst,
    /// The first one, while the second is stopped; then the second.
    FirstFirst,
    /// The second one is killed where it was stopped.
    SecondDies,
}

impl Order {
    pub const ALL: [Self; 3] = [Self::SecondFirst, Self::FirstFirst, Self::SecondDies];
}

/// Where, and what became of whom.
#[derive(Clone, Copy)]
pub struct Stop {
    pub point: Point,
    pub fate: Fate,
    pub second: Option<Second>,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped at {}, {}", self.point, self.fate)?;
        match self.second {
            Some(second) => write!(f, ", {second}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, point, order) = (self.operation.name, self.point, self.order);
        write!(f, "a second one in {name} at {point}, {order:?}")
    }
}

/// What a stop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Everything was as it should be.
    Well,
    /// The operation went another way and came to its end before the point.
    Elsewhere,
}

impl Pair {
    /// Stops one process at one point, and perhaps a second one.
    pub fn stop(
        self,
        board: &'static Board,
        (point, fate): (Point, Fate),
        second: Option<Second>,
        rounds: u64,
    ) -> Result<Came, Violation> {
        let mut cast = Cast::new(self.operation, board, rounds)?;
        let mut victim = Victim::start(&mut cast, self.operation, Who::Victim)?;
        (self.operation.ready)(&mut cast)?;
        if !victim.reach(&mut cast, point)? {
            return Ok(Came::Elsewhere);
        }
        cast.victim = Some(victim);
        if let Some(second) = second
            && !second.stop(&mut cast)?
        {
            return Ok(Came::Elsewhere);
        }
        (self.scenario.play)(&mut cast)?;
        let is_after = second.is_some_and(|second| second.order == Order::FirstFirst);
        if !is_after {
            go_on(&mut cast, Who::Second, self.scenario)?;
        }
        match fate {
            Fate::GoesOn => go_on(&mut cast, Who::Victim, self.scenario)?,
            Fate::Steps | Fate::Dies => {
                if let (Fate::Steps, Some(victim)) = (fate, &mut cast.victim) {
                    victim.step();
                }
                (cast.victim, cast.beside) = (None, None);
            }
        }
        // A process that waited for the other continues now.
        go_on(&mut cast, Who::Second, self.scenario)?;
        go_on(&mut cast, Who::Victim, self.scenario)?;
        cast.settle()?;
        (self.scenario.after)(&mut cast)?;
        aftermath::check(&mut cast)?;
        Ok(Came::Well)
    }
}

impl Second {
    /// Starts it and stops it; false if that is not possible now.
    fn stop(self, cast: &mut Cast) -> Result<bool, Violation> {
        (self.operation.arrange)(cast)?;
        let Ok(mut second) = Victim::start(cast, self.operation, Who::Second) else {
            // Its scene cannot be set while the first one is stopped.
            return Ok(false);
        };
        (self.operation.ready)(cast)?;
        if !second.reach_or_sleep(cast, self.point)? {
            return Ok(false);
        }
        if self.order != Order::SecondDies {
            cast.second = Some(second);
        }
        Ok(true)
    }
}

/// Lets one of those who were stopped go on until it has ended, or waits for the other one.
fn go_on(cast: &mut Cast, who: Who, scenario: &Scenario) -> Result<(), Violation> {
    let is_other_stopped = match who {
        Who::Second => cast.victim.as_ref().is_some_and(|other| !other.is_over()),
        _ => cast.second.as_ref().is_some_and(|other| !other.is_over()),
    };
    let taken = match who {
        Who::Second => cast.second.take(),
        _ => cast.victim.take(),
    };
    let Some(mut victim) = taken else {
        return Ok(());
    };
    if !victim.is_over() {
        victim.goes_on(cast, |cast| {
            if is_other_stopped {
                return Ok(false);
            }
            (scenario.after)(cast)?;
            Ok(true)
        })?;
    }
    match who {
        Who::Second => cast.second = Some(victim),
        _ => cast.victim = Some(victim),
    }
    Ok(())
}
