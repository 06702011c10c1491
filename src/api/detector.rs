//! Who waits for whom, and in which order locks are taken.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::core::Tables;
use crate::api::lock_order;
use crate::api::lock_wait::{lock_name, thread_of, told};
use crate::api::observer::Observer;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::error::{LockThread, SegmentError, WaitEdge};
use crate::graph::cycle;
use crate::limits::{MAX_LOCKS, MAX_THREADS};
use crate::sync::{Env, Owner, Pulse, Real};
use crate::table::waits::Edge;

/// Shows which threads of all processes of a segment hold and want its
/// [`CrossProcessLock`](crate::CrossProcessLock)s, and which take them in conflicting
/// orders. It reads only: deadlocks are found and resolved by the waiting threads
/// themselves ([`LockError::Deadlock`](crate::LockError::Deadlock)), whether or not
/// anybody has a detector.
///
/// None of its calls blocks. Each answer is put together while others go on, so two
/// entries of one answer may be of slightly different instants; only
/// [`cycles`](Self::cycles) are looked at twice.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{CrossProcessLock, DeadlockDetector, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let detector = DeadlockDetector::new(&segment);
/// let one = CrossProcessLock::open(&segment, "one")?;
/// let two = CrossProcessLock::open(&segment, "two")?;
/// {
///     let _one = one.lock()?;
///     let _two = two.lock()?;
///     assert_eq!(detector.owners()?.len(), 2);
/// }
/// let _two = two.lock()?;
/// let _one = one.lock()?; // no deadlock now, but a mistake
/// let found = detector.violations()?;
/// assert_eq!((found[0].held.as_str(), found[0].wanted.as_str()), ("two", "one"));
/// # Ok(())
/// # }
/// ```
pub struct DeadlockDetector {
    source: Source,
}

enum Source {
    Attached(Arc<Session>),
    Observing(Observer),
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldLock {
    /// The lock's name.
    pub lock: String,
    /// Who holds it.
    pub owner: LockThread,
    /// Whether that thread lives. The lock of a dead one goes to the next who asks.
    pub alive: bool,
}

/// A lock under which an owner died or panicked, and which nobody has marked consistent since.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InconsistentLock {
    /// The lock's name.
    pub lock: String,
    /// The owner panicked; otherwise it died.
    pub panicked: bool,
}

/// A lock that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WantedLock {
    /// The lock's name.
    pub lock: String,
    /// Who waits.
    pub waiter: LockThread,
    /// For how long.
    pub since: Duration,
}

/// Two locks that are taken in both orders, by whichever processes: a deadlock in waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrderViolation {
    /// The lock that was held …
    pub held: String,
    /// … while this one was waited for.
    pub wanted: String,
    /// The order taken before, that this closes to a circle: from `wanted` to `held`.
    pub order: Vec<String>,
    /// The first process that did it; `None` if there were too many to record.
    pub pid: Option<u32>,
    /// The runner it was registered as.
    pub runner: Option<String>,
    /// How long ago.
    pub ago: Option<Duration>,
}

impl fmt::Display for OrderViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = self.order.join(" before ");
        write!(f, "{:?} taken while {:?} was held", self.wanted, self.held)?;
        if let Some(pid) = self.pid {
            write!(f, ", by ")?;
            if let Some(runner) = &self.runner {
                write!(f, "{runner:?} ")?;
            }
            write!(f, "(pid {pid})")?;
        }
        write!(f, "; elsewhere {order}")
    }
}

impl DeadlockDetector {
    /// The name of the [`CrossProcessEvent`](crate::CrossProcessEvent) that is set, with
    /// [`EventKind::Error`](crate::EventKind::Error) and a sentence as payload, when a pair
    /// of locks is taken against the order of all others for the first time, by whatever
    /// process: subscribe to it to be warned before there is a deadlock.
    pub const LOCK_ORDER_EVENT: &str = lock_order::EVENT;

    /// Looks through an attachment of this process.
    #[must_use]
    pub fn new(segment: &Segment) -> Self {
        Self {
            source: Source::Attached(Arc::clone(segment.session())),
        }
    }

    /// Looks from outside, through a read-only mapping.
    #[must_use]
    pub fn observing(observer: Observer) -> Self {
        Self {
            source: Source::Observing(observer),
        }
    }

