//! The cleanup of one runner: drain all, then close all in order, within one deadline.
//!
//! A resource goes Active → Draining → Closing → Closed or Failed; each step is one
//! compare-and-swap in the segment, so a closure that was given up cannot undo what was
//! decided, and nothing runs twice: who takes a closure out runs it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::api::resource::entries::{Shared, lock};
use crate::api::resource::report::CleanupReport;
use crate::api::resource::run_one::{caught, spawn};
use crate::limits;
use crate::table::resources::{Blocked, Key, Moved, State};

/// The cleanup under way, or the last one.
#[derive(Debug, Default)]
pub(crate) struct Run {
    is_on: bool,
    report: Option<CleanupReport>,
}

/// What a thread tells the cleanup it works for.
pub(super) enum News {
    /// The deadline has moved.
    Nudge,
    /// Its cleanup has begun: its own time runs.
    Began(Key),
    Done(Key),
    /// Its time ran out while this one still depended on it.
    BlockedBy(Key, Key),
}

/// One that runs.
struct Running {
    key: Key,
    /// When it is given up, once its cleanup has begun.
    limit: Option<u64>,
    is_force: bool,
}

/// Ends the run whatever happens, so that nobody who joined waits for ever.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        lock(&self.0.run).is_on = false;
        self.0.ended.notify_all();
    }
}

