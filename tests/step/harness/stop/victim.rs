//! The process that is stopped.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::actor::{Actor, Line, Props, keep_panics};
use super::cast::{Cast, Played, Who};
use super::operation::{Operation, Thread};
use crate::harness::fork::{self, Forked};
use crate::harness::stage::Stage;
use crate::harness::survivor::Violation;
use crate::harness::trace::{self, Code, Seen, Tracee};

/// Longer than any operation takes on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A thread that is blocked for so long waits for others.
pub const ASLEEP: Duration = Duration::from_millis(50);
/// A thread of the library that has not come to a point by then does not.
pub const COMES: Duration = Duration::from_millis(300);

/// The process, its traced thread, and the lines to two of its threads.
pub struct Victim {
    pub(super) process: Forked,
    pub(super) tracee: Tracee,
    pub(super) operation: &'static Operation,
    pub main: Line,
    pub(super) code: Code,
    pub(super) is_over: bool,
    /// It was left asleep.
    is_away: bool,
    /// A sleep on its way to a point is the end of the way.
    pub(super) gives_up: bool,
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
            match operation.thread {
                Thread::Main => {
                    trace::submit();
                    trace::mark();
                    actor.acts();
                    trace::mark();
                }
                Thread::Born => {
                    trace::submit();
                    trace::mark();
                    actor.acts();
                }
                Thread::Named(_) => {}
            }
            actor.serve(its_main);
        });
        if who == Who::Victim {
            cast.beside = Some(beside);
        }
        if matches!(operation.name, "begin generation" | "join or begin") {
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
            Thread::Main | Thread::Born => match victim.tracee.first_mark() {
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

    /// The operation has ended: its thread replies to the driver.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn goes(&self, steps: bool) -> Played {
        let gone = match steps {
            true => ptrace::step(self.thread_id(), None),
            false => ptrace::cont(self.thread_id(), None),
        };
        gone.map_err(|_| Violation::of("the thread cannot go on"))
    }

    /// Executes the one instruction before which it is stopped.
    pub fn step(&mut self) {
        let _ = self.tracee.step(&mut self.code);
    }

    pub fn operation(&self) -> &'static Operation {
        self.operation
    }

    pub(super) fn thread_id(&self) -> Pid {
        self.tracee.pid()
    }

    /// The result of the operation, once it has ended.
    pub fn said(&self) -> &str {
        &self.said
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
