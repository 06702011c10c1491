//! Named locks between processes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::api::core::{Core, deadline};
use crate::api::lock_order;
use crate::api::lock_wait::{self, Waiting};
use crate::api::names::{describe, index_of};
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::threads;
use crate::api::trace;
use crate::error::{LockError, SegmentError};
use crate::note::{Kind, Note};
use crate::segment::Within;
use crate::sync::mutex::{Acquired, Busy, Mutex, NotLocked};
use crate::sync::{Env, Owner, Real};

/// A named lock shared by all processes of a segment. If its owner dies, at whatever
/// instruction, or drops its guard in a panic, the next locker gets it and is notified.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{CrossProcessLock, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let lock = CrossProcessLock::open(&segment, "device-0")?;
/// let guard = lock.lock()?;
/// if guard.previous_owner_died() || guard.previous_owner_panicked() {
///     // … make whole what it protects …
///     guard.mark_consistent();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CrossProcessLock {
    session: Arc<Session>,
    /// Its word, at hand.
    word: Within<Core, Mutex<Real>>,
    index: usize,
    name: String,
    denies_disorder: bool,
}

impl CrossProcessLock {
    /// Opens the lock of this name (1 to 64 bytes), which exists from its first opening
    /// until the end of the segment.
    ///
    /// # Errors
    /// [`CoordinationError::InvalidName`](crate::CoordinationError::InvalidName), [`SegmentError::Full`] (256 locks),
    /// [`SegmentError::ForkedHandle`], [`LockError::TimedOut`] when a stopped process keeps
    /// the table of names for 5 s.
    pub fn open(segment: &Segment, name: &str) -> Result<Self, LockError> {
        let session = Arc::clone(segment.session());
        let names = &session.core().tables().lock_names;
        let index = index_of(session.core(), names, "locks", name)?;
        Ok(Self {
            word: Within::new(session.core(), |core| &core.tables().locks[index]),
            session,
            index,
            name: name.into(),
            denies_disorder: false,
        })
    }

    /// Makes this handle refuse to wait for its lock while the calling thread holds a lock
    /// that is taken after it elsewhere ([`LockError::OrderViolation`]). By default that is
    /// only written down, for [`DeadlockDetector::violations`](crate::DeadlockDetector::violations).
    /// For this handle and its clones; [`try_lock`](Self::try_lock), which never waits, is
    /// not concerned.
    #[must_use]
    pub fn deny_disorder(mut self) -> Self {
        self.denies_disorder = true;
        self
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the lock, waiting as long as it takes. Woken by the unlock or by the
    /// owner's death; sleeps at most 100 ms between two looks.
    ///
    /// # Errors
    /// [`LockError::Deadlock`] when all would wait for ever and this thread is the one to
    /// give up, [`LockError::OrderViolation`] with [`deny_disorder`](Self::deny_disorder),
    /// [`LockError::Recursive`], [`SegmentError::Full`] (threads),
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    #[inline]
    pub fn lock(&self) -> Result<LockGuard<'_>, LockError> {
        match self.lock_at_once() {
            Some(guard) => Ok(guard),
            None => self.lock_until(None),
        }
    }

    /// Takes the lock if that is possible within the timeout.
    ///
    /// # Errors
    /// [`LockError::TimedOut`] with the holder; else as [`lock`](Self::lock).
    #[inline]
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>, LockError> {
        match self.lock_at_once() {
            Some(guard) => Ok(guard),
            None => self.lock_until(Some(timeout)),
        }
    }

