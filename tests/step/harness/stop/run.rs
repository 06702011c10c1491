//! One stop: a process is stopped at a point of an operation, others play a scenario, and
//! it goes on or is killed; then everything is checked.

use std::fmt;

use super::aftermath;
use super::cast::Cast;
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

/// What a stop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Everything was as it should be.
    Well,
    /// The operation went another way and came to its end before the point.
    Elsewhere,
}

impl Pair {
    /// Stops one process at one point.
    pub fn stop(
        self,
        board: &'static Board,
        point: Point,
        fate: Fate,
        rounds: u64,
    ) -> Result<Came, Violation> {
        let mut cast = Cast::new(self.operation, board, rounds)?;
        let mut victim = Victim::start(&mut cast)?;
        (self.operation.ready)(&mut cast)?;
        if !victim.reach(&mut cast, point)? {
            victim.kill();
            return Ok(Came::Elsewhere);
        }
        cast.victim = Some(victim);
        (self.scenario.play)(&mut cast)?;
        let Some(mut victim) = cast.victim.take() else {
            return Ok(Came::Well);
        };
        let after = self.scenario.after;
        match fate {
            Fate::GoesOn => {
                let mut is_done = false;
                let said = victim.goes_on(&mut cast, |cast| {
                    match std::mem::replace(&mut is_done, true) {
                        true => Ok(()),
                        false => after(cast),
                    }
                })?;
                cast.has_said(said);
                cast.victim = Some(victim);
                if !is_done {
                    after(&mut cast)?;
                }
            }
            Fate::Steps | Fate::Dies => {
                if fate == Fate::Steps {
                    victim.step();
                }
                victim.kill();
                cast.beside = None;
                after(&mut cast)?;
            }
        }
        aftermath::check(&mut cast)?;
        Ok(Came::Well)
    }
}
