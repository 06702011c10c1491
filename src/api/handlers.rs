//! Handlers: closures of this process that run in a phase of a shutdown.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::api::names::check_name;
use crate::api::report::{HandlerOutcome, HandlerReport};
use crate::api::session::Session;
use crate::api::trace;
use crate::error::CoordinationError;
use crate::limits;
use crate::note::{Kind, Note};
use crate::phase::Phase;

/// What a handler is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandlerContext {
    /// The phase it runs in.
    pub phase: Phase,
    /// When its phase is forced, as things stood when it was started. It is abandoned
    /// then, so it had better be done before.
    pub deadline: Instant,
    /// The runner whose shutdown it is.
    pub runner: String,
}

pub(crate) fn register(
    session: &Session,
    phase: Phase,
    priority: i32,
    name: &str,
    of: Option<(usize, u64)>,
    handler: impl FnMut(&HandlerContext) + Send + 'static,
) -> Result<(), CoordinationError> {
    session.core().check()?;
    check_name(name)?;
    if phase.index().is_none() {
        return Err(CoordinationError::OutOfOrder {
            phase,
            problem: "handlers run in signaling, draining or closing",
        });
    }
    session
        .handlers
        .register(phase, priority, name, of, handler);
    Ok(())
}

type Body = Arc<Mutex<dyn FnMut(&HandlerContext) + Send>>;

#[derive(Clone)]
struct Handler {
    phase: Phase,
    priority: i32,
    name: String,
    /// Only for this runner slot and generation, or for all of this process.
    of: Option<(usize, u64)>,
    body: Body,
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.phase)
    }
}

/// The handlers of one attachment.
#[derive(Debug, Default)]
pub(crate) struct Handlers(Mutex<Vec<Handler>>);

impl Handlers {
    pub(crate) fn register(
        &self,
        phase: Phase,
        priority: i32,
        name: &str,
        of: Option<(usize, u64)>,
        body: impl FnMut(&HandlerContext) + Send + 'static,
    ) {
        let handler = Handler {
            phase,
            priority,
            name: name.into(),
            of,
            body: Arc::new(Mutex::new(body)),
        };
        let mut all = lock(&self.0);
        // Higher priority first; of equals the one registered first.
        let place = all.partition_point(|other| other.priority >= priority);
        all.insert(place, handler);
    }

    /// Drops the handlers of a runner that has ended.
    pub(crate) fn forget(&self, of: (usize, u64)) {
        let is_its = |handler: &mut Handler| handler.of == Some(of);
        let gone: Vec<_> = lock(&self.0).extract_if(.., is_its).collect();
        // Unlocked: a closure may own another runner, which forgets its own.
        drop(gone);
    }

    /// Runs the handlers of a phase for one runner, one after another. `announce` says
    /// what is being run; `left`, how long the phase may still take, is asked again and
    /// again, as it may be extended; `note`, for the journal.
    pub(crate) fn run(
        &self,
        of: (usize, u64),
        runner: &str,
        phase: Phase,
        announce: impl Fn(Option<&str>),
        left: impl Fn() -> Duration,
        note: impl Fn(Note) -> u64,
    ) -> Vec<HandlerReport> {
        let due: Vec<Handler> = lock(&self.0)
            .iter()
            .filter(|h| h.phase == phase && h.of.is_none_or(|only| only == of))
            .cloned()
            .collect();
        let mut reports = Vec::with_capacity(due.len());
        for handler in due {
            let began = Instant::now();
            announce(Some(&handler.name));
            let about = |kind| Note::new(kind).detail(phase as u8).text(&handler.name);
            let start = note(about(Kind::HandlerStarted));
            let span = trace::handler(&handler.name, phase);
            let outcome = run_one(&handler, runner, &left);
            trace::handler_ended(&outcome);
            drop(span);
            let detail = phase as u8 | outcome.bits() << 3;
            note(about(Kind::HandlerEnded).detail(detail).argument(start));
            reports.push(HandlerReport {
                name: handler.name,
                phase,
                outcome,
                duration: began.elapsed(),
            });
        }
        if !reports.is_empty() {
            announce(None);
        }
        reports
    }
}

/// Runs one handler on a thread of its own, so that one that overruns can be left behind.
fn run_one(handler: &Handler, runner: &str, left: &impl Fn() -> Duration) -> HandlerOutcome {
    let time = left();
    if time.is_zero() {
        return HandlerOutcome::Skipped;
    }
    let context = HandlerContext {
        phase: handler.phase,
        deadline: after(time),
        runner: runner.into(),
    };
    let body = Arc::clone(&handler.body);
    let (done, outcome) = mpsc::channel();
    let span = trace::Carried::here();
    let spawned = std::thread::Builder::new()
        .name(format!("ebbtide-{}", handler.name))
        .spawn(move || {
            let run = || span.within(|| lock(&body)(&context));
            let result = catch_unwind(AssertUnwindSafe(run));
            let _ = done.send(match result {
                Ok(()) => HandlerOutcome::Finished,
                Err(panic) => HandlerOutcome::Panicked(message(&*panic)),
            });
        });
    if let Err(error) = spawned {
        return HandlerOutcome::Panicked(format!("no thread to run it: {error}"));
    }
    // A phase may also be forced before the time that was left a moment ago.
    let slice = Duration::from_micros(limits::WAIT_BOUND_MICROS);
    loop {
        match outcome.recv_timeout(left().min(slice)) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Disconnected) => {
                return HandlerOutcome::Panicked("it ended without a word".into());
            }
            Err(RecvTimeoutError::Timeout) if left().is_zero() => return HandlerOutcome::Abandoned,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).into()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not text".into()
    }
}

/// A handler that panicked poisons its lock; the next shutdown runs it all the same.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The instant after so long a time.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    // Durations of centuries do not fit; a day is as good as for ever here.
    now.checked_add(time)
        .unwrap_or(now + Duration::from_secs(86_400))
}