    /// Takes the lock if it is free now (or its owner is dead).
    ///
    /// # Errors
    /// [`LockError::WouldBlock`] with the holder; else as [`lock`](Self::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<LockGuard<'_>, LockError> {
        match self.take_near(|_| true) {
            Some(guard) => Ok(guard),
            None => self.try_lock_held(),
        }
    }

    #[cold]
    fn try_lock_held(&self) -> Result<LockGuard<'_>, LockError> {
        let core = self.session.core();
        let me = threads::owner(core)?;
        match self.word().try_lock(me, core.as_ref()) {
            Ok(acquired) => Ok(self.guard(me, acquired)),
            Err(Busy::Held(owner)) => Err(LockError::WouldBlock {
                name: self.name.clone(),
                holder: describe(core, owner),
            }),
            Err(Busy::Recursive) => Err(self.recursive()),
            Err(Busy::Corrupt { word }) => Err(self.corrupt(word)),
        }
    }

    /// Who holds it now, if anybody. Stale as soon as it is known.
    #[must_use]
    pub fn holder(&self) -> Option<String> {
        let core = self.session.core();
        self.word().owner().map(|owner| describe(core, owner))
    }

    /// The common case: it is free, and this thread, which has taken locks before, holds
    /// none, or only such as were held before when this one was taken.
    #[inline]
    fn lock_at_once(&self) -> Option<LockGuard<'_>> {
        let order = |held| {
            let tables = self.word.whole().tables();
            tables.order.is_known(held, self.index)
        };
        self.take_near(order)
    }

    /// Takes it if it is free, and noting that it is held needs no search.
    #[inline]
    fn take_near(&self, holds: impl FnMut(usize) -> bool) -> Option<LockGuard<'_>> {
        let take = |me| self.word.take_free(me);
        let (me, acquired) = threads::take_near(self.word.whole(), self.index, holds, take)?;
        Some(self.noted_guard(me, acquired))
    }

    #[cold]
    fn lock_until(&self, timeout: Option<Duration>) -> Result<LockGuard<'_>, LockError> {
        let core = self.session.core();
        let me = threads::owner(core)?;
        lock_order::check(core, self.index, self.denies_disorder)?;
        if let Ok(acquired) = self.word().try_lock(me, core.as_ref()) {
            return Ok(self.guard(me, acquired));
        }
        let began = core.now();
        let until = deadline(core.as_ref(), timeout);
        let waiting = lock_wait::waiter(core, self.index, me);
        let result = self.word().lock_watched(me, core.as_ref(), until, &waiting);
        let waited = core.now().saturating_sub(began);
        core.tables().tallies.waited(self.index, waited);
        let acquired = self.taken(waiting, result, began)?;
        Ok(self.guard(me, acquired))
    }

    /// Ends a wait, and says why it was in vain if it was.
    pub(crate) fn taken<T>(
        &self,
        waiting: Waiting<'_>,
        result: Result<T, NotLocked>,
        began: u64,
    ) -> Result<T, LockError> {
        let core = self.session.core();
        let me = waiting.me;
        let deadlock = waiting.end();
        result.map_err(|why| match why {
            NotLocked::CalledOff => {
                let members = u8::try_from(deadlock.len()).unwrap_or(u8::MAX);
                let note = Note::new(Kind::Deadlock).detail(members).thread(me.slot);
                let note = core.of_process(note, Some(core.process()));
                core.note_now(core.of_lock(note, self.index));
                LockError::Deadlock {
                    name: self.name.clone(),
                    cycle: lock_wait::told(core.tables(), &deadlock),
                }
            }
            NotLocked::TimedOut { waited_for } => core.opened().or_stale(LockError::TimedOut {
                name: self.name.clone(),
                waited: Duration::from_micros(core.now().saturating_sub(began)),
                holder: describe(core, waited_for),
            }),
            NotLocked::Recursive | NotLocked::NotOurs => self.recursive(),
            NotLocked::Corrupt { word } => self.corrupt(word),
        })
    }

    fn guard(&self, me: Owner, acquired: Acquired) -> LockGuard<'_> {
        threads::took(self.word.whole(), self.index);
        self.noted_guard(me, acquired)
    }

    #[inline]
    fn noted_guard(&self, me: Owner, acquired: Acquired) -> LockGuard<'_> {
        let guard = LockGuard {
            lock: self,
            me,
            previous_owner_died: acquired.previous_owner_died,
            previous_owner_panicked: acquired.previous_owner_panicked,
            is_unwinding: std::thread::panicking(),
            not_send: PhantomData,
        };
        if acquired.previous_owner_died {
            self.tell_owner_died(me);
        }
        guard
    }

    #[cold]
    fn tell_owner_died(&self, me: Owner) {
        self.session.core().note_owner_died(self.index, me, true);
        trace::owner_died(|| self.name.clone());
    }

    #[inline]
    pub(crate) fn word(&self) -> &Mutex<Real> {
        &self.word
    }
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn recursive(&self) -> LockError {
        LockError::Recursive {
            name: self.name.clone(),
        }
    }
    pub(crate) fn corrupt(&self, word: u64) -> LockError {
        SegmentError::Corrupt {
            what: format!("lock {:?}: word {word:#x}", self.name),
        }
        .into()
    }
}

impl fmt::Debug for CrossProcessLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrossProcessLock")
            .field("name", &self.name)
            .field("holder", &self.holder())
            .finish_non_exhaustive()
    }
}

/// The lock is held until this is dropped. It belongs to the thread that took it.
#[must_use = "the lock is given back when this is dropped"]
pub struct LockGuard<'a> {
    lock: &'a CrossProcessLock,
    me: Owner,
    previous_owner_died: bool,
    previous_owner_panicked: bool,
    /// It was taken while this thread was unwinding already.
    is_unwinding: bool,
    /// Ownership is a thread's: the guard cannot be sent.
    not_send: PhantomData<*const ()>,
}

impl LockGuard<'_> {
    /// Whether, when this guard was taken, an owner had died while holding the lock and
    /// nobody had called [`mark_consistent`](Self::mark_consistent) since: what it protects
    /// may be half-done. The answer stays the same for the life of the guard.
    #[must_use]
    pub fn previous_owner_died(&self) -> bool {
        self.previous_owner_died
    }

    /// The same of an owner that panicked, and unwound, while it held the lock; false if one
    /// died. As with a poisoned lock of the standard library, what it protects may be half-done.
    #[must_use]
    pub fn previous_owner_panicked(&self) -> bool {
        self.previous_owner_panicked
    }

    /// Says that what the lock protects is consistent again, after a death or a panic.
    pub fn mark_consistent(&self) {
        if !self.lock.session.core().is_forked() {
            self.lock.word().mark_consistent(self.me);
        }
    }

    pub(crate) fn lock(&self) -> &CrossProcessLock {
        self.lock
    }
    pub(crate) fn owner(&self) -> Owner {
        self.me
    }
    pub(crate) fn reacquired(&mut self, acquired: Acquired) {
        threads::took(self.lock.session.core(), self.lock.index);
        self.previous_owner_died = acquired.previous_owner_died;
        self.previous_owner_panicked = acquired.previous_owner_panicked;
        if acquired.previous_owner_died {
            let core = self.lock.session.core();
            core.note_owner_died(self.lock.index, self.me, true);
        }
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let core = self.lock.word.whole();
        // A forked child never unlocks for its parent.
        if !core.is_forked() {
            threads::gave(core, self.lock.index);
            if std::thread::panicking() && !self.is_unwinding {
                let _ = self.lock.word().unlock_in_panic(self.me);
                return;
            }
            let _ = self.lock.word().unlock(self.me);
        }
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("lock", &self.lock.name)
            .field("previous_owner_died", &self.previous_owner_died)
            .field("previous_owner_panicked", &self.previous_owner_panicked)
            .finish_non_exhaustive()
    }
}
