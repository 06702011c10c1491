//! The cleanup of one runner: drain all, then close all (see `closing`), within one deadline.
//!
//! A resource goes Active → Draining → Closing → Closed or Failed; each step is one
//! compare-and-swap in the segment, so a closure that was given up cannot undo what was
//! decided, and nothing runs twice: who takes a closure out runs it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use crate::api::resource::closing::Closing;
use crate::api::resource::entries::{Shared, lock};
use crate::api::resource::report::CleanupReport;
use crate::limits;
use crate::sync::{Mem, Real};
use crate::table::failures::{FailureKind, FailureSource};
use crate::table::resources::{Key, Moved, State};

/// The cleanup under way, or the last one.
#[derive(Debug, Default)]
pub(crate) struct Run {
    is_on: bool,
    report: Option<CleanupReport>,
}

/// Ends the run whatever happens, so that nobody who joined waits for ever.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        lock(&self.0.run).is_on = false;
        self.0.news.poke();
    }
}

impl Shared {
    /// Closes everything that is open, or joins whoever is at it. `left` is how long it
    /// may still take, asked again and again. In a shutdown the wait for late runners ends
    /// before that; see `patience`.
    pub(crate) fn cleanup_in_shutdown(
        self: &Arc<Self>,
        left: &dyn Fn() -> Duration,
    ) -> CleanupReport {
        self.in_shutdown.store(true, Ordering::Release);
        let report = self.cleanup(left);
        self.in_shutdown.store(false, Ordering::Release);
        report
    }

    /// The same outside of a shutdown.
    pub(crate) fn cleanup(self: &Arc<Self>, left: &dyn Fn() -> Duration) -> CleanupReport {
        let mut run = lock(&self.run);
        if run.is_on {
            drop(run);
            run = self.join(left);
            if let Some(report) = &run.report {
                return report.clone();
            }
        }
        run.is_on = true;
        self.cap.store(u64::MAX, Ordering::Release);
        drop(run);
        let ending = Ending(self);
        let begin = Instant::now();
        let left = || {
            let cap = self.cap.load(Ordering::Acquire);
            left().min(Duration::from_micros(cap.saturating_sub(self.now())))
        };
        // As the phases share a budget: a drain that hangs leaves the cleanups their part.
        let [_, draining, closing] = limits::DEFAULT_SHARES.map(u32::from);
        let for_drains = || {
            let passed = begin.elapsed();
            let whole = passed.saturating_add(left());
            (whole / (draining + closing) * draining).saturating_sub(passed)
        };
        self.drain(&for_drains);
        Closing::new(self).run(&left);
        let report = CleanupReport {
            took: begin.elapsed(),
            resources: self.reports(),
        };
        lock(&self.run).report = Some(report.clone());
        drop(ending);
        report
    }

    /// Waits for the end of the cleanup under way. The earliest deadline holds for all.
    fn join(&self, left: &dyn Fn() -> Duration) -> MutexGuard<'_, Run> {
        /// Two looks at one deadline, as durations, differ by less.
        const SAME_MICROS: u64 = 1000;
        loop {
            let until = self.after(left());
            let before = self.cap.fetch_min(until, Ordering::AcqRel);
            if until < before.saturating_sub(SAME_MICROS) {
                self.news.poke();
            }
            // Before the look: what changes after this ends the sleep.
            let mut words = vec![self.news.watch()];
            words.extend(self.control_cells());
            let run = lock(&self.run);
            if !run.is_on {
                return run;
            }
            drop(run);
            let bound = self.now().saturating_add(limits::WAIT_BOUND_MICROS);
            Real::wait_any(&words, bound);
        }
    }

    pub(super) fn after(&self, time: Duration) -> u64 {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.now().saturating_add(micros)
    }

    /// Has every active resource refuse what is new and runs the drain closures, in order.
    /// False if one of them was left behind.
    pub(crate) fn drain(&self, left: &dyn Fn() -> Duration) -> bool {
        self.mark_dropped();
        // All at once: from now on nothing new can come to depend on any of them.
        let mut due = self.in_order();
        let mut entries = self.entries();
        due.retain(|key| {
            let from = [State::Active];
            let moved = self.move_to(*key, &from, State::Draining, self.now());
            let is_due = moved == Moved::Done;
            if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
                // Nobody closes it before its drain has ended.
                entry.is_draining |= is_due;
            }
            is_due
        });
        drop(entries);
        let mut in_time = true;
        for key in due {
            in_time &= self.drain_one(key, left);
            let mut entries = self.entries();
            if let Some(entry) = entries.iter_mut().find(|entry| entry.key == key) {
                entry.is_draining = false;
            }
            drop(entries);
            // A cleanup beside us may wait for it.
            self.news.poke();
        }
        in_time
    }

    /// False if its drain closure was left behind.
    fn drain_one(&self, key: Key, left: &dyn Fn() -> Duration) -> bool {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry.key == key);
        let Some(drain) = entry.and_then(|entry| entry.drain.clone()) else {
            return true;
        };
        drop(entries);
        let Some((name, time)) = self.plan_of(key) else {
            return true;
        };
        self.announce(&format!("draining {name}"));
        let closure = Box::new(move |context: &_| match drain.try_lock() {
            Ok(mut drain) => drain(context),
            Err(std::sync::TryLockError::Poisoned(drain)) => drain.into_inner()(context),
            Err(std::sync::TryLockError::WouldBlock) => Err("still draining".into()),
        });
        let in_time = match self.run_within(&name, time, left, closure) {
            Ok(Some(())) => true,
            Ok(None) => {
                let cause = "its drain was left behind";
                self.note(key, FailureSource::Drain, FailureKind::Abandoned, cause);
                false
            }
            Err(error) => {
                self.note_error(key, FailureSource::Drain, &error);
                true
            }
        };
        self.announce("");
        in_time
    }

    /// Whether somebody is about to drain it, or at it.
    pub(super) fn is_draining(&self, key: Key) -> bool {
        let entries = self.entries();
        entries
            .iter()
            .any(|entry| entry.key == key && entry.is_draining)
    }

    /// The shutdown was called off: what was drained is in use again, unless a cleanup is
    /// at it, which somebody has asked for whatever becomes of the shutdown.
    pub(crate) fn undrain(&self) {
        let run = lock(&self.run);
        if run.is_on {
            return;
        }
        for entry in self.entries().iter() {
            let from = [State::Draining];
            let _ = self.move_to(entry.key, &from, State::Active, self.now());
        }
    }
}
