//! The real ones. Target `ebbtide`; names and fields are in the guide, and a contract: add,
//! never rename.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tracing::span::EnteredSpan;
use tracing::{Level, event, span};

use crate::api::coordinator::Initiation;
use crate::api::core::Tables;
use crate::api::report::{HandlerOutcome, ShutdownReport};
use crate::api::request::{Scope, ShutdownRequest};
use crate::limits::MAX_PROCESSES;
use crate::phase::{Mode, Phase};

/// What is within a span is until this is dropped.
pub(crate) type Entered = EnteredSpan;

/// A span that is carried to another thread.
pub(crate) struct Carried(tracing::Span);

impl Carried {
    /// The span that the calling thread is within.
    pub(crate) fn here() -> Self {
        Self(tracing::Span::current())
    }

    pub(crate) fn within<T>(&self, body: impl FnOnce() -> T) -> T {
        self.0.in_scope(body)
    }
}

pub(crate) fn run_shutdown(segment: &str, runner: &str, generation: u32) -> Entered {
    span!(target: "ebbtide", Level::INFO, "shutdown", segment, runner, generation).entered()
}

pub(crate) fn shutdown_ended(report: &ShutdownReport) {
    let outcome = report.outcome.name();
    let total_us = micros(report.total);
    event!(target: "ebbtide", Level::INFO, outcome, total_us, "shutdown ended");
}

pub(crate) fn phase(phase: Phase) -> Entered {
    span!(target: "ebbtide", Level::INFO, "phase", phase = phase.name()).entered()
}

pub(crate) fn phase_done(phase: Phase, tardy: bool) {
    let phase = phase.name();
    event!(target: "ebbtide", Level::DEBUG, phase, tardy, "phase done");
}

pub(crate) fn handler(name: &str, phase: Phase) -> Entered {
    span!(target: "ebbtide", Level::INFO, "handler", name, phase = phase.name()).entered()
}

pub(crate) fn handler_ended(outcome: &HandlerOutcome) {
    match outcome {
        HandlerOutcome::Finished => {
            event!(target: "ebbtide", Level::DEBUG, "handler finished");
        }
        HandlerOutcome::Panicked(message) => {
            let panic = message.as_str();
            event!(target: "ebbtide", Level::ERROR, panic, "handler panicked");
        }
        HandlerOutcome::Abandoned => {
            event!(target: "ebbtide", Level::WARN, "handler abandoned");
        }
        HandlerOutcome::Skipped => event!(target: "ebbtide", Level::WARN, "handler skipped"),
    }
}

pub(crate) fn resource(name: &str) -> Entered {
    span!(target: "ebbtide", Level::INFO, "resource", name).entered()
}

pub(crate) fn resource_ended(result: &Result<(), String>) {
    match result {
        Ok(()) => event!(target: "ebbtide", Level::DEBUG, "resource closed"),
        Err(error) => {
            let error = error.as_str();
            event!(target: "ebbtide", Level::ERROR, error, "resource failed");
        }
    }
}

pub(crate) fn resource_given_up(name: impl FnOnce() -> String, why: &str) {
    let name = name();
    let name = name.as_str();
    event!(target: "ebbtide", Level::WARN, name, why, "resource given up");
}

pub(crate) fn initiated(scope: &Scope, initiation: Initiation, request: &ShutdownRequest) {
    let part = match initiation {
        Initiation::Drives => "drives",
        Initiation::Merged => "merged",
        Initiation::Over => "over",
    };
    let (mode, reason) = (request.ask().mode.name(), request.text());
    let budget_ms = request.ask().budget_millis;
    let runner = runner_of(scope);
    event!(
        target: "ebbtide", Level::INFO, runner, part, mode, budget_ms, reason,
        "shutdown initiated"
    );
}

pub(crate) fn escalated(scope: &Scope, before: Mode, mode: Mode) {
    let (runner, before, mode) = (runner_of(scope), before.name(), mode.name());
    event!(target: "ebbtide", Level::INFO, runner, before, mode, "shutdown escalated");
}

pub(crate) fn extended(scope: &Scope, granted: Duration) {
    let (runner, granted_us) = (runner_of(scope), micros(granted));
    event!(target: "ebbtide", Level::INFO, runner, granted_us, "shutdown extended");
}

pub(crate) fn cancelled(scope: &Scope) {
    let runner = runner_of(scope);
    event!(target: "ebbtide", Level::INFO, runner, "shutdown cancelled");
}

pub(crate) fn owner_died(lock: impl FnOnce() -> String) {
    let lock = lock();
    let lock = lock.as_str();
    event!(target: "ebbtide", Level::WARN, lock, "lock taken over: its owner died");
}

fn runner_of(scope: &Scope) -> Option<&str> {
    match scope {
        Scope::All => None,
        Scope::Runner(id) => Some(id),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The deaths that this attachment has noticed. They are written down where the algorithms
/// ask who lives, and told by the calls that wait, outside of any protocol.
pub(crate) struct Deaths {
    /// For each process slot: 0, or its last holder that was seen dead.
    slots: [AtomicU64; MAX_PROCESSES],
    /// Whether there may be something to tell.
    any: AtomicBool,
}

/// Its death is to be told. Below it the pid, above it the holder's generation, plus one.
const NEW: u64 = 1 << 32;

/// A holder of a process slot, by low bits of its generation, as a number that is not 0.
fn holder(generation: u64) -> u64 {
    ((generation & 0x3fff_ffff) + 1) << 33
}

impl Default for Deaths {
    fn default() -> Self {
        Self {
            slots: [const { AtomicU64::new(0) }; MAX_PROCESSES],
            any: AtomicBool::new(false),
        }
    }
}

impl std::fmt::Debug for Deaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deaths").finish_non_exhaustive()
    }
}

impl Deaths {
    /// A look found the holder of a process slot dead; `whose` tells its generation and pid.
    pub(crate) fn saw(&self, process: usize, whose: impl FnOnce() -> Option<(u64, u32)>) {
        let (Some(slot), Some((generation, pid))) = (self.slots.get(process), whose()) else {
            return;
        };
        let holder = holder(generation);
        let seen = slot.load(Ordering::Relaxed);
        let new = holder | NEW | u64::from(pid);
        if seen >> 33 != holder >> 33
            && slot
                .compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            // Publishes the slot to whoever tells.
            self.any.store(true, Ordering::Release);
        }
    }

    /// Tells of each that was not told of.
    pub(crate) fn tell(&self, tables: &Tables) {
        if !self.any.load(Ordering::Relaxed) || !self.any.swap(false, Ordering::Acquire) {
            return;
        }
        for slot in &self.slots {
            let seen = slot.load(Ordering::Relaxed);
            let told = seen & !NEW;
            if seen & NEW == 0
                || slot
                    .compare_exchange(seen, told, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            let pid = seen as u32;
            let group = &tables.group;
            // By what the runner itself wrote: its process slot may be another's by now.
            let runner = (0..group.used()).find(|slot| {
                let runner = &group.runners[*slot];
                runner.pid.load(Ordering::Relaxed) == u64::from(pid)
                    && !matches!(
                        group.member(*slot).state(),
                        Ok(crate::table::member::State::Free) | Err(_)
                    )
            });
            let id = runner.and_then(|slot| Some(tables.texts.get(slot)?.id.read().0));
            let runner = id.as_deref();
            event!(target: "ebbtide", Level::WARN, pid, runner, "process died");
        }
    }
}
