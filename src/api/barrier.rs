//! Named barriers between processes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::core::{Tables, deadline};
use crate::api::holders::pid_of;
use crate::api::names::index_of;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::threads;
use crate::error::{BarrierError, BrokenBy, SegmentError};
use crate::limits::{MAX_PARTIES, MAX_PLACES};
use crate::sync::{Env, Real};
use crate::table::barrier::{Barrier, Passed};
use crate::table::barrier_word::{Broken, Cause};

/// A named meeting point: every wait returns when as many threads, of whatever
/// processes, wait there as it has parties. It can be used again and again.
///
/// A party that dies while it waits, or whose timeout passes, breaks the barrier: all
/// who wait are told by whom at once, and whoever comes later, until somebody calls
/// [`reset`](Self::reset), as with Python's `multiprocessing.Barrier`. A party that dies
/// *before* it comes is nobody's knowledge: use a timeout.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{CrossProcessBarrier, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let barrier = CrossProcessBarrier::open(&segment, "epoch", 2)?;
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait().map(|passed| passed.is_leader()));
///     let here = barrier.wait()?.is_leader();
///     assert_ne!(here, other.join().unwrap()?);
///     Ok::<_, ebbtide::BarrierError>(())
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CrossProcessBarrier {
    session: Arc<Session>,
    index: usize,
    name: String,
    parties: usize,
}

/// All have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierPassed {
    leads: bool,
}

impl BarrierPassed {
    /// True for exactly one of those who pass together: the last to arrive.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leads
    }
}

impl CrossProcessBarrier {
    /// Opens the barrier of this name (1 to 64 bytes). The first opening decides how
    /// many parties it has, 1 to 64.
    ///
    /// # Errors
    /// [`BarrierError::Parties`], [`BarrierError::Mismatch`],
    /// [`CoordinationError::InvalidName`](crate::CoordinationError::InvalidName),
    /// [`SegmentError::Full`] (64 barriers), [`SegmentError::ForkedHandle`].
    pub fn open(segment: &Segment, name: &str, parties: usize) -> Result<Self, BarrierError> {
        if !(1..=MAX_PARTIES).contains(&parties) {
            return Err(BarrierError::Parties {
                name: name.into(),
                asked: parties,
                limit: MAX_PARTIES,
            });
        }
        let session = Arc::clone(segment.session());
        let tables = session.core().tables();
        let index = index_of(session.core(), &tables.barrier_names, "barriers", name)?;
        let there = tables.barriers[index].fix(parties as u64);
        let there = there.map_err(|what| session.core().corrupt(what))? as usize;
        if there != parties {
            return Err(BarrierError::Mismatch {
                name: name.into(),
                there,
                asked: parties,
            });
        }
        Ok(Self {
            session,
            index,
            name: name.into(),
            parties,
        })
    }

    /// The barrier's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many pass together.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many have arrived and wait now. Stale as soon as it is known.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.table().arrived()
    }

    /// Who or what broke the barrier, if it is broken.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn broken(&self) -> Result<Option<BrokenBy>, BarrierError> {
        let core = self.session.core();
        core.check()?;
        let broken = self.table().broken().map_err(|what| core.corrupt(what))?;
        Ok(broken.map(|broken| named(core.tables(), broken)))
    }

    /// Arrives, and waits for the others as long as it takes. Woken by the last to arrive,
    /// or by the death of one who waits; sleeps at most 1 s between two looks.
    ///
    /// # Errors
    /// [`BarrierError::BrokenBarrier`], [`SegmentError::Full`] (threads, or more than 64
    /// threads beyond its parties at once), [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn wait(&self) -> Result<BarrierPassed, BarrierError> {
        self.wait_until(None)
    }

    /// The same; when the timeout passes, the barrier is broken for all.
    ///
    /// # Errors
    /// [`BarrierError::TimedOut`]; else as [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierPassed, BarrierError> {
        self.wait_until(Some(timeout))
    }

    fn wait_until(&self, timeout: Option<Duration>) -> Result<BarrierPassed, BarrierError> {
        let core = self.session.core();
        let me = threads::owner(core)?;
        let began = core.now();
        let until = deadline(core.as_ref(), timeout);
        let passed = self.table().wait(me, core.process(), core.as_ref(), until);
        self.told(passed.map_err(|what| core.corrupt(what))?, began)
    }

    /// What a wait that began then came to.
    pub(super) fn told(&self, passed: Passed, began: u64) -> Result<BarrierPassed, BarrierError> {
        let core = self.session.core();
        match passed {
            Passed::Through { leads } => Ok(BarrierPassed { leads }),
            // Perhaps by one whose wait ended because the segment was removed.
            Passed::Broken(broken) => Err(core.opened().or_stale(BarrierError::BrokenBarrier {
                name: self.name.clone(),
                by: named(core.tables(), broken),
            })),
            Passed::TimedOut { arrived } => Err(core.opened().or_stale(BarrierError::TimedOut {
                name: self.name.clone(),
                waited: Duration::from_micros(core.now().saturating_sub(began)),
                arrived,
                parties: self.parties,
            })),
            Passed::NoPlace => Err(SegmentError::Full {
                table: "places of a barrier",
                capacity: MAX_PLACES,
                held_by: Vec::new(),
            }
            .into()),
        }
    }

    /// Breaks the barrier, if it is not broken: for a party that cannot come.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn abort(&self) -> Result<(), BarrierError> {
        let core = self.session.core();
        core.check()?;
        let aborted = self.table().abort(core.process());
        Ok(aborted.map_err(|what| core.corrupt(what))?)
    }

    /// Makes the barrier whole and empty again. Who waits there is told that it is broken.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn reset(&self) -> Result<(), BarrierError> {
        let core = self.session.core();
        core.check()?;
        let reset = self.table().reset(core.process());
        Ok(reset.map_err(|what| core.corrupt(what))?)
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }
    pub(super) fn index(&self) -> usize {
        self.index
    }
    pub(super) fn table(&self) -> &Barrier<Real> {
        &self.session.core().tables().barriers[self.index]
    }
}

impl fmt::Debug for CrossProcessBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrossProcessBarrier")
            .field("name", &self.name)
            .field("parties", &self.parties)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

pub(super) fn named(tables: &Tables, broken: Broken) -> BrokenBy {
    let who = broken.process.map(|process| who(tables, process));
    let unknown = || "a process that has gone".into();
    match broken.cause {
        Cause::Died => BrokenBy::Death {
            who: who.unwrap_or_else(unknown),
        },
        Cause::TimedOut => BrokenBy::Timeout {
            who: who.unwrap_or_else(unknown),
        },
        Cause::Aborted => BrokenBy::Abort {
            who: who.unwrap_or_else(unknown),
        },
        Cause::Reset => BrokenBy::Reset { who },
    }
}

/// The name of a process slot, also of one that was reaped and has no new holder yet.
fn who(tables: &Tables, process: usize) -> String {
    let pid = pid_of(tables, process);
    let group = &tables.group;
    let of_it = || (0..group.used()).filter(|slot| group.member(*slot).process() == Some(process));
    // Who lives in the slot, else who was there last.
    let living = of_it().find(|slot| group.member(*slot).is_counted());
    let runner = living.or_else(|| of_it().next());
    match runner {
        Some(slot) => format!("runner {:?} (pid {pid})", tables.texts[slot].id.read().0),
        None => format!("process {process} (pid {pid})"),
    }
}
