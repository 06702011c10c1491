//! Named events between processes.

use std::sync::Arc;
use std::time::Duration;

use crate::api::core::{Core, deadline};
use crate::api::event_kind::{EventKind, EventSet};
use crate::api::names::{describe, index_of};
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::subscription::Subscription;
use crate::api::threads;
use crate::error::{EventError, LockError, SegmentError};
use crate::limits::{EVENT_PAYLOAD_BYTES, EVENT_SETTER_MILLIS, MAX_WAIT_WORDS};
use crate::sync::event::{Event, Goal, Waited, wait_any};
use crate::sync::mutex::NotLocked;
use crate::sync::{Env, Owner, Pulse, Real};
use crate::table::event_log::{EventLog, Resets};

/// How an event is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// It stays set until [`CrossProcessEvent::clear`].
    Manual,
    /// Each set is given to exactly one waiter, whose wait clears it. A set that nobody
    /// has taken yet is kept; setting again does not make two of it.
    Auto,
}

impl Reset {
    /// `manual` or `auto`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Auto => "auto",
        }
    }
    pub(crate) const fn raw(self) -> Resets {
        match self {
            Self::Manual => Resets::ByHand,
            Self::Auto => Resets::ByItself,
        }
    }
    pub(crate) const fn of(raw: Resets) -> Self {
        match raw {
            Resets::ByHand => Self::Manual,
            Resets::ByItself => Self::Auto,
        }
    }
}

/// How an event is opened.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{EventOptions, Reset, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let ticket = EventOptions::new().reset(Reset::Auto).open(&segment, "ticket")?;
/// ticket.set()?;
/// assert!(ticket.wait(None)?); // takes the set
/// assert!(!ticket.is_set());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EventOptions {
    reset: Option<Reset>,
}

impl EventOptions {
    /// An event as it is; a new one is [`Reset::Manual`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for this kind of reset.
    #[must_use]
    pub fn reset(mut self, reset: Reset) -> Self {
        self.reset = Some(reset);
        self
    }

    /// Opens the event of this name (1 to 64 bytes); new ones are not set. The first
    /// opening decides how it resets.
    ///
    /// # Errors
    /// [`EventError::Reset`] when it resets in another way than was asked for,
    /// [`CoordinationError::InvalidName`](crate::CoordinationError::InvalidName),
    /// [`SegmentError::Full`] (128 of them), [`SegmentError::ForkedHandle`].
    pub fn open(&self, segment: &Segment, name: &str) -> Result<CrossProcessEvent, EventError> {
        let session = Arc::clone(segment.session());
        let tables = session.core().tables();
        let index = index_of(session.core(), &tables.event_names, "events", name)?;
        let wanted = self.reset.unwrap_or(Reset::Manual);
        let there = tables.events[index].fix(wanted.raw());
        let there = Reset::of(there.map_err(|corrupt| session.core().corrupt(corrupt))?);
        match self.reset {
            Some(asked) if asked != there => Err(EventError::Reset {
                name: name.into(),
                there: there.name(),
                asked: asked.name(),
            }),
            _ => Ok(CrossProcessEvent {
                session,
                index,
                name: name.into(),
                reset: there,
            }),
        }
    }
}

/// A named event that processes set, clear, wait for and subscribe to. A set may say
/// something: a kind and up to 256 bytes. Every set has a sequence number, and the latest
/// 64 are kept.
///
/// Waiting takes nothing from other waiters, unless the event is [`Reset::Auto`]; a wait
/// on a set event returns at once. A process that is killed in the middle of a set or a
/// wait blocks nobody: what it was about to say is said whole or not at all.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{CrossProcessEvent, Delivery, EventKind, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let ready = CrossProcessEvent::open(&segment, "model")?;
/// ready.set_with(EventKind::ResourceReady, b"/models/a")?;
/// assert!(ready.wait(None)?);
///
/// let mut subscription = ready.subscribe()?; // late, but sees the latest
/// let Some(Delivery::Set(set)) = subscription.next(None)? else { panic!() };
/// assert_eq!((set.sequence, &set.payload[..]), (1, &b"/models/a"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CrossProcessEvent {
    session: Arc<Session>,
    index: usize,
    name: String,
    reset: Reset,
}

/// Events that are waited for together, perhaps of several segments: the wait ends when one
/// of those is removed.
struct OfAll<'a>(&'a [&'a CrossProcessEvent]);

impl OfAll<'_> {
    fn core(&self) -> &Core {
        self.0[0].session.core()
    }
}

impl Env<Real> for OfAll<'_> {
    fn now(&self) -> u64 {
        self.core().now()
    }
    fn process_pulse(&self, process: usize) -> Pulse<'_, Real> {
        self.core().process_pulse(process)
    }
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Real> {
        self.core().thread_pulse(owner)
    }
    fn ends_wait(&self, now: u64, until: u64) -> bool {
        let mut cores = self.0.iter().map(|event| event.session.core());
        cores.any(|core| core.ends_wait(now, until))
    }
}

impl CrossProcessEvent {
    /// Opens the event of this name as it is, or makes a new one with [`Reset::Manual`];
    /// see [`EventOptions::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(segment: &Segment, name: &str) -> Result<Self, EventError> {
        EventOptions::new().open(segment, name)
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is cleared.
    #[must_use]
    pub fn reset(&self) -> Reset {
        self.reset
    }

    /// Sets the event, as [`EventKind::Custom`]`(0)` without payload, and wakes all who
    /// wait: one system call if anybody does, none else. Answers the sequence number.
    ///
    /// # Errors
    /// As [`set_with`](Self::set_with).
    pub fn set(&self) -> Result<u64, EventError> {
        self.set_with(EventKind::default(), &[])
    }

