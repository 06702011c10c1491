//! Closing the resources of one runner in order, by one loop of looks and sleeps.
//!
//! Each turn starts what may start: nothing of ours or of other runners depends on it any
//! more, its drain has ended, and there is room. What must wait for others takes no room.
//! Then it sleeps on the words of all that it waits for at once: the ends of closures,
//! dependents of other runners and their owners' lives, and the shutdowns that bound it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::api::closure::{caught, spawn};
use crate::api::resource::entries::Shared;
use crate::api::resource::news::Ended;
use crate::api::resource::options::Once;
use crate::api::resource::patience::Patience;
use crate::api::trace;
use crate::limits::{MAX_WAIT_WORDS, PORTABLE_POLL_MICROS, WAIT_BOUND_MICROS};
use crate::sync::{Mem, Real, life};
use crate::table::failures::{FailureKind, FailureSource};
use crate::table::resources::{Dependents, Key, Moved, State};

type Cell<'c> = <Real as Mem>::Cell<'c>;

/// One whose closure runs.
struct Running {
    key: Key,
    /// When it is given up.
    limit: Option<u64>,
    is_force: bool,
}

/// What is still to be done, in order.
pub(super) struct Closing<'s> {
    shared: &'s Arc<Shared>,
    waiting: Vec<Key>,
    running: Vec<Running>,
    patience: Patience,
    /// What was announced last; saying it again would reset its time.
    said: String,
}

/// What a turn sleeps on.
struct Sleep<'c> {
    cells: Vec<(Cell<'c>, u32)>,
    lives: Vec<&'c AtomicU32>,
    until: u64,
    /// Who of another runner something waits for.
    blocker: Option<(Key, Key)>,
}

impl<'s> Closing<'s> {
    pub(super) fn new(shared: &'s Arc<Shared>) -> Self {
        Self {
            shared,
            waiting: shared.in_order(),
            running: Vec::new(),
            patience: Patience::default(),
            said: String::new(),
        }
    }

    /// Closes all, or gives up what is left when `left` says that the time is up.
    pub(super) fn run(mut self, left: &dyn Fn() -> Duration) {
        let shared = self.shared;
        // Each turn follows a move of a word, a wake-up, or a bounded sleep.
        loop {
            // Before the looks: what changes after this ends the sleep.
            let mut cells = vec![shared.news.watch()];
            cells.extend(shared.control_cells());
            for ended in shared.news.take() {
                let is_it =
                    |one: &mut Running| (one.key, one.is_force) == (ended.key, ended.is_force);
                self.running.extract_if(.., is_it).for_each(drop);
            }
            let time = left();
            let now = shared.now();
            shared.until.store(shared.after(time), Ordering::Release);
            if time.is_zero() {
                self.cut();
                break;
            }
            self.give_up_late();
            self.patience.see(now, time);
            let mut sleep = Sleep {
                cells,
                lives: Vec::new(),
                until: shared
                    .after(time)
                    .min(now.saturating_add(WAIT_BOUND_MICROS)),
                blocker: None,
            };
            self.start_some(&mut sleep);
            if self.running.is_empty() && self.waiting.is_empty() {
                break;
            }
            self.announce(None, sleep.blocker);
            for limit in self.running.iter().filter_map(|one| one.limit) {
                sleep.until = sleep.until.min(limit);
            }
            if sleep.cells.len() > MAX_WAIT_WORDS {
                sleep.soon(now);
            }
            Real::wait_any(&sleep.cells, sleep.until);
            life::pass_on::<Real>(sleep.lives);
        }
        shared.announce("");
    }

