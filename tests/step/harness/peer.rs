//! The survivor's part in an operation: everything it holds and does besides checking.

use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ebbtide::{
    BarrierError, BarrierPassed, CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent,
    CrossProcessLock, CrossProcessSemaphore, Delivery, Phase, Runner, Scope, Segment,
    SharedStateManager, ShutdownCoordinator, ShutdownRequest, Subscription,
};

use crate::harness::board::Board;
use crate::harness::place::{NAME, Place};
use crate::harness::stage::{BARRIER, CONDVAR, EVENT, LOCK, PERMITS, SAID, TURNSTILE, leak};

/// How long anything asked of the survivor may take: ten times the longest sleep that a
/// double fault can cost.
pub const BOUND: Duration = Duration::from_secs(10);

/// A survivor attached to the segment.
pub struct Peer {
    pub segment: Segment,
    pub board: &'static Board,
    pub lock: CrossProcessLock,
    pub condvar: CrossProcessCondvar,
    pub event: CrossProcessEvent,
    pub store: SharedStateManager,
    pub coordinator: ShutdownCoordinator,
    pub runner: Option<Runner>,
    heard: Subscription,
    turnstile: CrossProcessSemaphore,
    permits: CrossProcessSemaphore,
    barrier: CrossProcessBarrier,
    /// A thread that waits for something.
    helper: Option<JoinHandle<()>>,
    /// Gives back what this thread holds.
    held: Option<Box<dyn FnOnce()>>,
    /// Victims that are gone.
    pub kills: u64,
    /// The longest that anything took since it was last asked.
    pub longest: Duration,
    /// Locks taken over with the word that their owner died.
    pub told: u32,
}

impl Peer {
    pub fn enter(place: &Place, board: &'static Board) -> Self {
        let segment = place.options().open_or_create(NAME).expect("a segment");
        let event = CrossProcessEvent::open(&segment, EVENT).expect("an event");
        let semaphore = |name, permits| {
            CrossProcessSemaphore::open(&segment, name, permits).expect("a semaphore")
        };
        Self {
            board,
            lock: CrossProcessLock::open(&segment, LOCK).expect("a lock"),
            condvar: CrossProcessCondvar::open(&segment, CONDVAR).expect("a condvar"),
            heard: event.subscribe_from_now().expect("not forked"),
            event,
            store: SharedStateManager::open(&segment).expect("the shared state"),
            coordinator: ShutdownCoordinator::new(&segment),
            runner: None,
            turnstile: semaphore(TURNSTILE, 1),
            permits: semaphore(PERMITS.0, PERMITS.1),
            barrier: CrossProcessBarrier::open(&segment, BARRIER, 2).expect("a barrier"),
            helper: None,
            held: None,
            kills: 0,
            longest: Duration::ZERO,
            told: 0,
            segment,
        }
    }

    /// Does something and remembers if nothing took longer.
    pub fn timed<T>(&mut self, what: impl FnOnce(&mut Self) -> T) -> T {
        let begin = Instant::now();
        let done = what(self);
        self.longest = self.longest.max(begin.elapsed());
        done
    }

    /// Runs `body` on a thread of its own; returns when that says so.
    fn help(&mut self, body: impl FnOnce(&Sender<()>) + Send + 'static) {
        assert!(self.helper.is_none(), "one helper at a time");
        let (say, said) = mpsc::channel();
        self.helper = Some(thread::spawn(move || body(&say)));
        said.recv_timeout(BOUND)
            .expect("the helper is at its place");
    }

    /// The helper's end; its panic is ours.
    pub fn helper_ends(&mut self) {
        if let Some(helper) = self.helper.take() {
            self.timed(|_| helper.join())
                .expect("the helper finds all as it should be");
        }
    }

    /// This thread holds the lock until it lets go.
    pub fn hold_lock(&mut self) {
        let lock = leak(self.lock.clone());
        let guard = lock.lock_timeout(BOUND).expect("the lock");
        let board = self.board;
        board.enter(guard.previous_owner_died());
        self.held = Some(Box::new(move || {
            board.leave();
            drop(guard);
        }));
    }

    /// The same with the only permit.
    pub fn hold_permit(&mut self) {
        let turnstile = leak(self.turnstile.clone());
        let permit = turnstile.acquire_timeout(BOUND).expect("the permit");
        self.held = Some(Box::new(move || drop(permit)));
    }

    /// Gives back what this thread holds.
    pub fn let_go(&mut self) {
        if let Some(give_back) = self.held.take() {
            give_back();
        }
    }

    /// A helper waits for the condition variable, and has given the lock back.
    pub fn wait_for_condvar(&mut self) {
        let (lock, condvar) = (self.lock.clone(), self.condvar.clone());
        self.help(move |say| {
            let guard = lock.lock_timeout(BOUND).expect("the lock");
            let _ = say.send(());
            let (_guard, late) = condvar.wait_timeout(guard, BOUND).expect("the lock again");
            assert!(!late, "a waiter was never notified");
        });
        drop(
            self.lock
                .lock_timeout(BOUND)
                .expect("the waiter gives it back"),
        );
    }

