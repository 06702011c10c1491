//! A process or thread that does what the driver asks for, one deed after the other.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use ebbtide::{
    CrossProcessEvent, CrossProcessLock, CrossProcessSemaphore, InFlight, LockGuard, Observer,
    Runner, Segment, SemaphorePermit, SharedStateManager, ShutdownCoordinator,
};

use super::deed;
use super::operation::Answer;
use crate::harness::peer::BOUND;
use crate::harness::stage::{EVENT, Kept, LOCK, PERMITS, Stage, leak};
use crate::harness::survivor::Violation;

/// What an attached process works with.
#[derive(Clone, Copy)]
pub struct Tools {
    pub segment: &'static Segment,
    pub coordinator: &'static ShutdownCoordinator,
    pub lock: &'static CrossProcessLock,
    pub permits: &'static CrossProcessSemaphore,
    pub event: &'static CrossProcessEvent,
    pub store: &'static SharedStateManager,
}

impl Tools {
    pub fn of(segment: &'static Segment) -> Self {
        let permits = CrossProcessSemaphore::open(segment, PERMITS.0, PERMITS.1);
        Self {
            segment,
            coordinator: leak(ShutdownCoordinator::new(segment)),
            lock: leak(CrossProcessLock::open(segment, LOCK).expect("a lock")),
            permits: leak(permits.expect("a semaphore")),
            event: leak(CrossProcessEvent::open(segment, EVENT).expect("an event")),
            store: leak(SharedStateManager::open(segment).expect("the shared state")),
        }
    }
}

/// What a stopped process has, as far as another of its threads or a later step needs it.
#[derive(Clone, Copy, Default)]
pub struct Props {
    pub segment: Option<&'static Segment>,
    pub runner: Option<&'static Runner>,
}

/// The state of one actor. It never ends in order, so what it makes is leaked.
pub struct Actor {
    /// With the id under which it registers.
    pub stage: Stage,
    tools: Option<Tools>,
    pub runner: Option<&'static Runner>,
    pub guard: Option<LockGuard<'static>>,
    pub permits: Vec<SemaphorePermit<'static>>,
    pub items: Vec<InFlight<'static>>,
    /// The operation, before it was performed.
    pub act: Option<Box<dyn FnOnce() -> Answer>>,
    /// The result of the operation.
    pub said: String,
    /// The segment that it has now; the tools are made when they are first used, which is
    /// no part of the operation.
    found: Option<&'static Segment>,
    pub kept: Option<Kept>,
    /// Of the segment that it made or opened, to see whether it is marked as removed.
    pub observer: Option<Observer>,
    /// Threads that hold something until they are asked to end.
    pub holders: Vec<std::thread::JoinHandle<()>>,
}

impl Actor {
    pub fn new(stage: Stage, props: Props) -> Self {
        Self {
            stage,
            tools: None,
            runner: props.runner,
            guard: None,
            permits: Vec::new(),
            items: Vec::new(),
            act: None,
            said: String::new(),
            found: props.segment,
            kept: None,
            observer: None,
            holders: Vec::new(),
        }
    }

    /// Performs the operation.
    pub fn acts(&mut self) {
        let Some(act) = self.act.take() else { return };
        match catch_unwind(AssertUnwindSafe(act)) {
            Ok(answer) => {
                self.said = answer.text;
                self.runner = answer.props.runner;
                self.kept = Some(answer.kept);
                self.found = answer.props.segment;
            }
            Err(_) => self.said = format!("panicked: {}", said()),
        }
    }

    pub fn attached(&mut self, segment: &'static Segment) {
        self.tools = Some(Tools::of(segment));
    }

    pub fn is_attached(&self) -> bool {
        self.tools.is_some() || self.found.is_some()
    }

    pub fn tools(&mut self) -> Tools {
        if let Some(segment) = self.found.take() {
            self.attached(segment);
        }
        self.tools.expect("it is attached")
    }