    /// Which locks are held, by whom; in the order the locks were first opened.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn owners(&self) -> Result<Vec<HeldLock>, SegmentError> {
        self.look(held)
    }

    /// Under which locks an owner died or panicked, so that what they protect may be half
    /// changed: until a guard's `mark_consistent`. In the order the locks were first opened.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn inconsistent(&self) -> Result<Vec<InconsistentLock>, SegmentError> {
        self.look(|tables, _| inconsistent(tables))
    }

    /// Which locks are waited for, by whom and how long; in the order of thread slots.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn waiters(&self) -> Result<Vec<WantedLock>, SegmentError> {
        self.look(wanted)
    }

    /// Who waits for whom: every living thread that waits for a lock which another holds.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn wait_for_graph(&self) -> Result<Vec<WaitEdge>, SegmentError> {
        self.look(|tables, env| told(tables, &edges(tables, env)))
    }

    /// The deadlocks at this instant. Their victims are being told, so an answer is
    /// rarely other than empty, unless a member was stopped.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn cycles(&self) -> Result<Vec<Vec<WaitEdge>>, SegmentError> {
        self.look(|tables, env| {
            let edges = edges(tables, env);
            let mut way_out = vec![None; MAX_THREADS];
            for edge in &edges {
                way_out[usize::from(edge.waiter.slot)] = Some(edge);
            }
            let next = |slot: usize| way_out[slot].map(|edge| usize::from(edge.holder.slot));
            let candidates = cycle::all(MAX_THREADS, next);
            let whole = candidates.iter().filter_map(|cycle| {
                let first = way_out[*cycle.first()?]?;
                let (waits, locks) = (&tables.waits, &tables.locks);
                waits.cycle_through(first.waiter, locks, env)
            });
            whole.map(|cycle| told(tables, &cycle)).collect()
        })
    }

    /// Every pair of locks that was ever taken in an order that closes a circle, once; the
    /// first 256 of them.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn violations(&self) -> Result<Vec<OrderViolation>, SegmentError> {
        self.look(|tables, env| {
            let now = env.now();
            // Each is searched for its way: garbage has thousands.
            let all = tables.order.violated.all().take(MAX_LOCKS);
            all.map(|(held, wanted)| {
                let culprit = tables.order.culprit(held, wanted);
                let way = tables.order.way(wanted, held).unwrap_or_default();
                OrderViolation {
                    held: lock_name(tables, held),
                    wanted: lock_name(tables, wanted),
                    order: way.iter().map(|lock| lock_name(tables, *lock)).collect(),
                    pid: culprit.as_ref().map(|culprit| culprit.pid),
                    ago: culprit
                        .as_ref()
                        .map(|culprit| Duration::from_micros(now.saturating_sub(culprit.at))),
                    runner: culprit
                        .map(|culprit| culprit.runner)
                        .filter(|runner| !runner.is_empty()),
                }
            })
            .collect()
        })
    }

    /// Every pair of locks of which the second was ever waited for while the first was
    /// held, without the violations.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn acquisition_order(&self) -> Result<Vec<(String, String)>, SegmentError> {
        self.look(|tables, _| {
            let names: Vec<_> = (0..MAX_LOCKS).map(|lock| lock_name(tables, lock)).collect();
            let all = tables.order.taken.all();
            all.map(|(first, second)| (names[first].clone(), names[second].clone()))
                .collect()
        })
    }

    fn look<T>(&self, look: impl FnOnce(&Tables, &dyn Env<Real>) -> T) -> Result<T, SegmentError> {
        match &self.source {
            Source::Attached(session) => {
                let core = session.core();
                core.check()?;
                Ok(look(core.tables(), core.as_ref()))
            }
            Source::Observing(observer) => Ok(look(observer.tables(), observer)),
        }
    }
}

impl fmt::Debug for DeadlockDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlockDetector").finish_non_exhaustive()
    }
}

/// Which locks are held.
pub(super) fn held(tables: &Tables, env: &dyn Env<Real>) -> Vec<HeldLock> {
    let locks = tables.locks.iter().enumerate();
    let held = locks.filter_map(|(index, lock)| Some((index, lock.owner()?)));
    held.map(|(index, owner)| HeldLock {
        lock: lock_name(tables, index),
        owner: thread_of(tables, owner),
        alive: lives(env, owner),
    })
    .collect()
}

/// Which locks are marked inconsistent.
pub(super) fn inconsistent(tables: &Tables) -> Vec<InconsistentLock> {
    let looks = tables.locks.iter().map(|lock| lock.look()).enumerate();
    let marked = looks.filter(|(_, look)| look.is_inconsistent);
    marked
        .map(|(index, look)| InconsistentLock {
            lock: lock_name(tables, index),
            panicked: look.has_panicked,
        })
        .collect()
}

/// Which locks are waited for.
pub(super) fn wanted(tables: &Tables, env: &dyn Env<Real>) -> Vec<WantedLock> {
    let now = env.now();
    let waiting = threads(tables).filter(|thread| lives(env, *thread));
    waiting
        .filter_map(|thread| {
            let (lock, since) = tables.waits.of(thread)?;
            Some(WantedLock {
                lock: lock_name(tables, lock),
                waiter: thread_of(tables, thread),
                since: Duration::from_micros(now.saturating_sub(since)),
            })
        })
        .collect()
}

/// All attached threads.
fn threads(tables: &Tables) -> impl Iterator<Item = Owner> {
    (0..tables.threads.used()).filter_map(|slot| {
        let word = tables.threads.word(slot);
        let thread = word.owner(u16::try_from(slot).ok()?);
        (!word.is_free()).then_some(thread)
    })
}

fn edges(tables: &Tables, env: &dyn Env<Real>) -> Vec<Edge> {
    threads(tables)
        .filter_map(|thread| tables.waits.edge(thread, &tables.locks))
        .filter(|edge| lives(env, edge.waiter))
        .collect()
}

fn lives(env: &dyn Env<Real>, thread: Owner) -> bool {
    !matches!(env.thread_pulse(thread), Pulse::Dead)
}