    /// Starts what may start, up to the limit, in order; what may not yet, is slept on.
    fn start_some<'c>(&mut self, sleep: &mut Sleep<'c>)
    where
        's: 'c,
    {
        let shared = self.shared;
        let limit = shared.parallel.load(Ordering::Relaxed).max(1);
        let table = shared.table();
        let mut at = 0;
        while self.running.len() < limit && at < self.waiting.len() {
            let key = self.waiting[at];
            let needed_by = |other: Key| other != key && table.depends(other.index, key);
            let is_needed = self.waiting.iter().copied().any(needed_by)
                || self.running.iter().any(|one| needed_by(one.key));
            if is_needed || shared.is_draining(key) {
                at += 1;
                continue;
            }
            match table.look_at_dependents(key, shared.core().as_ref()) {
                Dependents::Alive {
                    key: by,
                    cells,
                    life,
                } => {
                    if shared.in_shutdown.load(Ordering::Acquire) {
                        if shared.gives_up_waiting(&self.patience, by) {
                            let who = shared.view().full_name(by);
                            let text = "which still needed it and did not close in time";
                            let cause = format!("closed before {who}, {text}");
                            let kind = FailureKind::OutOfOrder;
                            shared.note(key, FailureSource::Cleanup, kind, &cause);
                            self.begin(at);
                            continue;
                        }
                        let next = self.patience.next(shared.now());
                        sleep.until = next.map_or(sleep.until, |next| sleep.until.min(next));
                    }
                    sleep.cells.extend(cells);
                    match life {
                        Some((word, armed)) => {
                            sleep.cells.push((Real::cell(word), armed));
                            sleep.lives.push(word);
                        }
                        // Nothing would tell of its death.
                        None => sleep.soon(shared.now()),
                    }
                    sleep.blocker.get_or_insert((key, by));
                    at += 1;
                }
                Dependents::None => self.begin(at),
                // Given up or taken off the list meanwhile.
                Dependents::Moved => {
                    self.waiting.remove(at);
                }
            }
        }
    }

    /// Starts one of those that wait.
    fn begin(&mut self, at: usize) {
        let key = self.waiting.remove(at);
        // Before its closure runs: that may be where we hang.
        self.announce(Some(key), None);
        self.running.extend(self.shared.start(key));
    }

    /// Gives those up whose own time is over.
    fn give_up_late(&mut self) {
        let now = self.shared.now();
        let is_late = |one: &mut Running| one.limit.is_some_and(|limit| limit <= now);
        let late: Vec<_> = self.running.extract_if(.., is_late).collect();
        for one in late {
            if one.is_force {
                let text = "its force closure was left behind";
                let (source, kind) = (FailureSource::Force, FailureKind::Abandoned);
                self.shared.note(one.key, source, kind, text);
            } else {
                let forced = self.shared.give_up(one.key, "it overran its timeout");
                self.running.extend(forced);
            }
        }
    }

    /// The deadline of all has passed: whatever is open is given up.
    fn cut(&mut self) {
        let shared = self.shared;
        let running = self.running.iter().filter(|one| !one.is_force);
        for key in running.map(|one| one.key).chain(self.waiting.drain(..)) {
            let blocker = shared.table().blocker(key, shared.core().as_ref());
            let why = match blocker.map(|by| shared.view().full_name(by)) {
                Some(who) => format!("the deadline passed while {who} needed it"),
                None => "the deadline of the cleanup passed".into(),
            };
            let _ = shared.give_up(key, &why);
        }
    }

    /// Says what is being closed: what runs, and what is about to.
    fn announce(&mut self, starting: Option<Key>, blocker: Option<(Key, Key)>) {
        let shared = self.shared;
        let name = |key| Some(shared.plan_of(key)?.0);
        let running = self.running.iter().map(|one| one.key).chain(starting);
        let running: Vec<_> = running.filter_map(name).collect();
        let text = match (running.is_empty(), blocker) {
            (true, Some((key, by))) => format!(
                "closing {} after {}",
                name(key).unwrap_or_default(),
                shared.view().full_name(by)
            ),
            (true, None) => String::new(),
            (false, _) => format!("closing {}", running.join(", ")),
        };
        if text != self.said {
            shared.announce(&text);
            self.said = text;
        }
    }
}

impl Sleep<'_> {
    /// Wake up soon, because no word would tell.
    fn soon(&mut self, now: u64) {
        self.until = self.until.min(now.saturating_add(PORTABLE_POLL_MICROS));
    }
}