    /// Sets the event and says something by it. Answers the sequence number, which is
    /// one more than that of the set before it.
    ///
    /// Blocks only while another *living* process is in the middle of a set, for 5 s at
    /// most (it was stopped there).
    ///
    /// # Errors
    /// [`EventError::Payload`] (more than 256 bytes), [`LockError::TimedOut`] (another
    /// setter is stopped), [`SegmentError::Full`] (threads), [`SegmentError::ForkedHandle`].
    pub fn set_with(&self, kind: EventKind, payload: &[u8]) -> Result<u64, EventError> {
        if payload.len() > EVENT_PAYLOAD_BYTES {
            return Err(EventError::Payload {
                length: payload.len(),
                limit: EVENT_PAYLOAD_BYTES,
            });
        }
        let core = self.session.core();
        let me = threads::owner(core)?;
        let patience = Duration::from_millis(EVENT_SETTER_MILLIS);
        let until = deadline(core.as_ref(), Some(patience));
        self.log()
            .set(kind.raw(), payload, me, core.as_ref(), until)
            .map_err(|why| match why {
                NotLocked::TimedOut { waited_for } => {
                    let name = format!("setting event {}", self.name);
                    core.opened().or_stale(LockError::TimedOut {
                        name,
                        waited: patience,
                        holder: describe(core, waited_for),
                    })
                }
                .into(),
                other => SegmentError::Corrupt {
                    what: format!("event {:?}: its writer lock: {other:?}", self.name),
                }
                .into(),
            })
    }

    /// Clears the event. Its sequence number and what its sets said stay.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn clear(&self) -> Result<(), EventError> {
        self.session.core().check()?;
        self.log().event.clear();
        Ok(())
    }

    /// Whether the event is set: one atomic load.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.log().event.is_set()
    }

    /// How often it was set: one atomic load.
    #[inline]
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.log().event.sequence()
    }

    /// The latest set, if there was any, whether or not the event was cleared since.
    /// Never blocks and takes nothing.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn latest(&self) -> Result<Option<EventSet>, EventError> {
        let core = self.session.core();
        core.check()?;
        let latest = self.log().latest().map_err(|what| core.corrupt(what))?;
        Ok(latest.map(|(number, said)| EventSet::of(number, said, core.now())))
    }

    /// Blocks until the event is set, or was set since the call began; with
    /// [`Reset::Auto`], until this call has taken a set. False if the timeout passes
    /// first. Woken by the kernel, sleeps a second at most between two looks.
    ///
    /// With [`Reset::Auto`] a process killed after it took a set and before it could act
    /// has taken it along: the other waiters wait for the next one.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, EventError> {
        let core = self.session.core();
        core.check()?;
        let log = self.log();
        let goal = log.goal().map_err(|what| core.corrupt(what))?;
        let until = deadline(core.as_ref(), timeout);
        let is_set = log.event.wait(goal, core.as_ref(), until) == Waited::Set;
        if !is_set {
            core.opened().not_removed()?;
        }
        Ok(is_set)
    }

    /// [`wait`](Self::wait) with a timeout.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, EventError> {
        self.wait(Some(timeout))
    }

    /// Blocks until one of several events is set; answers which (of several, the first
    /// in the list). Only from that one a set is taken, if it is [`Reset::Auto`]. They may
    /// be of different segments.
    ///
    /// # Errors
    /// [`EventError::Count`] (none, or more than 128), [`SegmentError::ForkedHandle`],
    /// `Corrupt`.
    pub fn wait_any(
        events: &[&Self],
        timeout: Option<Duration>,
    ) -> Result<Option<usize>, EventError> {
        let goals = Self::goals(events)?;
        let core = events[0].session.core().as_ref();
        let env = OfAll(events);
        let which = wait_any(&goals, &env, deadline(core, timeout));
        if which.is_none() {
            for event in events {
                event.session.core().opened().not_removed()?;
            }
        }
        Ok(which)
    }

    /// What a wait for one of these is for, from now on.
    pub(super) fn goals<'a>(
        events: &[&'a Self],
    ) -> Result<Vec<(&'a Event<Real>, Goal)>, EventError> {
        if !(1..=MAX_WAIT_WORDS).contains(&events.len()) {
            return Err(EventError::Count {
                count: events.len(),
                limit: MAX_WAIT_WORDS,
            });
        }
        let goal_of = |event: &&'a Self| {
            let (core, log) = (event.session.core(), event.log());
            core.check()?;
            Ok((&log.event, log.goal().map_err(|what| core.corrupt(what))?))
        };
        events.iter().map(goal_of).collect()
    }

    /// A reader of its own of all sets: first the latest so far, if any, then each one in
    /// order. It takes nothing from anybody.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn subscribe(&self) -> Result<Subscription, EventError> {
        self.session.core().check()?;
        let seen = self.sequence().saturating_sub(1);
        Ok(Subscription::new(self.clone(), seen))
    }

    /// The same from now on: the first is the next one to come.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn subscribe_from_now(&self) -> Result<Subscription, EventError> {
        self.session.core().check()?;
        Ok(Subscription::new(self.clone(), self.sequence()))
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Blocks until there is a set after the number `seen`; false at `until`.
    pub(crate) fn wait_after(&self, seen: u64, until: u64) -> Result<bool, SegmentError> {
        let core = self.session.core().as_ref();
        let is_set = self.log().event.wait(Goal::After(seen), core, until) == Waited::Set;
        if !is_set {
            core.opened().not_removed()?;
        }
        Ok(is_set)
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }
    pub(crate) fn log(&self) -> &EventLog<Real> {
        &self.session.core().tables().events[self.index]
    }
}
