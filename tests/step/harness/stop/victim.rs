//! The process that is stopped.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::actor::{Actor, Line, Props, keep_panics};
use super::cast::{Cast, Played, Who};
use super::operation::{Operation, Thread};
use super::route::{Learner, Point};
use crate::harness::fork::{self, Forked};
use crate::harness::stage::Stage;
use crate::harness::survivor::Violation;
use crate::harness::trace::{self, Code, Seen, Tracee};

/// Longer than any operation takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);
/// A thread that is blocked for so long waits for others.
const ASLEEP: Duration = Duration::from_millis(50);
/// A thread of the library that has not come to a point by then does not.
const COMES: Duration = Duration::from_millis(300);

/// Sleeps of a thread of the library that its route has.
const SLEEPS: u32 = 3;

/// The process, its traced thread, and the lines to two of its threads.
pub struct Victim {
    process: Forked,
    tracee: Tracee,
    operation: &'static Operation,
    pub main: Line,
    code: Code,
    is_over: bool,
    /// It was left asleep.
    is_away: bool,
    /// A sleep on its way to a point is the end of the way.
    gives_up: bool,
    said: String,
}

impl Victim {
    /// Starts it and waits until its scene is set.
    pub fn start(
        cast: &mut Cast,
        operation: &'static Operation,
        who: Who,
    ) -> Result<Self, Violation> {
        let (main, its_main) = Line::new(who.id());
        let (beside, its_beside) = Line::new(Who::Beside.id());
        let stage = |id| Stage::new(&cast.place, cast.board).named(id);
        let (first, second) = (stage(who.id()), stage(Who::Beside.id()));
        let process = fork::run(move || {
            keep_panics();
            let scene = (operation.scene)(&first);
            let props = scene.props;
            std::thread::spawn(move || Actor::new(second, props).serve(its_beside));
            let mut actor = Actor::new(first, Props::default());
            actor.act = Some(scene.act);
            if operation.thread == Thread::Main {
                trace::submit();
                trace::mark();
                actor.acts();
                trace::mark();
            }
            actor.serve(its_main);
        });
        if who == Who::Victim {
            cast.beside = Some(beside);
        }
        if operation.name == "begin generation" {
            cast.board.renewing.store(1, Ordering::Release);
        }
        let pid = process.pid();
        let mut victim = Self {
            process,
            tracee: Tracee::new(pid),
            operation,
            main,
            code: Code::new(),
            is_over: false,
            is_away: false,
            gives_up: false,
            said: String::new(),
        };
        match operation.thread {
            Thread::Main => match victim.tracee.first_mark() {
                Some(Seen::Marked) => {}
                None => return Err(Violation::hang("the victim's scene never ends")),
                Some(other) => return Err(Violation::of(format!("the scene: {other:?}"))),
            },
            Thread::Named(name) => {
                // By now the scene is set.
                victim.main.ask("nothing", "")?;
                let begin = Instant::now();
                // A thread names itself when it begins to run.
                let thread = loop {
                    match thread_of(pid, name) {
                        Some(thread) => break thread,
                        None if begin.elapsed() < COMES => std::thread::yield_now(),
                        None => return Err(Violation::of(format!("there is no {name}"))),
                    }
                };
                victim.tracee = Tracee::new(thread);
                let attached = ptrace::attach(thread).is_ok();
                if !attached || victim.tracee.first_mark() != Some(Seen::Marked) {
                    return Err(Violation::of(format!("thread {name} cannot be traced")));
                }
            }
        }
        Ok(victim)
    }

    /// The operation has ended: its thread answers the driver.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Has the act begin where the stopped thread is not the one that acts.
    fn begins(&mut self) {
        if self.operation.thread != Thread::Main {
            self.main.tell("act", "");
        }
    }

