//! A process's life in a segment: its attachment and its keeper thread.
//!
//! The keeper holds the life word that stands for the whole process, so user threads may
//! come and go. It sleeps on the inbox in the process's slot, a futex that other processes
//! reach, until there is something for it:
//!
//! - an order of this process: to watch the group's shutdown on behalf of a runner that
//!   acknowledged by hand and waits no further (somebody who resolved a laggard must go on
//!   looking, or the death of the next one goes unseen), or to stop;
//! - word that the process has lost its life byte (see `own_lock/mod.rs`).
//!
//! Orders themselves are kept in this process: a message says only that there is something.
//! While it watches, the inbox is one of the words that it sleeps on. It wakes each second,
//! for a sender that was killed before its wake, and, without life words, for the descriptor.
//! Once the slot is another's, so is the inbox: the keeper parks until it is to stop.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::api::core::Core;
use crate::api::exiting;
use crate::api::handlers::Handlers;
use crate::api::reactor::{Interest, Reactor};
use crate::api::seat::Seat;
use crate::api::standing::{Patience, Standing, take};
use crate::api::threads;
use crate::error::{CoordinationError, SegmentError};
use crate::limits::WAIT_BOUND_MICROS;
use crate::segment::refused;
use crate::sync::{Env, Mem, Real};
use crate::table::group::Look;
use crate::table::slots::{LOCK_LOST, ORDER};

/// Shared by every handle of one attachment.
#[derive(Debug)]
pub(crate) struct Session {
    core: Arc<Core>,
    keeper: Mutex<Option<Keeper>>,
    /// The runner slot whose own scope the keeper may be asleep on.
    watched: AtomicUsize,
    pub(crate) handlers: Handlers,
    /// Runners of this attachment whose handles stand.
    runners: Mutex<Vec<Weak<Standing>>>,
    /// Waits for futures and descriptors.
    reactor: Reactor,
}

#[derive(Debug)]
struct Keeper {
    orders: Arc<Orders>,
    done: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

/// What the keeper is notified of, and what it reports.
#[derive(Debug, Default)]
struct Orders {
    /// Runner slots: to watch the group, and their own scopes.
    watch: Mutex<Vec<usize>>,
    stop: AtomicBool,
    /// It keeps its life word when it stops.
    stays: AtomicBool,
    /// It does nothing any more.
    halted: AtomicBool,
}

impl Orders {
    fn watch(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the end of a process waits for what its keeper is at; some microseconds do.
const LAST_STEP: Duration = Duration::from_secs(1);
/// How often a keeper that is to stop is woken: it may have been about to sleep.
const WAKE_AGAIN: Duration = Duration::from_millis(1);

impl Session {
    /// Starts the keeper and makes the process slot live.
    pub(crate) fn start(core: Arc<Core>) -> Result<Arc<Self>, SegmentError> {
        let (ready, is_ready) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let orders = Arc::new(Orders::default());
        let thread = {
            let (seated, orders) = (Arc::clone(&core), Arc::clone(&orders));
            std::thread::Builder::new()
                .name("ebbtide-keeper".into())
                .spawn(move || {
                    match Seat::take_as_keeper(&seated) {
                        Ok(seat) => {
                            let _ = ready.send(Ok(()));
                            keep(&seated, &orders);
                            orders.halted.store(true, Ordering::Release);
                            while orders.stays.load(Ordering::Acquire) {
                                std::thread::park();
                            }
                            drop(seat);
                        }
                        Err(error) => {
                            let _ = ready.send(Err(error));
                        }
                    }
                    drop(seated);
                    let _ = finished.send(());
                })
                .map_err(|source| {
                    refused("start the keeper thread of", core.opened().path(), source)
                })?
        };
        match is_ready.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let _ = thread.join();
                return Err(error);
            }
            Err(_) => {
                return Err(SegmentError::Corrupt {
                    what: "the keeper thread ended before it was ready".into(),
                });
            }
        }
        let session = Arc::new(Self {
            core,
            watched: AtomicUsize::new(usize::MAX),
            keeper: Mutex::new(Some(Keeper {
                orders,
                done,
                thread,
            })),
            handlers: Handlers::default(),
            runners: Mutex::default(),
            reactor: Reactor::default(),
        });
        exiting::stands(&session);
        Ok(session)
    }

    /// The process exits, and this attachment stands. Lets the keeper finish what it is at,
    /// such as telling of a death that it has just counted out, and keeps it from more; it
    /// holds its life word until the kernel marks it. Runs when thread-locals may be gone.
    /// False if it was at it for longer than is waited.
    pub(crate) fn rest(&self) -> bool {
        if self.core.is_forked() {
            return true;
        }
        let Some(keeper) = self.keeper.try_lock().ok().and_then(|mut it| it.take()) else {
            return true;
        };
        let mut is_at_rest = true;
        if self.watched.load(Ordering::Acquire) != usize::MAX {
            let orders = &keeper.orders;
            orders.stays.store(true, Ordering::Release);
            orders.stop.store(true, Ordering::Release);
            let until = Instant::now() + LAST_STEP;
            while !orders.halted.load(Ordering::Acquire) && Instant::now() < until {
                self.wake_keeper();
                keeper.thread.thread().unpark();
                std::thread::sleep(WAKE_AGAIN);
            }
            is_at_rest = orders.halted.load(Ordering::Acquire);
        }
        std::mem::forget((keeper.done, keeper.thread));
        is_at_rest
    }

