//! Handlers: closures of this process that run in a phase of a shutdown.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::api::closure::{Watched, run_within, unpanicked};
use crate::api::core::Core;
use crate::api::names::check_name;
use crate::api::report::{HandlerOutcome, HandlerReport};
use crate::api::session::Session;
use crate::api::standing::{Patience, take};
use crate::api::trace;
use crate::api::within::Whose;
use crate::error::CoordinationError;
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

/// A runner slot and its generation, or all of this process.
type Only = Option<(usize, u64)>;

/// Whose handlers of Signaling there are: without the closures, so that it can be kept where
/// none may be dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signaled(Arc<Mutex<Vec<Only>>>);

impl Signaled {
    /// Whether the runner of a slot and generation has one.
    pub(crate) fn has(&self, of: (usize, u64)) -> bool {
        lock(&self.0)
            .iter()
            .any(|only| only.is_none_or(|only| only == of))
    }
}

/// The handlers of one attachment.
#[derive(Debug, Default)]
pub(crate) struct Handlers {
    all: Mutex<Vec<Handler>>,
    signaled: Signaled,
}

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
        if phase == Phase::Signaling {
            lock(&self.signaled.0).push(of);
        }
        let mut all = lock(&self.all);
        // Higher priority first; of equals the one registered first.
        let place = all.partition_point(|other| other.priority >= priority);
        all.insert(place, handler);
    }

    /// Drops the handlers of a runner that has ended.
    pub(crate) fn forget(&self, of: (usize, u64)) {
        let is_its = |handler: &mut Handler| handler.of == Some(of);
        let gone: Vec<_> = lock(&self.all).extract_if(.., is_its).collect();
        lock(&self.signaled.0).retain(|only| *only != Some(of));
        // Unlocked: a closure may own another runner, which forgets its own.
        drop(gone);
    }

    /// Phases and names of the handlers of a runner that are due after a phase, by phases and
    /// then in the order in which they run; nothing if the patience ends.
    pub(crate) fn pending(
        &self,
        of: (usize, u64),
        done: Phase,
        patience: Patience,
    ) -> Vec<(Phase, String)> {
        let Some(all) = take(&self.all, patience) else {
            return Vec::new();
        };
        let is_due = |h: &&Handler| h.phase > done && h.of.is_none_or(|only| only == of);
        let due = all.iter().filter(is_due);
        let mut due: Vec<_> = due.map(|h| (h.phase, h.name.clone())).collect();
        due.sort_by_key(|(phase, _)| *phase);
        due
    }

    pub(crate) fn signaled(&self) -> &Signaled {
        &self.signaled
    }

    /// Runs the handlers of a phase for one runner, one after another.
    pub(crate) fn run(&self, turn: &Turn<'_>) -> Vec<HandlerReport> {
        let Turn { of, phase, .. } = *turn;
        let Turn { announce, note, .. } = turn;
        let due: Vec<Handler> = lock(&self.all)
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
            let outcome = run_one(&handler, turn);
            trace::handler_ended(&outcome);
            drop(span);
            let detail = phase as u8 | outcome.bits() << 3;
            (turn.ended)();
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

/// What a runner's handlers of one phase are run with.
pub(crate) struct Turn<'a> {
    /// Slot of the runner, and its generation.
    pub(crate) of: (usize, u64),
    pub(crate) runner: &'a str,
    pub(crate) phase: Phase,
    pub(crate) core: &'a Core,
    /// Says what is being run.
    pub(crate) announce: &'a dyn Fn(Option<&str>),
    /// How long the phase may still take; asked again when a word of `watched` has moved.
    pub(crate) left: &'a dyn Fn() -> Duration,
    pub(crate) watched: &'a dyn Fn() -> Vec<Watched<'a>>,
    /// Called when one has ended, in whatever way.
    pub(crate) ended: &'a dyn Fn(),
    /// For the journal.
    pub(crate) note: &'a dyn Fn(Note) -> u64,
}

/// Runs one handler on a thread of its own, so that one that overruns can be left behind.
fn run_one(handler: &Handler, turn: &Turn<'_>) -> HandlerOutcome {
    let time = (turn.left)();
    if time.is_zero() {
        return HandlerOutcome::Skipped;
    }
    let context = HandlerContext {
        phase: handler.phase,
        deadline: after(time),
        runner: turn.runner.into(),
    };
    let body = Arc::clone(&handler.body);
    let span = trace::Carried::here();
    let run = move || unpanicked(|| span.within(|| lock(&body)(&context)));
    let whose = Whose::new(turn.core, turn.of, turn.runner);
    match run_within(
        &handler.name,
        whose,
        turn.core,
        turn.left,
        turn.watched,
        run,
    ) {
        Ok(Some(Ok(()))) => HandlerOutcome::Finished,
        Ok(Some(Err(panic))) => HandlerOutcome::Panicked(panic),
        Ok(None) => HandlerOutcome::Abandoned,
        Err(error) => HandlerOutcome::Panicked(error),
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
