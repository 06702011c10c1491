//! All processes of one stop, seen from the driver.

use super::actor::{Actor, Line, Props, keep_panics};
use super::operation::{About, Operation};
use super::victim::Victim;
use crate::harness::board::Board;
use crate::harness::fork::{self, Forked};
use crate::harness::place::Place;
use crate::harness::stage::Stage;
use crate::harness::survivor::Violation;

/// Whether a part was played as it should be.
pub type Played = Result<(), Violation>;

/// Who plays a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Lives from beginning to end.
    Survivor,
    /// The process that is stopped: its acting thread, once it has gone on.
    Victim,
    /// Another thread of the same process, which is never stopped.
    Beside,
    /// A second process that is stopped.
    Second,
    /// Comes while the victim is stopped.
    Other,
    /// Died before the victim was stopped.
    Dead,
}

impl Who {
    /// The id of its runner.
    pub fn id(self) -> &'static str {
        match self {
            Self::Survivor => "survivor",
            Self::Victim => "victim",
            Self::Beside => "beside",
            Self::Second => "second",
            Self::Other => "other",
            Self::Dead => "dead",
        }
    }
}

struct Member {
    who: Who,
    line: Line,
    _process: Forked,
}

/// The processes.
pub struct Cast {
    pub place: Place,
    pub board: &'static Board,
    pub operation: &'static Operation,
    /// Turns of what others do again and again.
    pub rounds: u64,
    pub victim: Option<Victim>,
    pub second: Option<Victim>,
    /// The line to another thread of the victim.
    pub beside: Option<Line>,
    members: Vec<Member>,
    /// The survivor has gone on to a new segment.
    pub is_replaced: bool,
    /// A shutdown with terms of the survivor's own is under way.
    pub is_own: bool,
    /// A runner that has written about itself what others must read.
    pub recorded: Option<Who>,
    /// The other one has failed, with a cause of its own.
    pub has_failed: bool,
}

impl Cast {
    /// The survivor, attached if the operation is about the group.
    pub fn new(
        operation: &'static Operation,
        board: &'static Board,
        rounds: u64,
    ) -> Result<Self, Violation> {
        board.clear();
        let mut cast = Self {
            place: Place::new(),
            board,
            operation,
            rounds,
            victim: None,
            second: None,
            beside: None,
            members: Vec::new(),
            is_replaced: false,
            is_own: false,
            recorded: None,
            has_failed: false,
        };
        cast.fork(Who::Survivor);
        if operation.about == About::Group {
            cast.told(Who::Survivor, "create", "")?;
        }
        (operation.arrange)(&mut cast)?;
        Ok(cast)
    }

    fn fork(&mut self, who: Who) {
        let (ours, theirs) = Line::new(who.id());
        let stage = Stage::new(&self.place, self.board).named(who.id());
        let process = fork::run(move || {
            keep_panics();
            Actor::new(stage, Props::default()).serve(theirs);
        });
        self.members.push(Member {
            who,
            line: ours,
            _process: process,
        });
    }

    /// A further process attaches, if it is not there yet.
    pub fn enter(&mut self, who: Who) -> Played {
        if self.has(who) {
            return Ok(());
        }
        self.fork(who);
        self.told(who, "attach", "")
    }

    /// A further process attaches, does something, and is killed.
    pub fn dies(&mut self, who: Who, deed: &str) -> Played {
        self.enter(who)?;
        self.told(who, deed, "")?;
        self.kill(who);
        Ok(())
    }

    /// Kills a member and waits for its end.
    pub fn kill(&mut self, who: Who) {
        self.members.retain(|member| member.who != who);
    }

    pub fn has(&self, who: Who) -> bool {
        match who {
            Who::Victim => self.victim.as_ref().is_some_and(Victim::is_over),
            Who::Second => self.second.as_ref().is_some_and(Victim::is_over),
            Who::Beside => self.beside.is_some(),
            other => self.members.iter().any(|member| member.who == other),
        }
    }

    fn line(&mut self, who: Who) -> &mut Line {
        match who {
            Who::Victim => &mut self.victim.as_mut().expect("it is there").main,
            Who::Second => &mut self.second.as_mut().expect("it is there").main,
            Who::Beside => self.beside.as_mut().expect("it is there"),
            other => {
                let mut members = self.members.iter_mut();
                let member = members.find(|member| member.who == other);
                &mut member.expect("it is there").line
            }
        }
    }

    pub fn ask(&mut self, who: Who, deed: &str, argument: &str) -> Result<String, Violation> {
        self.line(who).ask(deed, argument)
    }

    pub fn told(&mut self, who: Who, deed: &str, argument: &str) -> Played {
        self.ask(who, deed, argument).map(drop)
    }

    /// The runner of the victim leaves; false if that waits for the victim, which then
    /// delays nobody but its own process.
    pub fn victim_leaves(&mut self) -> Result<bool, Violation> {
        let left = self.line(Who::Beside).ask_for_a_while("leave", "")?;
        Ok(left.is_some())
    }

    /// The victim has gone on: what waited for it comes to its end.
    pub fn settle(&mut self) -> Played {
        match &mut self.beside {
            Some(line) => line.settle(),
            None => Ok(()),
        }
    }

    /// Several do the same at once.
    pub fn together(&mut self, all: &[Who], deed: &str, argument: &str) -> Played {
        for who in all {
            self.line(*who).tell(deed, argument);
        }
        for who in all {
            self.line(*who).answer()?;
        }
        Ok(())
    }

    /// A part of nobody.
    pub fn nothing(&mut self) -> Played {
        Ok(())
    }

    /// The same after the operation of one that was stopped.
    pub fn nothing_after(&mut self, _: Who) -> Played {
        Ok(())
    }

    /// The result of the operation of a stopped process, once it has ended.
    pub fn said(&self, who: Who) -> &str {
        let victim = match who {
            Who::Second => &self.second,
            _ => &self.victim,
        };
        victim.as_ref().map_or("", Victim::said)
    }
}
