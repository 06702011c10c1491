//! Named locks between processes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::core::Core;
use crate::api::core::deadline;
use crate::api::names::check_name;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::threads;
use crate::error::{Holder, LockError, SegmentError};
use crate::limits;
use crate::sync::mutex::{Acquired, Busy, Mutex, NotLocked};
use crate::sync::{Env, Owner, Real};
use crate::table::names::{Names, NoIndex};

/// A named lock shared by all processes of a segment. If its owner dies, at whatever
/// instruction, the next locker gets it and is told so.
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
/// if guard.previous_owner_died() {
///     // … make whole what it protects …
///     guard.mark_consistent();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CrossProcessLock {
    session: Arc<Session>,
    index: usize,
    name: String,
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
            session,
            index,
            name: name.into(),
        })
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
    /// [`LockError::Recursive`], [`SegmentError::Full`] (threads),
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn lock(&self) -> Result<LockGuard<'_>, LockError> {
        self.lock_until(None)
    }

    /// Takes the lock if that is possible within the timeout.
    ///
    /// # Errors
    /// [`LockError::TimedOut`] with the holder; else as [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>, LockError> {
        self.lock_until(Some(timeout))
    }

    /// Takes the lock if it is free now (or its owner is dead).
    ///
    /// # Errors
    /// [`LockError::WouldBlock`] with the holder; else as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<LockGuard<'_>, LockError> {
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

    fn lock_until(&self, timeout: Option<Duration>) -> Result<LockGuard<'_>, LockError> {
        let core = self.session.core();
        let me = threads::owner(core)?;
        if let Ok(acquired) = self.word().try_lock(me, core.as_ref()) {
            return Ok(self.guard(me, acquired));
        }
        let began = core.now();
        let until = deadline(core.as_ref(), timeout);
        // For whoever looks from outside: this thread wants that lock.
        let thread = core.tables().threads.get(usize::from(me.slot));
        let publish = |wants: u64| {
            if let Some(thread) = thread {
                thread.wants_since.store(began, Ordering::Relaxed);
                thread.wants.store(wants, Ordering::Release);
            }
        };
        publish(self.index as u64 + 1);
        let result = self.word().lock(me, core.as_ref(), until);
        publish(0);
        match result {
            Ok(acquired) => Ok(self.guard(me, acquired)),
            Err(NotLocked::TimedOut { waited_for }) => Err(LockError::TimedOut {
                name: self.name.clone(),
                waited: Duration::from_micros(core.now().saturating_sub(began)),
                holder: describe(core, waited_for),
            }),
            Err(NotLocked::Recursive | NotLocked::NotOurs) => Err(self.recursive()),
            Err(NotLocked::Corrupt { word }) => Err(self.corrupt(word)),
        }
    }

    fn guard(&self, me: Owner, acquired: Acquired) -> LockGuard<'_> {
        LockGuard {
            lock: self,
            me,
            previous_owner_died: acquired.previous_owner_died,
            not_send: PhantomData,
        }
    }

    pub(crate) fn word(&self) -> &Mutex<Real> {
        &self.session.core().tables().locks[self.index]
    }
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    fn recursive(&self) -> LockError {
        LockError::Recursive {
            name: self.name.clone(),
        }
    }
    pub(crate) fn corrupt(&self, word: u32) -> LockError {
        SegmentError::Corrupt {
            what: format!("lock {:?}: word {word:#010x}", self.name),
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

    /// Says that what the lock protects is whole again.
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
        self.previous_owner_died = acquired.previous_owner_died;
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // A forked child never unlocks for its parent.
        if !self.lock.session.core().is_forked() {
            let _ = self.lock.word().unlock(self.me);
        }
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("lock", &self.lock.name)
            .field("previous_owner_died", &self.previous_owner_died)
            .finish_non_exhaustive()
    }
}

/// How long opening a new name waits for others that add names; only a process that was
/// stopped in the middle of that makes anybody wait.
const ADDING: Duration = Duration::from_secs(5);

/// The index of a name in a directory of the segment.
pub(crate) fn index_of<const N: usize>(
    core: &Arc<Core>,
    names: &Names<Real, N>,
    table: &'static str,
    name: &str,
) -> Result<usize, LockError> {
    check_name(name)?;
    core.check()?;
    if let Some(index) = names.find(name) {
        return Ok(index);
    }
    let me = threads::owner(core)?;
    let until = deadline(core.as_ref(), Some(ADDING));
    names
        .find_or_add(name, me, core.as_ref(), until)
        .map_err(|reason| match reason {
            NoIndex::Full => SegmentError::Full {
                table,
                capacity: N,
                held_by: names
                    .all()
                    .take(limits::SEGMENT_NAME_BYTES)
                    .map(|(_, name)| Holder { name, pid: 0 })
                    .collect(),
            }
            .into(),
            NoIndex::Locked(NotLocked::TimedOut { waited_for }) => LockError::TimedOut {
                name: format!("the table of {table}"),
                waited: ADDING,
                holder: describe(core, waited_for),
            },
            NoIndex::Locked(why) => SegmentError::Corrupt {
                what: format!("lock of the table of {table}: {why:?}"),
            }
            .into(),
        })
}

pub(crate) fn describe(core: &Core, owner: Owner) -> String {
    let tables = core.tables();
    let process = tables.threads.word(usize::from(owner.slot)).process();
    match process {
        Some(process) => {
            let holder = crate::api::core::holders(tables, std::iter::once(process));
            holder
                .first()
                .map_or_else(String::new, |h| format!("{} (pid {})", h.name, h.pid))
        }
        None => "a thread that has gone".into(),
    }
}
