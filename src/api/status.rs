//! What is going on now: the status of a segment, as plain values.

use std::time::{Duration, SystemTime};

use crate::api::detector::{HeldLock, InconsistentLock, WantedLock};
use crate::api::history::Predecessor;
use crate::api::report::{Activity, Reason, RunnerReport, Shortening, ShutdownOutcome};
use crate::api::resource::ResourceReport;
use crate::api::state::StateKey;
use crate::api::text::{count, time};
use crate::api::view_events::EventStatus;
use crate::api::view_rendezvous::{BarrierStatus, SemaphoreStatus};
use crate::error::Holder;
use crate::phase::{Mode, Phase};

/// Who holds the present phase up, and what it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Laggard {
    /// Its runner id.
    pub id: String,
    /// Its process id as it sees itself.
    pub pid: u32,
    /// Its process is stopped (SIGSTOP, Ctrl-Z or a debugger); false where the kernel cannot
    /// be asked, as in another pid namespace.
    pub stopped: bool,
    /// The first phase it has not done; earlier than the present one if that was forced.
    pub phase: Phase,
    /// How long that phase has been waiting for it.
    pub since: Duration,
    /// Items it is working on.
    pub in_flight: u32,
    /// The handler or other activity it is in.
    pub activity: Option<Activity>,
    /// Names of the locks its threads hold.
    pub locks_held: Vec<String>,
    /// Name of a lock that one of its threads waits for.
    pub lock_wanted: Option<String>,
}

/// A sentence without its stop, the same wherever a laggard is told. The runner's own words
/// are in it as they are.
impl std::fmt::Display for Laggard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stopped = match self.stopped {
            true => "is stopped (continue it with kill -CONT, or kill it); ",
            false => "",
        };
        write!(
            f,
            "{} (pid {}) {stopped}has not acknowledged {} for {}",
            self.id,
            self.pid,
            self.phase,
            time(self.since)
        )?;
        if self.in_flight > 0 {
            write!(
                f,
                "; has {} in flight",
                count(self.in_flight as usize, "item")
            )?;
        }
        if let Some(activity) = &self.activity {
            write!(
                f,
                "; is at: {}, for {}",
                activity.text,
                time(activity.since)
            )?;
        }
        if let Some(lock) = &self.lock_wanted {
            write!(f, "; waits for lock {lock}")?;
        }
        if !self.locks_held.is_empty() {
            write!(f, "; holds {}", self.locks_held.join(", "))?;
        }
        Ok(())
    }
}

/// A look at a segment from outside or inside. Taking it changes nothing, and works on
/// runners that are frozen or dead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Name of the segment.
    pub segment: String,
    /// The present generation, from 1.
    pub generation: u32,
    /// Where the group stands.
    pub phase: Phase,
    /// What became of the shutdown that is on or over; `None` while the group runs.
    pub outcome: Option<ShutdownOutcome>,
    /// When it began, by the wall clock; see [`ShutdownReport::began`](crate::ShutdownReport::began).
    pub began: Option<SystemTime>,
    /// When it was complete, likewise.
    pub ended: Option<SystemTime>,
    /// How hard, while a shutdown is on.
    pub mode: Mode,
    /// Why, while a shutdown is on or over.
    pub reason: Option<Reason>,
    /// Who shortened the budget of the first initiator, if anybody did.
    pub shortened: Option<Shortening>,
    /// Since the start of the shutdown.
    pub elapsed: Option<Duration>,
    /// Until the overall deadline; zero when it has passed.
    pub remaining: Option<Duration>,
    /// Until the present phase is forced; zero when that is due.
    pub phase_remaining: Option<Duration>,
    /// Since when the present phase should have been forced; nobody who runs has done it.
    pub phase_overdue: Option<Duration>,
    /// Who holds the present phase up. Empty unless a shutdown is on.
    pub laggards: Vec<Laggard>,
    /// Every runner of the present generation but for the [`predecessors`](Self::predecessors),
    /// and those of older ones that still live.
    pub runners: Vec<RunnerReport>,
    /// Runners that were replaced under their id after their death and, while a shutdown is on
    /// or over, those that had died before it began: one entry for each id.
    pub predecessors: Vec<Predecessor>,
    /// Processes attached, runners or not.
    pub attached: usize,
    /// Of those, the ones that live without their lock on the segment: other code closed its
    /// descriptor, and the segment has lost its name, so it cannot be opened again. They are
    /// seen to live by their life words alone.
    pub lockless: Vec<Holder>,
    /// The keys of the shared state, sorted.
    pub keys: Vec<StateKey>,
    /// Every registered resource.
    pub resources: Vec<ResourceReport>,
    /// Every named lock that is held, in the order of their first openings.
    pub locks: Vec<HeldLock>,
    /// Every named lock under which an owner died or panicked, and which nobody has marked
    /// consistent since.
    pub inconsistent_locks: Vec<InconsistentLock>,
    /// Every wait for a named lock, in the order of thread slots.
    pub lock_waits: Vec<WantedLock>,
    /// Every event, in the order of their first openings; none if their table is corrupt
    /// ([`Observer::events`](crate::Observer::events) says so).
    pub events: Vec<EventStatus>,
    /// Every semaphore, in the order of their first openings.
    pub semaphores: Vec<SemaphoreStatus>,
    /// Every barrier, likewise.
    pub barriers: Vec<BarrierStatus>,
}