    /// The line to the driver: reads deeds and replies to them until the driver hangs up.
    pub fn serve(mut self, line: UnixStream) {
        let mut out = line.try_clone().expect("a descriptor");
        for order in BufReader::new(line).lines() {
            let Ok(order) = order else { return };
            let (name, argument) = order.split_once('\t').unwrap_or((&order, ""));
            let deed = deed::named(name);
            let done = catch_unwind(AssertUnwindSafe(|| deed(&mut self, argument)));
            let answer = match &done {
                Ok(text) => format!("done\t{}", one_line(text)),
                Err(_) => format!("wrong\t{}", one_line(&said())),
            };
            if writeln!(out, "{answer}").is_err() {
                break;
            }
        }
        // What it holds is not to be given back in order.
        loop {
            std::thread::park();
        }
    }
}

/// The calling thread, for the board.
pub fn me() -> u64 {
    u64::from(nix::unistd::gettid().as_raw().unsigned_abs())
}

/// What panics said, in all threads of this process.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what panics say, to be sent to the driver.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut said) = SAID.lock() {
            said.push(panic.to_string());
        }
    }));
}

pub fn said() -> String {
    SAID.lock().map(|said| said.join(" / ")).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

/// How long a deed may take that nobody who is stopped delays.
const A_WHILE: Duration = Duration::from_millis(200);

/// The driver's end of a line.
#[derive(Debug)]
pub struct Line {
    who: &'static str,
    line: BufReader<UnixStream>,
    /// The deed that was asked for last.
    asked: String,
    /// Its answer was not waited for.
    is_pending: bool,
}

impl Line {
    /// Both ends; the second one is the actor's.
    pub fn new(who: &'static str) -> (Self, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        // Longer than any deed may take; so what does not answer hangs.
        ours.set_read_timeout(Some(3 * BOUND)).expect("a timeout");
        let line = Self {
            who,
            line: BufReader::new(ours),
            asked: String::new(),
            is_pending: false,
        };
        (line, theirs)
    }

    pub fn ask(&mut self, deed: &str, argument: &str) -> Result<String, Violation> {
        self.settle()?;
        self.tell(deed, argument);
        self.answer()
    }

    /// Asks for what may have to wait for one that is stopped; `None` if it is not done in
    /// a while. Its answer is read when it is [settled](Self::settle).
    pub fn ask_for_a_while(
        &mut self,
        deed: &str,
        argument: &str,
    ) -> Result<Option<String>, Violation> {
        self.settle()?;
        self.tell(deed, argument);
        let line = self.line.get_ref();
        line.set_read_timeout(Some(A_WHILE)).expect("a timeout");
        let came = self.line.fill_buf().is_ok();
        let line = self.line.get_ref();
        line.set_read_timeout(Some(3 * BOUND)).expect("a timeout");
        self.is_pending = !came;
        came.then(|| self.answer()).transpose()
    }

    /// Reads the answer that was not waited for, if there is one.
    pub fn settle(&mut self) -> Result<(), Violation> {
        match std::mem::take(&mut self.is_pending) {
            true => self.answer().map(drop),
            false => Ok(()),
        }
    }

    /// Asks for a deed; the answer is to be read later.
    pub fn tell(&mut self, deed: &str, argument: &str) {
        self.asked = format!("{} of {}", deed, self.who);
        // If it has ended, the answer will be missing.
        let _ = writeln!(self.line.get_mut(), "{deed}\t{argument}");
    }

    pub fn answer(&mut self) -> Result<String, Violation> {
        let mut text = String::new();
        let asked = &self.asked;
        if self.line.read_line(&mut text).is_err() {
            return Err(Violation::hang(format!("no answer to {asked}")));
        }
        match text.trim_end_matches('\n').split_once('\t') {
            Some(("done", answer)) => Ok(answer.to_string()),
            Some(("wrong", what)) => Err(Violation::of(format!("{asked}: {what}"))),
            _ => Err(Violation::of(format!("it ended at {asked}"))),
        }
    }
}