impl Shared {
    /// Closes everything that is open, or joins whoever is at it. `left` is how long it
    /// may still take, asked again and again.
    pub(crate) fn cleanup(self: &Arc<Self>, left: &dyn Fn() -> Duration) -> CleanupReport {
        let mut run = lock(&self.run);
        if run.is_on {
            // The earliest deadline holds for all.
            self.cap.fetch_min(self.after(left()), Ordering::AcqRel);
            if let Some(tell) = lock(&self.nudge).as_ref() {
                let _ = tell.send(News::Nudge);
            }
            while run.is_on {
                run = self.ended.wait(run).unwrap_or_else(PoisonError::into_inner);
            }
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
        self.drain(&left);
        self.close_all(&left);
        let report = CleanupReport {
            took: begin.elapsed(),
            resources: self.reports(),
        };
        lock(&self.run).report = Some(report.clone());
        drop(ending);
        report
    }

    fn after(&self, time: Duration) -> u64 {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.now().saturating_add(micros)
    }

    /// Has every active resource refuse what is new and runs the drain closures, in order.
    /// False if one of them was left behind.
    pub(crate) fn drain(&self, left: &dyn Fn() -> Duration) -> bool {
        self.mark_dropped();
        // All at once: from now on nothing new can come to depend on any of them.
        let mut due = self.in_order();
        due.retain(|key| {
            let from = [State::Active];
            self.table()
                .move_to(*key, &from, State::Draining, self.now())
                == Moved::Done
        });
        let mut in_time = true;
        for key in due {
            let entries = self.entries();
            let entry = entries.iter().find(|entry| entry.key == key);
            let Some(drain) = entry.and_then(|entry| entry.drain.clone()) else {
                continue;
            };
            drop(entries);
            let Some((name, time)) = self.plan_of(key) else {
                continue;
            };
            self.announce(&format!("draining {name}"));
            let closure = Box::new(move |context: &_| match drain.try_lock() {
                Ok(mut drain) => drain(context),
                Err(std::sync::TryLockError::Poisoned(drain)) => drain.into_inner()(context),
                Err(std::sync::TryLockError::WouldBlock) => Err("still draining".into()),
            });
            match self.run_within(&name, time, left, closure) {
                Ok(Some(())) => {}
                Ok(None) => {
                    in_time = false;
                    self.note(key, "its drain was left behind".into());
                }
                Err(error) => self.note(key, format!("drain: {error}")),
            }
            self.announce("");
        }
        in_time
    }

    /// The shutdown was called off: what was drained is in use again.
    pub(crate) fn undrain(&self) {
        for entry in self.entries().iter() {
            let from = [State::Draining];
            let _ = self
                .table()
                .move_to(entry.key, &from, State::Active, self.now());
        }
    }

    fn close_all(self: &Arc<Self>, left: &dyn Fn() -> Duration) {
        let mut waiting: VecDeque<Key> = self.in_order().into();
        let mut running: Vec<Running> = Vec::new();
        let (tell, news) = mpsc::channel();
        *lock(&self.nudge) = Some(tell.clone());
        let slice = Duration::from_micros(limits::WAIT_BOUND_MICROS);
        loop {
            let time = left();
            self.until.store(self.after(time), Ordering::Release);
            if time.is_zero() {
                return self.cut(waiting, &running);
            }
            self.start_some(&mut waiting, &mut running, &tell);
            if running.is_empty() {
                return;
            }
            self.announce_all(&running);
            let next = running.iter().filter_map(|one| one.limit).min();
            let next = next.map_or(slice, |limit| {
                Duration::from_micros(limit.saturating_sub(self.now()))
            });
            match news.recv_timeout(next.min(time).min(slice)) {
                Ok(News::Began(key)) => {
                    let own = self.plan_of(key).and_then(|(_, time)| time);
                    for one in running.iter_mut().filter(|one| one.key == key) {
                        one.limit = own.map(|time| self.after(time));
                    }
                }
                Ok(News::Nudge) => {}
                Ok(News::Done(key)) => running.retain(|one| one.key != key),
                Ok(News::BlockedBy(key, by)) => {
                    let who = self.view().full_name(by);
                    running.retain(|one| one.key != key);
                    running.extend(self.give_up(key, &format!("it waited for {who}"), &tell));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.give_up_late(&mut running, &tell);
                }
            }
            if running.is_empty() && waiting.is_empty() {
                self.announce("");
                return;
            }
        }
    }

    /// Starts what may start, up to the limit, in order.
    fn start_some(
        self: &Arc<Self>,
        waiting: &mut VecDeque<Key>,
        running: &mut Vec<Running>,
        tell: &Sender<News>,
    ) {
        let limit = self.parallel.load(Ordering::Relaxed).max(1);
        let mut at = 0;
        while running.len() < limit && at < waiting.len() {
            let key = waiting[at];
            let needed_by = |other: Key| {
                other != key && self.table().dependencies(other.index).any(|on| on == key)
            };
            let is_needed = waiting.iter().copied().any(needed_by)
                || running.iter().any(|one| needed_by(one.key));
            if is_needed {
                at += 1;
                continue;
            }
            waiting.remove(at);
            if self.start(key, tell) {
                running.push(Running {
                    key,
                    limit: None,
                    is_force: false,
                });
            }
        }
    }

    /// Has a thread wait for the dependents of other runners, then close it.
    fn start(self: &Arc<Self>, key: Key, tell: &Sender<News>) -> bool {
        let Some((name, time)) = self.plan_of(key) else {
            return false;
        };
        let cleanup = self
            .entries()
            .iter_mut()
            .find(|entry| entry.key == key)
            .and_then(|entry| entry.cleanup.take());
        // Weak: a cleanup that never ends must not keep this process attached.
        let (weak, tell, called) = (Arc::downgrade(self), tell.clone(), name.clone());
        let work = move || {
            let Some(shared) = weak.upgrade() else { return };
            let news = shared.await_dependents(key);
            if let Some(news) = news {
                drop(shared);
                let _ = tell.send(news);
                return;
            }
            let _ = tell.send(News::Began(key));
            let left = shared.left_for_threads();
            let context = shared.context(&called, time.map_or(left, |time| time.min(left)));
            drop(shared);
            let result = match cleanup {
                Some(cleanup) => caught(|| cleanup(&context)),
                None => Ok(()),
            };
            if let Some(shared) = weak.upgrade() {
                shared.closed(key, result);
            }
            let _ = tell.send(News::Done(key));
        };
        match spawn(&name, work) {
            Ok(()) => true,
            Err(error) => {
                self.note(key, error);
                let from = [State::Draining];
                let _ = self.table().move_to(key, &from, State::Failed, self.now());
                false
            }
        }
    }

    /// Blocks until nothing depends on it any more and it is Closing; else what came of it.
    fn await_dependents(&self, key: Key) -> Option<News> {
        let until = || self.until.load(Ordering::Acquire);
        let table = self.table();
        match table.wait_dependents(key, self.core().as_ref(), until) {
            Blocked::No => {}
            Blocked::By(other) => return Some(News::BlockedBy(key, other)),
            // It was given up, and whoever did that goes on by himself.
            Blocked::Moved => return Some(News::Done(key)),
        }
        let begun = table.move_to(key, &[State::Draining], State::Closing, self.now());
        (begun != Moved::Done).then_some(News::Done(key))
    }

    fn left_for_threads(&self) -> Duration {
        let until = self.until.load(Ordering::Acquire);
        Duration::from_micros(until.saturating_sub(self.now()))
    }

    /// A cleanup has come to its end, in time or not.
    fn closed(&self, key: Key, result: Result<(), String>) {
        let to = match &result {
            Ok(()) => State::Closed,
            Err(_) => State::Failed,
        };
        // Before the state: whoever sees that knows why.
        if let Err(error) = result {
            self.note(key, error);
        }
        let now = self.now();
        if let Moved::Was(State::TimedOut) = self.table().move_to(key, &[State::Closing], to, now) {
            self.table().finish_late(key, now);
        }
    }

    /// Gives those up whose own time is over.
    fn give_up_late(self: &Arc<Self>, running: &mut Vec<Running>, tell: &Sender<News>) {
        let now = self.now();
        let is_late = |one: &mut Running| one.limit.is_some_and(|limit| limit <= now);
        let late: Vec<_> = running.extract_if(.., is_late).collect();
        for one in late {
            if one.is_force {
                self.note(one.key, "its force closure was left behind".into());
            } else {
                running.extend(self.give_up(one.key, "it overran its timeout", tell));
            }
        }
    }

    /// Marks a resource TimedOut and starts its force closure. `None` if nothing is to be
    /// waited for.
    fn give_up(self: &Arc<Self>, key: Key, why: &str, tell: &Sender<News>) -> Option<Running> {
        let open = [State::Active, State::Draining, State::Closing];
        // Before the state, as in `closed`; it may end in time after all.
        let moved = self
            .table()
            .move_to(key, &open, State::TimedOut, self.now());
        if moved != Moved::Done {
            return None;
        }
        self.note(key, why.into());
        let force = self
            .entries()
            .iter_mut()
            .find(|entry| entry.key == key)
            .and_then(|entry| entry.force.take())?;
        let (name, time) = self.plan_of(key)?;
        let left = self
            .until
            .load(Ordering::Acquire)
            .saturating_sub(self.now());
        let left = Duration::from_micros(left);
        let context = self.context(&name, time.map_or(left, |time| time.min(left)));
        let (shared, tell) = (Arc::clone(self), tell.clone());
        let started = spawn(&name, move || {
            if let Err(error) = caught(|| force(&context)) {
                shared.note(key, format!("force: {error}"));
            }
            let _ = tell.send(News::Done(key));
        });
        if let Err(error) = started {
            self.note(key, error);
            return None;
        }
        Some(Running {
            key,
            limit: time.map(|time| self.after(time)),
            is_force: true,
        })
    }

    /// The deadline of all has passed: whatever is open is given up.
    fn cut(self: &Arc<Self>, waiting: VecDeque<Key>, running: &[Running]) {
        let (tell, _) = mpsc::channel();
        let running = running.iter().filter(|one| !one.is_force);
        for key in running.map(|one| one.key).chain(waiting) {
            let blocker = self.table().blocker(key, self.core().as_ref());
            let why = match blocker.map(|by| self.view().full_name(by)) {
                Some(who) => format!("the deadline passed while {who} needed it"),
                None => "the deadline of the cleanup passed".into(),
            };
            let _ = self.give_up(key, &why, &tell);
        }
        self.announce("");
    }

    fn announce_all(&self, running: &[Running]) {
        let names: Vec<String> = running
            .iter()
            .filter_map(|one| Some(self.plan_of(one.key)?.0))
            .collect();
        self.announce(&format!("closing {}", names.join(", ")));
    }
}
