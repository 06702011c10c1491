//! What a victim sets its scene with.

use std::any::Any;

use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, LockGuard, Runner, Segment, SegmentOptions, SharedStateManager,
    ShutdownCoordinator,
};

use crate::harness::board::Board;
use crate::harness::place::{NAME, Place};

/// The lock of every operation that needs one.
pub const LOCK: &str = "lock";
pub const CONDVAR: &str = "condvar";
pub const EVENT: &str = "event";
/// A semaphore of one permit, and one of more.
pub const TURNSTILE: &str = "turnstile";
pub const PERMITS: (&str, usize) = ("permits", 3);
/// A barrier of two.
pub const BARRIER: &str = "barrier";
/// The keys of the transaction, and what they hold before and after it.
pub const KEYS: [&str; 3] = ["first", "second", "third"];
pub const OLD: &[u8] = b"old value";
pub const NEW: &[u8] = b"the new value, longer than the old one";
/// What a victim's event says.
pub const SAID: &[u8] = b"said by the victim";

/// What an operation leaves, kept until the process is killed.
pub type Kept = Box<dyn Any>;
/// The operation itself: all that is stepped.
pub type Act = Box<dyn FnOnce() -> Kept>;

/// A victim's means. It never ends in order, so what it makes is leaked: nothing is dropped
/// but what an operation drops.
#[derive(Debug)]
pub struct Stage {
    pub options: SegmentOptions,
    pub file: std::path::PathBuf,
    pub board: &'static Board,
    /// The id of its runner.
    pub id: &'static str,
}

impl Stage {
    pub fn new(place: &Place, board: &'static Board) -> Self {
        Self {
            options: place.options(),
            file: place.file(),
            board,
            id: "victim",
        }
    }

    /// The same for a runner of another id.
    pub fn named(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    pub fn segment(&self) -> &'static Segment {
        leak(self.options.open(NAME).expect("the segment is there"))
    }

    pub fn join(&self) -> &'static Runner {
        leak(Runner::join(self.segment(), self.id).expect("the group runs"))
    }

    pub fn coordinator(&self) -> &'static ShutdownCoordinator {
        leak(ShutdownCoordinator::new(self.segment()))
    }

    pub fn lock(&self) -> &'static CrossProcessLock {
        self.lock_of(self.segment())
    }

    pub fn lock_of(&self, segment: &Segment) -> &'static CrossProcessLock {
        leak(CrossProcessLock::open(segment, LOCK).expect("a lock"))
    }

    pub fn condvar_of(&self, segment: &Segment) -> &'static CrossProcessCondvar {
        leak(CrossProcessCondvar::open(segment, CONDVAR).expect("a condition variable"))
    }

    pub fn event(&self) -> &'static CrossProcessEvent {
        leak(CrossProcessEvent::open(self.segment(), EVENT).expect("an event"))
    }

    pub fn semaphore(&self, name: &str, permits: usize) -> &'static CrossProcessSemaphore {
        let opened = CrossProcessSemaphore::open(self.segment(), name, permits);
        leak(opened.expect("a semaphore"))
    }

    pub fn barrier(&self) -> &'static CrossProcessBarrier {
        leak(CrossProcessBarrier::open(self.segment(), BARRIER, 2).expect("a barrier"))
    }

    pub fn store(&self) -> &'static SharedStateManager {
        leak(SharedStateManager::open(self.segment()).expect("the shared state"))
    }

    /// Takes the lock, and says so where the library does not see it.
    pub fn take(&self, lock: &'static CrossProcessLock) -> LockGuard<'static> {
        let guard = lock.lock().expect("the lock");
        self.board.enter(guard.previous_owner_died());
        guard
    }
}

/// For the rest of the process's life.
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