impl Shared {
    /// Makes it Closing, and has a thread run its cleanup. `None` if nothing runs.
    fn start(self: &Arc<Self>, key: Key) -> Option<Running> {
        let begun = self.move_to(key, &[State::Draining], State::Closing, self.now());
        if begun != Moved::Done {
            return None;
        }
        // Not before: one that is not Closing may yet be called back, with its closure.
        let cleanup = self.take(key, |entry| entry.cleanup.take());
        let Some((cleanup, (name, time))) = cleanup.zip(self.plan_of(key)) else {
            self.closed(key, Ok(()));
            return None;
        };
        let left = self.left_for_threads();
        let time = time.map(|time| time.min(left));
        let context = self.context(&name, time.unwrap_or(left));
        // Weak: a cleanup that never ends must not keep this process attached.
        let (weak, news) = (Arc::downgrade(self), Arc::clone(&self.news));
        let around = trace::Carried::here();
        let started = spawn(&name, self.whose(), move || {
            let run = || {
                let _span = trace::resource(&context.name);
                let result = caught(|| cleanup(&context));
                trace::resource_ended(&result);
                result
            };
            // Whatever is told of it, its end must be.
            let result = caught(|| around.within(run));
            if let Some(shared) = weak.upgrade() {
                shared.closed(key, result);
            }
            news.tell(Ended {
                key,
                is_force: false,
            });
        });
        if let Err(error) = started {
            self.closed(key, Err(error));
            return None;
        }
        Some(Running {
            key,
            limit: time.map(|time| self.after(time)),
            is_force: false,
        })
    }

    /// A cleanup has come to its end, in time or not.
    fn closed(&self, key: Key, result: Result<(), String>) {
        let to = match &result {
            Ok(()) => State::Closed,
            Err(_) => State::Failed,
        };
        // Before the state: whoever sees that knows why.
        if let Err(error) = result {
            self.note_error(key, FailureSource::Cleanup, &error);
        }
        let now = self.now();
        if let Moved::Was(State::TimedOut) = self.end(key, &[State::Closing], to, now) {
            self.table().finish_late(key, now);
        }
    }

    /// Marks a resource TimedOut and starts its force closure. `None` if nothing is to be
    /// waited for.
    fn give_up(self: &Arc<Self>, key: Key, why: &str) -> Option<Running> {
        let open = [State::Active, State::Draining, State::Closing];
        let moved = self.end(key, &open, State::TimedOut, self.now());
        // It may have ended in time after all.
        if moved != Moved::Done {
            return None;
        }
        self.note(key, FailureSource::Cleanup, FailureKind::Abandoned, why);
        trace::resource_given_up(|| self.view().full_name(key), why);
        let force = self.take(key, |entry| entry.force.take())?;
        let (name, time) = self.plan_of(key)?;
        let left = self.left_for_threads();
        let context = self.context(&name, time.map_or(left, |time| time.min(left)));
        // Weak, as for a cleanup.
        let (weak, news) = (Arc::downgrade(self), Arc::clone(&self.news));
        let started = spawn(&name, self.whose(), move || {
            if let Err(error) = caught(|| force(&context))
                && let Some(shared) = weak.upgrade()
            {
                shared.note_error(key, FailureSource::Force, &error);
            }
            news.tell(Ended {
                key,
                is_force: true,
            });
        });
        if let Err(error) = started {
            self.note_error(key, FailureSource::Force, &error);
            return None;
        }
        Some(Running {
            key,
            limit: time.map(|time| self.after(time)),
            is_force: true,
        })
    }

    /// Takes a closure out: who has it runs it.
    fn take(
        &self,
        key: Key,
        which: impl FnOnce(&mut crate::api::resource::entries::Entry) -> Option<Once>,
    ) -> Option<Once> {
        let mut entries = self.entries();
        which(entries.iter_mut().find(|entry| entry.key == key)?)
    }

    fn left_for_threads(&self) -> Duration {
        let until = self.until.load(Ordering::Acquire);
        Duration::from_micros(until.saturating_sub(self.now()))
    }
}
