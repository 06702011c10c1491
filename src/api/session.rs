//! A process's life in a segment: its attachment and its keeper thread.
//!
//! The keeper holds the life word that stands for the whole process, so user threads may
//! come and go. It sleeps until it is told something: to watch the group's shutdown on
//! behalf of a runner that acknowledged by hand and waits no further (somebody who
//! resolved a laggard must go on looking, or the death of the next one goes unseen), or
//! to stop.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::api::core::Core;
use crate::api::exiting;
use crate::api::handlers::Handlers;
use crate::api::reactor::{Interest, Reactor};
use crate::api::seat::Seat;
use crate::api::threads;
use crate::error::{CoordinationError, SegmentError};
use crate::segment::refused;
use crate::sync::Real;
use crate::table::group::Look;

/// Shared by every handle of one attachment.
#[derive(Debug)]
pub(crate) struct Session {
    core: Arc<Core>,
    keeper: Mutex<Option<Keeper>>,
    /// The runner slot whose own scope the keeper may be asleep on.
    watched: AtomicUsize,
    pub(crate) handlers: Handlers,
    /// Waits for futures and descriptors.
    reactor: Reactor,
}

#[derive(Debug)]
struct Keeper {
    orders: Sender<Order>,
    stop: Arc<AtomicBool>,
    /// It keeps its life word when it stops.
    stays: Arc<AtomicBool>,
    /// It does nothing any more.
    halted: Arc<AtomicBool>,
    done: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

/// How long the end of a process waits for what its keeper is at; some microseconds do.
const LAST_STEP: Duration = Duration::from_secs(1);
/// How often a keeper that is to stop is woken: it may have been about to sleep.
const WAKE_AGAIN: Duration = Duration::from_millis(1);

enum Order {
    /// The group, and the own scope of this runner slot.
    Watch(usize),
}

impl Session {
    /// Starts the keeper and makes the process slot live.
    pub(crate) fn start(core: Arc<Core>) -> Result<Arc<Self>, SegmentError> {
        let (orders, inbox) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let [stop, stays, halted] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let thread = {
            let (seated, stop) = (Arc::clone(&core), Arc::clone(&stop));
            let (stays, halted) = (Arc::clone(&stays), Arc::clone(&halted));
            std::thread::Builder::new()
                .name("ebbtide-keeper".into())
                .spawn(move || {
                    match Seat::take(&seated) {
                        Ok(seat) => {
                            seated
                                .tables()
                                .processes
                                .go_live(seated.process(), usize::from(seat.owner.slot));
                            let _ = ready.send(Ok(()));
                            keep(&seated, &inbox, &stop);
                            halted.store(true, Ordering::Release);
                            while stays.load(Ordering::Acquire) {
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
                stop,
                stays,
                halted,
                done,
                thread,
            })),
            handlers: Handlers::default(),
            reactor: Reactor::default(),
        });
        exiting::stands(&session);
        Ok(session)
    }

    /// The process exits, and this attachment stands. Lets the keeper finish what it is at,
    /// such as telling of a death that it has just counted out, and keeps it from more; it
    /// holds its life word until the kernel marks it. Runs when thread-locals may be gone.
    /// False if it was at it for longer than is waited.
    pub(super) fn rest(&self) -> bool {
        if self.core.is_forked() {
            return true;
        }
        let Some(keeper) = self.keeper.try_lock().ok().and_then(|mut it| it.take()) else {
            return true;
        };
        let mut is_at_rest = true;
        if self.watched.load(Ordering::Acquire) != usize::MAX {
            keeper.stays.store(true, Ordering::Release);
            keeper.stop.store(true, Ordering::Release);
            drop(keeper.orders);
            let until = Instant::now() + LAST_STEP;
            while !keeper.halted.load(Ordering::Acquire) && Instant::now() < until {
                self.wake_keeper();
                std::thread::sleep(WAKE_AGAIN);
            }
            is_at_rest = keeper.halted.load(Ordering::Acquire);
        }
        std::mem::forget((keeper.done, keeper.thread));
        is_at_rest
    }

    /// Wakes the keeper from whatever it watches.
    fn wake_keeper(&self) {
        let group = &self.core.tables().group;
        group.scope.wake_all();
        if let Some(runner) = group.runners.get(self.watched.load(Ordering::Acquire)) {
            runner.own.wake_all();
        }
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
        let before = self.watched.swap(slot, Ordering::AcqRel);
        if let Ok(keeper) = self.keeper.lock()
            && let Some(keeper) = keeper.as_ref()
        {
            let _ = keeper.orders.send(Order::Watch(slot));
        }
        if before != slot
            && let Some(runner) = self.core.tables().group.runners.get(before)
        {
            // It may be asleep on the own word of another.
            runner.own.wake_all();
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
            stop,
            done,
            thread,
            ..
        } = keeper;
        stop.store(true, Ordering::Release);
        drop(orders);
        // A watching keeper sleeps on a control word. It may be about to sleep when we
        // wake it, so wake until it answers; the first or second time does. One that
        // never watched is at its inbox, and nobody else's sleep is disturbed.
        let has_watched = self.watched.load(Ordering::Acquire) != usize::MAX;
        loop {
            if !has_watched {
                let _ = done.recv();
                break;
            }
            self.wake_keeper();
            match done.recv_timeout(WAKE_AGAIN) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let _ = thread.join();
    }
}

fn keep(core: &Core, inbox: &mpsc::Receiver<Order>, stop: &AtomicBool) {
    while let Ok(Order::Watch(slot)) = inbox.recv() {
        let mut slots = vec![slot];
        // A corrupt table ends the watching; who looks at it by a call gets the error.
        while watch_once(core, &slots) == Some(true) {
            if stop.load(Ordering::Acquire) {
                return;
            }
            for Order::Watch(slot) in inbox.try_iter() {
                if !slots.contains(&slot) {
                    slots.push(slot);
                }
            }
        }
    }
}

/// Advances what is due and sleeps while something waits; false when nothing does.
fn watch_once(core: &Core, slots: &[usize]) -> Option<bool> {
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
            group.sleep(&group.scope, &look, None, core, until);
        }
        (Look::Idle(_), Some((slot, _, own))) => {
            group.sleep(&group.runners.get(slot)?.own, &own, None, core, u64::MAX);
        }
        (Look::Idle(_), None) => return Some(false),
    }
    Some(true)
}
