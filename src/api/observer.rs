//! Looking at a segment from outside, through a read-only mapping.

use std::path::Path;
use std::time::Duration;

use crate::api::core::{Tables, deadline};
use crate::api::holders::holders;
use crate::api::journal::Journal;
use crate::api::metrics::Metrics;
use crate::api::report::ShutdownReport;
use crate::api::request::Scope;
use crate::api::signs::{Polls, Signs};
use crate::api::state::StateKey;
use crate::api::state_keys::seen_keys;
use crate::api::status::Status;
use crate::api::timeline::Timeline;
use crate::api::view::{Target, View, corrupt};
use crate::api::view_events::EventStatus;
use crate::api::why::Why;
use crate::error::{CoordinationError, Holder, SegmentError};
use crate::limits::{self, MAX_PROCESSES};
use crate::os::{clock, file};
use crate::phase::{Mode, Phase};
use crate::segment::{Identity, Observed, Token};
use crate::sync::{Env, Mem, Owner, Pulse, Real};
use crate::table::liveness::{self, Verdict};

/// A look from outside: attached to nothing, holding nothing, writing nothing. The
/// mapping is read-only, so even a mistake could not disturb the runners. As it holds
/// nothing, a forked child may look through its parent's, unlike through any other handle.
#[derive(Debug)]
pub struct Observer {
    observed: Observed<Tables>,
    polls: Polls,
}

impl Observer {
    pub(crate) fn new(observed: Observed<Tables>) -> Self {
        Self {
            observed,
            polls: Polls::default(),
        }
    }