    pub fn notify_until_over(&mut self) {
        self.timed(|peer| {
            let _guard = peer.lock.lock_timeout(BOUND).expect("the lock");
            peer.condvar.notify_all().expect("not forked");
        });
        self.helper_ends();
    }

    /// A helper waits for the event.
    pub fn wait_for_event(&mut self) {
        let event = self.event.clone();
        self.help(move |say| {
            let _ = say.send(());
            let came = event.wait_timeout(BOUND).expect("not forked");
            assert!(came, "a waiter never learns that the event is set");
        });
    }

    /// Sets by the dead happened whole or not at all, and the next one does.
    pub fn event_works(&mut self) {
        let number = self.timed(|peer| peer.event.set().expect("the setters' lock"));
        self.helper_ends();
        assert!(self.event.is_set() && self.event.sequence() == number);
        let mut last = None;
        while let Some(delivery) = self.heard.try_next().expect("not forked") {
            let Delivery::Set(set) = delivery else {
                panic!("{delivery:?}");
            };
            assert!(
                set.payload == SAID || set.payload.is_empty(),
                "torn: {set:?}"
            );
            assert!(last.is_none_or(|last| last + 1 == set.sequence));
            last = Some(set.sequence);
        }
        assert_eq!(last, Some(number));
        self.event.clear().expect("not forked");
        assert!(!self.event.wait_timeout(Duration::ZERO).expect("not forked"));
    }

    /// All permits are to be had.
    pub fn permits_are_back(&mut self) {
        self.helper_ends();
        for (semaphore, count) in [
            (self.turnstile.clone(), 1),
            (self.permits.clone(), PERMITS.1),
        ] {
            let all: Vec<_> = (0..count)
                .map(|_| self.timed(|_| semaphore.acquire_timeout(BOUND).expect("a permit")))
                .collect();
            assert_eq!(semaphore.available(), 0);
            drop(all);
            assert_eq!(semaphore.available(), count);
        }
    }

    /// This thread comes to the barrier as the last of two, if the other one is there.
    pub fn arrive(&mut self) {
        if self.barrier.waiting() == 1 {
            let passed = self.barrier.wait_timeout(BOUND);
            assert!(passed.expect("two have come").is_leader());
        }
    }

    /// A helper waits at the barrier.
    pub fn wait_at_barrier(&mut self) {
        let barrier = self.barrier.clone();
        self.help(move |say| {
            let _ = say.send(());
            let passed = barrier.wait_timeout(BOUND);
            let is_fine = matches!(passed, Ok(_) | Err(BarrierError::BrokenBarrier { .. }));
            assert!(is_fine, "{passed:?}");
        });
        let begin = Instant::now();
        while self.barrier.waiting() == 0 && self.helper_waits() {
            assert!(begin.elapsed() < BOUND, "the helper never arrives");
            thread::yield_now();
        }
    }

    /// Whoever waits there is let through or told; afterwards it can be made whole.
    pub fn barrier_works(&mut self) {
        self.timed(|peer| {
            let begin = Instant::now();
            while peer.barrier.waiting() > 0 || peer.helper_waits() {
                assert!(begin.elapsed() < BOUND, "somebody waits for the dead");
                let is_broken = peer.barrier.broken().expect("not forked").is_some();
                if !is_broken && peer.barrier.waiting() > 0 {
                    let passed = peer.barrier.wait_timeout(BOUND);
                    let is_fine = matches!(passed, Ok(_) | Err(BarrierError::BrokenBarrier { .. }));
                    assert!(is_fine, "{passed:?}");
                }
                if is_broken && !peer.helper_waits() {
                    break;
                }
                thread::yield_now();
            }
        });
        self.helper_ends();
        if self.barrier.broken().expect("not forked").is_some() {
            self.barrier.reset().expect("not forked");
        }
        // One that died between taking its place and being counted had come: the first to
        // look is told, and nobody after a reset.
        if let Err(error) = self.meet() {
            let by = matches!(error, BarrierError::BrokenBarrier { .. });
            assert!(by, "{error:?}");
            self.barrier.reset().expect("not forked");
            assert!(self.meet().expect("two have come").is_leader());
        }
    }

    /// Two come to the barrier, this thread last.
    fn meet(&mut self) -> Result<BarrierPassed, BarrierError> {
        self.wait_at_barrier();
        let passed = self.timed(|peer| peer.barrier.wait_timeout(BOUND));
        self.helper_ends();
        passed
    }

    fn helper_waits(&self) -> bool {
        self.helper
            .as_ref()
            .is_some_and(|helper| !helper.is_finished())
    }

    /// Becomes a runner.
    pub fn join(&mut self) {
        let joined = Runner::join(&self.segment, "survivor");
        self.runner = Some(joined.expect("the group runs"));
    }

    pub fn initiate(&mut self) {
        let request = ShutdownRequest::new().timeout(Duration::from_secs(600));
        self.coordinator
            .initiate_shutdown(&Scope::All, &request)
            .expect("the segment is whole");
    }

    /// The first phase of two runners, so that the other one is the last.
    pub fn acknowledge(&mut self) {
        let runner = self.runner.as_ref().expect("it has joined");
        let acknowledged = runner.acknowledge(Phase::Signaling);
        acknowledged.expect("it is published");
    }
}