    /// A runner of this attachment, which leaves when the process exits.
    pub(super) fn stands(&self, runner: &Arc<Standing>) {
        if let Some(mut runners) = take(&self.runners, Patience::Any) {
            runners.retain(|runner| runner.strong_count() > 0);
            runners.push(Arc::downgrade(runner));
        }
    }

    /// The process exits: every runner whose handle nobody drops leaves, as a dropped one
    /// does. One whose locks cannot be had dies with the process.
    pub(super) fn leave_in_exit(&self) {
        if self.core.is_forked() || self.core.is_spent() {
            return;
        }
        let Some(runners) = take(&self.runners, Patience::Exit) else {
            return;
        };
        for runner in runners.iter().filter_map(Weak::upgrade) {
            if runner.writing.end_in_exit() {
                runner.part(self, Patience::Exit);
            }
            // What it registered ends with the process: other threads may be using it.
            std::mem::forget(runner);
        }
    }

    /// Wakes the keeper: there is something for it.
    fn wake_keeper(&self) {
        if self.core.is_spent() {
            // It is another process's slot.
            return;
        }
        let processes = &self.core.tables().processes;
        processes.send(self.core.process(), ORDER);
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Has the waiting thread wait for something.
    pub(crate) fn wait_for(&self, interest: Box<dyn Interest>) -> Result<(), CoordinationError> {
        let system = |source| CoordinationError::System {
            operation: "start the waiting thread",
            source,
        };
        self.reactor.add(&self.core, interest).map_err(system)
    }

    /// Lets the keeper watch the shutdowns of the group and of a runner until they end.
    pub(crate) fn watch(&self, slot: usize) {
        self.watched.store(slot, Ordering::Release);
        if let Ok(keeper) = self.keeper.lock()
            && let Some(keeper) = keeper.as_ref()
        {
            keeper.orders.watch().push(slot);
            self.wake_keeper();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(keeper) = self.keeper.get_mut().ok().and_then(Option::take) else {
            return;
        };
        if self.core.is_forked() {
            // The keeper is a thread of the parent; there is nothing of it here.
            std::mem::forget(keeper);
            self.reactor.forget();
            return;
        }
        self.core.end();
        self.reactor.stop(&self.core);
        threads::forget(&self.core);
        let Keeper {
            orders,
            done,
            thread,
        } = keeper;
        orders.stop.store(true, Ordering::Release);
        // Once does. Again, because the inbox is in the segment, where anything may be
        // written over the message.
        loop {
            self.wake_keeper();
            thread.thread().unpark();
            match done.recv_timeout(WAKE_AGAIN) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let _ = thread.join();
    }
}

/// A word, and its value while there is nothing to look at.
type Beside<'a> = (<Real as Mem>::Cell<'a>, u32);

/// The keeper's rounds. Each empties the inbox first: what comes after that ends the sleep.
fn keep(core: &Core, orders: &Orders) {
    let processes = &core.tables().processes;
    let Some(inbox) = processes.inbox(core.process()) else {
        return;
    };
    let beside = (Real::cell(inbox), 0);
    let mut slots = Vec::new();
    loop {
        let messages = core.take_inbox();
        if orders.stop.load(Ordering::Acquire) {
            return;
        }
        let Some(messages) = messages else {
            std::thread::park();
            continue;
        };
        core.keep_lock(messages & LOCK_LOST != 0);
        for slot in orders.watch().drain(..) {
            if !slots.contains(&slot) {
                slots.push(slot);
            }
        }
        // A corrupt table ends the watching; a call that reads it returns the error.
        if !slots.is_empty() && watch_once(core, &slots, beside) == Some(true) {
            continue;
        }
        slots.clear();
        let bound = core.now().saturating_add(WAIT_BOUND_MICROS);
        let _ = Real::wait(beside.0, beside.1, bound);
    }
}

/// Advances what is due and sleeps while something waits, or until the word `beside` moves;
/// false when nothing waits.
fn watch_once(core: &Core, slots: &[usize], beside: Beside<'_>) -> Option<bool> {
    let group = &core.tables().group;
    let look = group.advance(core).ok()?;
    // The own scope that is forced first bounds the sleep.
    let mut first: Option<(usize, u64, Look<'_, Real>)> = None;
    for slot in slots {
        let own = group.advance_own(*slot, core).ok()?;
        if let Look::Blocked { until, .. } = own
            && first
                .as_ref()
                .is_none_or(|(_, earliest, _)| until < *earliest)
        {
            first = Some((*slot, until, own));
        }
    }
    match (&look, first) {
        (Look::Blocked { .. }, own) => {
            let until = own.map_or(u64::MAX, |(_, until, _)| until);
            group.sleep(&group.scope, &look, Some(beside), core, until);
        }
        (Look::Idle(_), Some((slot, _, own))) => {
            let scope = &group.runners.get(slot)?.own;
            group.sleep(scope, &own, Some(beside), core, u64::MAX);
        }
        (Look::Idle(_), None) => return Some(false),
    }
    Some(true)
}