    /// The segment's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.observed.name().as_str()
    }

    /// Path of the segment's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.observed.path()
    }

    /// A printable word by which a process of this user opens this very segment.
    #[must_use]
    pub fn token(&self) -> Token {
        self.observed.token()
    }

    /// Whether the segment was removed since it was opened; who is in it goes on by
    /// itself, but new processes cannot find it.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.observed.is_removed()
    }

    /// How long ago the segment was created.
    #[must_use]
    pub fn age(&self) -> Duration {
        let created = self.observed.header().created_at();
        Duration::from_micros(clock::now().saturating_sub(created))
    }

    /// Process id of the creator as it saw itself; informational.
    #[must_use]
    pub fn creator_pid(&self) -> u32 {
        self.observed.header().creator_pid()
    }

    /// What is going on now. Never blocks.
    ///
    /// # Errors
    /// [`SegmentError::Corrupt`] when the control word is impossible.
    pub fn status(&self) -> Result<Status, SegmentError> {
        self.view().status()
    }

    /// The report of the group's present or last shutdown. Never blocks.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn report(&self) -> Result<ShutdownReport, SegmentError> {
        self.view().report(Target::All)
    }

    /// Blocks until the group's phase or mode is another than these, or the timeout
    /// passes. True if one is. Woken at once by whoever changes one of them; nothing is
    /// written, so this is one more sleeper on the group's word and no more than that.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn wait_for_change(
        &self,
        phase: Phase,
        mode: Mode,
        timeout: Duration,
    ) -> Result<bool, SegmentError> {
        let scope = &self.tables().group.scope;
        let until = deadline(self, Some(timeout));
        loop {
            let control = scope.control();
            if control.phase().map_err(corrupt)? != phase || control.mode() != mode {
                return Ok(true);
            }
            let now = clock::now();
            self.observed.not_removed()?;
            if now >= until {
                return Ok(false);
            }
            let bound = until.min(now.saturating_add(limits::WAIT_BOUND_MICROS));
            let _ = Real::wait(scope.cell(), control.futex_half(), bound);
        }
    }

    /// The keys of the shared state of one moment, sorted. Never blocks; empty, too, if
    /// writers are too quick for many looks in a row.
    #[must_use]
    pub fn state_keys(&self) -> Vec<StateKey> {
        seen_keys(self.observed.body())
    }

    /// Every event, in the order of their first openings. Never blocks.
    ///
    /// # Errors
    /// [`SegmentError::Corrupt`] when one of them is impossible.
    pub fn events(&self) -> Result<Vec<EventStatus>, SegmentError> {
        self.view()
            .events()
            .map_err(|corrupt| SegmentError::Corrupt {
                what: format!("{}: {}", self.path().display(), corrupt.0),
            })
    }

    /// What happened lately: the latest records of the journal, also when everybody who
    /// wrote them is dead. Never blocks.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.view().journal(0)
    }

    /// The same, without what was read before: what follows a sequence, for instance
    /// [`Journal::last`] of the reading before. Never blocks.
    #[must_use]
    pub fn journal_after(&self, sequence: u64) -> Journal {
        self.view().journal(sequence)
    }

    /// The group's present or last shutdown from its start to its end; `None` if the
    /// segment and its journal know of none. Never blocks.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn timeline(&self) -> Result<Option<Timeline>, SegmentError> {
        self.view().timeline()
    }

    /// The same of a scope: of [`Scope::All`] as [`timeline`](Self::timeline), of a runner the
    /// present or last shutdown of it alone, if it was ever shut down alone. Never blocks.
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`], [`SegmentError::Corrupt`].
    pub fn timeline_of(&self, scope: &Scope) -> Result<Option<Timeline>, CoordinationError> {
        self.view().timeline_of(scope)
    }

    /// Why the shutdown takes so long, in sentences: from the phase to who holds it up, to
    /// what that runner does or waits for, and on to whoever has that; and what the time was
    /// spent on. With an id, what that runner is at, or how it ended. Works on runners that
    /// are frozen or dead. Never blocks.
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`], [`SegmentError::Corrupt`].
    pub fn why(&self, runner: Option<&str>) -> Result<Why, CoordinationError> {
        self.view().why(runner)
    }

    /// Numbers for monitors, of this moment. Never blocks.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn metrics(&self) -> Result<Metrics, SegmentError> {
        self.view().metrics()
    }

    pub(crate) fn view(&self) -> View<'_, Self> {
        View {
            name: self.name(),
            tables: self.observed.body(),
            env: self,
        }
    }

    pub(crate) fn tables(&self) -> &Tables {
        self.observed.body()
    }

    /// Whether a process lives by its life word, for a remover that holds all life bytes: such
    /// a process has lost its own.
    pub(super) fn has_living_keeper(&self) -> bool {
        let tables = self.tables();
        let lives = |slot: usize| {
            let word = tables.processes.word(slot);
            let sign = liveness::keeper_sign(&tables.threads, slot, word);
            let existence = |part| self.existence(slot, word, part);
            liveness::verdict::<Real>(word, sign, || false, existence) == Verdict::LockLost
        };
        tables.processes.occupied().any(lives)
    }

    /// The identity of the observed file.
    pub(super) fn identity(&self) -> Identity {
        self.observed.header().identity()
    }

    /// The processes that keep an unforced remover off: each that holds its life byte or lives.
    pub(super) fn attached(&self) -> Vec<Holder> {
        let processes = &self.tables().processes;
        let keeps_off = |slot: &usize| {
            let word = processes.word(*slot);
            self.is_held(*slot) || !word.is_free() && self.weigh(*slot, word) != Verdict::Gone
        };
        let slots = (0..MAX_PROCESSES).filter(keeps_off);
        holders(self.tables(), slots)
    }

    pub(super) fn fault(&self) -> Result<Option<SegmentError>, SegmentError> {
        self.observed.fault()
    }
}

impl Signs<Real> for Observer {
    fn layout(&self) -> &Tables {
        self.observed.body()
    }

    fn polls(&self) -> &Polls {
        &self.polls
    }

    fn is_held(&self, process: usize) -> bool {
        self.observed.is_held(file::PROCESS_LOCKS + process as u64)
    }
}

impl Env<Real> for Observer {
    fn now(&self) -> u64 {
        clock::now()
    }

    fn process_pulse(&self, process: usize) -> Pulse<'_, Real> {
        let word = self.observed.body().processes.word(process);
        match word.is_free() {
            true => Pulse::Dead,
            false => self.process_life(process, word),
        }
    }

    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Real> {
        self.thread_life(owner)
    }
}
