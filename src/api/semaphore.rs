//! Named semaphores between processes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::api::core::deadline;
use crate::api::names::{describe, index_of};
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::threads;
use crate::error::SemaphoreError;
use crate::limits::MAX_PERMITS;
use crate::sync::{Env, Owner, Real};
use crate::table::semaphore::Semaphore;

/// A named number of permits, shared by all processes of a segment. The permits of a
/// process or thread that dies come back at once.
///
/// Whose turn it is among those who wait is not defined.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{CrossProcessSemaphore, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let loaders = CrossProcessSemaphore::open(&segment, "loaders", 4)?;
/// let permit = loaders.acquire()?;
/// assert_eq!(loaders.available(), 3);
/// drop(permit);
/// assert_eq!(loaders.available(), 4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CrossProcessSemaphore {
    session: Arc<Session>,
    index: usize,
    name: String,
}

impl CrossProcessSemaphore {
    /// Opens the semaphore of this name (1 to 64 bytes). The first opening decides how
    /// many permits it has, 1 to 64.
    ///
    /// # Errors
    /// [`SemaphoreError::Permits`], [`SemaphoreError::Mismatch`],
    /// [`CoordinationError::InvalidName`](crate::CoordinationError::InvalidName),
    /// [`SegmentError::Full`](crate::SegmentError::Full) (64 semaphores),
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn open(segment: &Segment, name: &str, permits: usize) -> Result<Self, SemaphoreError> {
        if !(1..=MAX_PERMITS).contains(&permits) {
            return Err(SemaphoreError::Permits {
                name: name.into(),
                asked: permits,
                limit: MAX_PERMITS,
            });
        }
        let session = Arc::clone(segment.session());
        let tables = session.core().tables();
        let index = index_of(session.core(), &tables.semaphore_names, "semaphores", name)?;
        let there = tables.semaphores[index].fix(permits as u32);
        let there = there.map_err(|what| session.core().corrupt(what))? as usize;
        if there != permits {
            return Err(SemaphoreError::Mismatch {
                name: name.into(),
                there,
                asked: permits,
            });
        }
        Ok(Self {
            session,
            index,
            name: name.into(),
        })
    }

    /// The semaphore's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes a permit, waiting as long as it takes. Woken when one is given back or a
    /// holder dies; sleeps at most 100 ms between two looks. A thread may hold several,
    /// and waits for ever if it holds all of them itself.
    ///
    /// # Errors
    /// [`SegmentError::Full`](crate::SegmentError::Full) (threads),
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn acquire(&self) -> Result<SemaphorePermit<'_>, SemaphoreError> {
        self.acquire_until(None)
    }

    /// Takes a permit if that is possible within the timeout.
    ///
    /// # Errors
    /// [`SemaphoreError::TimedOut`] with the holders; else as [`acquire`](Self::acquire).
    pub fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Result<SemaphorePermit<'_>, SemaphoreError> {
        self.acquire_until(Some(timeout))
    }

    /// Takes a permit if one is free now (or its holder dead).
    ///
    /// # Errors
    /// [`SemaphoreError::WouldBlock`] with the holders; else as [`acquire`](Self::acquire).
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, SemaphoreError> {
        let core = self.session.core();
        let me = threads::owner(core)?;
        let taken = self.table().try_acquire(me, core.as_ref());
        match taken.map_err(|what| core.corrupt(what))? {
            Some(permit) => Ok(self.guard(me, permit)),
            None => Err(SemaphoreError::WouldBlock {
                name: self.name.clone(),
                holders: self.holders(),
            }),
        }
    }

    fn acquire_until(
        &self,
        timeout: Option<Duration>,
    ) -> Result<SemaphorePermit<'_>, SemaphoreError> {
        let core = self.session.core();
        let me = threads::owner(core)?;
        let began = core.now();
        let until = deadline(core.as_ref(), timeout);
        let taken = self.table().acquire(me, core.as_ref(), until);
        match taken.map_err(|what| core.corrupt(what))? {
            Some(permit) => Ok(self.guard(me, permit)),
            None => Err(core.opened().or_stale(SemaphoreError::TimedOut {
                name: self.name.clone(),
                waited: Duration::from_micros(core.now().saturating_sub(began)),
                holders: self.holders(),
            })),
        }
    }

    /// How many permits nobody who lives holds now. Stale as soon as it is known.
    #[must_use]
    pub fn available(&self) -> usize {
        self.table().available(self.session.core().as_ref())
    }

    /// Who holds permits now, one entry for each. Stale as soon as it is known.
    #[must_use]
    pub fn holders(&self) -> Vec<String> {
        let core = self.session.core();
        let holders = self.table().holders();
        holders.map(|owner| describe(core, owner)).collect()
    }

    fn guard(&self, me: Owner, permit: usize) -> SemaphorePermit<'_> {
        SemaphorePermit {
            semaphore: self,
            me,
            permit,
            not_send: PhantomData,
        }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
    pub(crate) fn index(&self) -> usize {
        self.index
    }
    fn table(&self) -> &Semaphore<Real> {
        &self.session.core().tables().semaphores[self.index]
    }
}

impl fmt::Debug for CrossProcessSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrossProcessSemaphore")
            .field("name", &self.name)
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

/// The permit is held until this is dropped. It belongs to the thread that took it: it
/// comes back also when that thread ends.
#[must_use = "the permit is given back when this is dropped"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a CrossProcessSemaphore,
    me: Owner,
    permit: usize,
    /// Ownership is a thread's: the permit cannot be sent.
    not_send: PhantomData<*const ()>,
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        // A forked child gives nothing back for its parent.
        if !self.semaphore.session.core().is_forked() {
            self.semaphore.table().release(self.permit, self.me);
        }
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit")
            .field("semaphore", &self.semaphore.name)
            .finish_non_exhaustive()
    }
}