    pub fn operation(&self) -> &'static Operation {
        self.operation
    }

    /// Executes the one instruction before which it is stopped.
    pub fn step(&mut self) {
        let _ = self.tracee.step(&mut self.code);
    }

    fn thread_id(&self) -> Pid {
        self.tracee.pid()
    }

    /// What came of the operation, once it has ended.
    pub fn said(&self) -> &str {
        &self.said
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
        if self.operation.thread != Thread::Main {
            // It is blocked: the step is over when it has been woken.
            let stepped = ptrace::step(self.thread_id(), None).is_ok();
            self.begins();
            if !stepped || self.tracee.wake(PATIENCE) != Some(Seen::Stepped) {
                return Err(Violation::of("the thread is never woken"));
            }
        }
        let mut sleeps = 0;
        loop {
            learner.stands();
            let mut seen = self.tracee.step(&mut self.code);
            if self.operation.thread != Thread::Main && seen == Seen::Asleep {
                sleeps += 1;
                match self.tracee.wake(COMES) {
                    Some(woken) if sleeps < SLEEPS => seen = woken,
                    // It has done what was to be done, and only looks again.
                    _ => return Ok(()),
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

    /// The same for one that may have to wait for somebody who is stopped; false then, too.
    pub fn reach_or_sleep(&mut self, cast: &mut Cast, point: Point) -> Result<bool, Violation> {
        self.gives_up = true;
        let reached = self.reach(cast, point);
        self.gives_up = false;
        reached
    }

    fn named_reaches(&mut self, point: Point) -> Result<bool, Violation> {
        if !self.tracee.break_at(Some(point.address)) {
            return Ok(false);
        }
        if ptrace::cont(self.thread_id(), None).is_err() {
            return Err(Violation::of("the thread cannot go on"));
        }
        self.begins();
        let mut left = point.nth;
        while left > 0 {
            match self.tracee.wake(COMES) {
                Some(Seen::Stepped) => left -= u64::from(self.tracee.pc() == point.address),
                Some(other) => return Err(Violation::of(format!("it stops by {other:?}"))),
                None => return Ok(false),
            }
            if left > 0 && ptrace::cont(self.thread_id(), None).is_err() {
                return Err(Violation::of("the thread cannot go on"));
            }
        }
        self.tracee.break_at(None);
        Ok(true)
    }

    /// Lets it go on to the end of the operation; false if it waits for others, and
    /// `asleep`, which is called then, does not know better.
    pub fn goes_on(
        &mut self,
        cast: &mut Cast,
        mut asleep: impl FnMut(&mut Cast) -> Result<bool, Violation>,
    ) -> Result<bool, Violation> {
        if self.operation.thread != Thread::Main {
            let _ = ptrace::detach(self.thread_id(), None);
            self.said = self.main.answer()?;
            self.is_over = true;
            return Ok(true);
        }
        let begin = Instant::now();
        loop {
            let mut seen = match std::mem::take(&mut self.is_away) {
                true => Seen::Asleep,
                false => self.tracee.run(&mut self.code),
            };
            while seen == Seen::Asleep {
                if let Some(woken) = self.tracee.wake(ASLEEP) {
                    seen = woken;
                    break;
                }
                if !asleep(cast)? {
                    self.is_away = true;
                    return Ok(false);
                }
                (self.operation.asleep)(cast)?;
                if begin.elapsed() > PATIENCE {
                    return Err(Violation::hang("the operation does not end"));
                }
            }
            match seen {
                Seen::Stepped | Seen::Overslept => {}
                Seen::Marked => break,
                other => return Err(Violation::of(format!("it stops by {other:?}"))),
            }
        }
        if ptrace::detach(self.process.pid(), None).is_err() {
            return Err(Violation::of("it has ended"));
        }
        self.is_over = true;
        self.said = self.main.ask("said", "")?;
        match self.said.strip_prefix("panicked: ") {
            Some(what) => Err(Violation::of(format!("the operation: {what}"))),
            None => Ok(true),
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.process.shoot();
        if self.operation.thread != Thread::Main && !self.is_over {
            // The process ends when its traced thread has been waited for.
            while let Ok(status) = waitpid(self.thread_id(), Some(WaitPidFlag::__WALL)) {
                if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                    break;
                }
            }
        }
        self.process.end();
    }
}

/// The thread of a process that has a name.
fn thread_of(process: Pid, name: &str) -> Option<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let ids = tasks.flatten().filter_map(|task| {
        let id: i32 = task.file_name().to_string_lossy().parse().ok()?;
        let is = std::fs::read_to_string(task.path().join("comm")).ok()?;
        (is.trim_end() == name).then(|| Pid::from_raw(id))
    });
    ids.last()
}

/// The route of an operation.
pub struct Route {
    pub points: Vec<Point>,
    pub length: u64,
}

impl Route {
    /// Learnt in a cast of its own.
    pub fn of(
        operation: &'static Operation,
        board: &'static crate::harness::board::Board,
    ) -> Result<Self, Violation> {
        let mut cast = Cast::new(operation, board, 1)?;
        let mut victim = Victim::start(&mut cast, operation, Who::Victim)?;
        (operation.ready)(&mut cast)?;
        let every = operation.about == super::operation::About::Nothing;
        let (process, thread) = (victim.process.pid(), victim.thread_id());
        let mut learner = Learner::new(process, thread, cast.place.text(), every);
        victim.learn(&mut cast, &mut learner)?;
        let length = learner.length();
        Ok(Self {
            points: learner.points,
            length,
        })
    }
}
