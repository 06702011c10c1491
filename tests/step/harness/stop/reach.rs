//! The way of a stopped thread to its point, and how that way is learnt.

use std::time::Instant;

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::cast::{Cast, Played, Who};
use super::operation::{About, Operation, Thread};
use super::route::{Learner, Point, Route};
use super::victim::{ASLEEP, COMES, PATIENCE, Victim};
use crate::harness::board::Board;
use crate::harness::survivor::Violation;
use crate::harness::trace::{Seen, Tracee};

/// Sleeps of a thread of the library that its route has.
const SLEEPS: u32 = 3;

impl Victim {
    /// Has the act begin where the stopped thread is not the one that acts, and lets that
    /// thread go on from where it is: with `steps` by one instruction, else at full speed.
    fn begins(&mut self, steps: bool) -> Played {
        let failed = |_| Violation::of("the thread cannot be traced");
        match self.operation.thread {
            Thread::Main => Ok(()),
            Thread::Named(_) => {
                self.goes(steps)?;
                self.main.tell("act", "");
                Ok(())
            }
            Thread::Born => {
                let main = self.process.pid();
                ptrace::setoptions(main, Options::PTRACE_O_TRACECLONE).map_err(failed)?;
                ptrace::cont(main, None).map_err(failed)?;
                let born = loop {
                    match waitpid(main, Some(WaitPidFlag::__WALL)).map_err(failed)? {
                        WaitStatus::PtraceEvent(..) => {
                            break Pid::from_raw(ptrace::getevent(main).map_err(failed)? as i32);
                        }
                        WaitStatus::Stopped(_, signal) => {
                            ptrace::cont(main, signal).map_err(failed)?;
                        }
                        other => return Err(Violation::of(format!("it ends by {other:?}"))),
                    }
                };
                self.tracee = Tracee::new(born);
                if self.tracee.first_mark().is_none() {
                    return Err(Violation::of("the new thread never stops"));
                }
                ptrace::detach(main, None).map_err(failed)?;
                self.main.tell("said", "");
                Ok(())
            }
        }
    }

    /// What is seen after a sleep that others end.
    fn wakes(&mut self, cast: &mut Cast, mut seen: Seen) -> Result<Seen, Violation> {
        let begin = Instant::now();
        while seen == Seen::Asleep {
            if let Some(woken) = self.tracee.wake(ASLEEP) {
                seen = woken;
                break;
            }
            if self.gives_up {
                return Ok(Seen::Asleep);
            }
            if begin.elapsed() > PATIENCE {
                return Err(Violation::hang("the stopped thread is never woken"));
            }
            (self.operation.asleep)(cast)?;
        }
        Ok(match seen {
            Seen::Overslept => Seen::Stepped,
            seen => seen,
        })
    }

    /// Steps the whole act, and learns where it can be stopped.
    pub fn learn(&mut self, cast: &mut Cast, learner: &mut Learner) -> Played {
        let begin = Instant::now();
        self.begins(true)?;
        // It was blocked: the step is over when it has been woken.
        if let Thread::Named(_) = self.operation.thread
            && self.tracee.wake(PATIENCE) != Some(Seen::Stepped)
        {
            return Err(Violation::of("the thread is never woken"));
        }
        let is_main = self.operation.thread == Thread::Main;
        learner.follow(self.thread_id());
        let mut sleeps = 0;
        loop {
            learner.stands();
            let mut seen = self.tracee.step(&mut self.code);
            if !is_main && seen == Seen::Ended {
                return Ok(());
            }
            if !is_main && matches!(seen, Seen::Asleep | Seen::Overslept) {
                sleeps += 1;
                if sleeps == SLEEPS {
                    // It has done its work, and only polls.
                    return Ok(());
                }
            }
            if !is_main && seen == Seen::Asleep {
                match self.tracee.wake(COMES) {
                    Some(woken) => seen = woken,
                    None => return Ok(()),
                }
            }
            match self.wakes(cast, seen)? {
                Seen::Stepped => {}
                Seen::Marked => return Ok(()),
                other => return Err(Violation::of(format!("it stops by {other:?}"))),
            }
            if begin.elapsed() > PATIENCE {
                return Err(Violation::hang("the operation does not end"));
            }
        }
    }

    /// Lets it run to a point. False if it came to its end before.
    pub fn reach(&mut self, cast: &mut Cast, point: Point) -> Result<bool, Violation> {
        if self.operation.thread != Thread::Main {
            return self.named_reaches(point);
        }
        let has_breakpoints = self.tracee.break_at(Some(point.address));
        let mut left = point.nth;
        // It may stand there already.
        left -= u64::from(self.tracee.pc() == point.address);
        let begin = Instant::now();
        while left > 0 {
            let seen = match has_breakpoints {
                true => self.tracee.run(&mut self.code),
                false => self.tracee.step(&mut self.code),
            };
            match self.wakes(cast, seen)? {
                Seen::Stepped => left -= u64::from(self.tracee.pc() == point.address),
                Seen::Marked | Seen::Asleep => {
                    self.tracee.break_at(None);
                    return Ok(false);
                }
                other => return Err(Violation::of(format!("it stops by {other:?}"))),
            }
            if begin.elapsed() > PATIENCE {
                return Err(Violation::hang("the operation does not end"));
            }
        }
        self.tracee.break_at(None);
        Ok(true)
    }

    /// The same for a process that may wait for a stopped one; false then, too.
    pub fn reach_or_sleep(&mut self, cast: &mut Cast, point: Point) -> Result<bool, Violation> {
        self.gives_up = true;
        let reached = self.reach(cast, point);
        self.gives_up = false;
        reached
    }

    fn named_reaches(&mut self, point: Point) -> Result<bool, Violation> {
        let mut left = point.nth;
        if self.operation.thread == Thread::Born {
            self.begins(false)?;
            left -= u64::from(self.tracee.pc() == point.address);
        }
        if !self.tracee.break_at(Some(point.address)) {
            return Ok(false);
        }
        match self.operation.thread {
            Thread::Born if left > 0 => self.goes(false)?,
            Thread::Named(_) => self.begins(false)?,
            _ => {}
        }
        while left > 0 {
            match self.tracee.wake(COMES) {
                Some(Seen::Stepped) => left -= u64::from(self.tracee.pc() == point.address),
                Some(Seen::Ended) => {
                    self.is_over = true;
                    return Ok(false);
                }
                Some(other) => return Err(Violation::of(format!("it stops by {other:?}"))),
                None => return Ok(false),
            }
            if left > 0 {
                self.goes(false)?;
            }
        }
        self.tracee.break_at(None);
        Ok(true)
    }
}

impl Route {
    /// Learnt in a cast of its own; `every` instruction is a point, if so.
    pub fn of(
        operation: &'static Operation,
        board: &'static Board,
        every: bool,
    ) -> Result<Self, Violation> {
        let mut cast = Cast::new(operation, board, 1)?;
        let mut victim = Victim::start(&mut cast, operation, Who::Victim)?;
        (operation.ready)(&mut cast)?;
        let every = every || operation.about == About::Nothing;
        let mut learner = Learner::new(victim.process.pid(), cast.place.text(), every);
        victim.learn(&mut cast, &mut learner)?;
        let length = learner.length();
        Ok(Self {
            points: learner.points,
            length,
        })
    }
}
