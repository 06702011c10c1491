//! Looking at a segment from outside, through a read-only mapping.

use std::path::Path;
use std::time::Duration;

use crate::api::core::Tables;
use crate::api::report::ShutdownReport;
use crate::api::state::StateKey;
use crate::api::state_keys::seen_keys;
use crate::api::status::Status;
use crate::api::view::{Target, View};
use crate::api::view_events::EventStatus;
use crate::error::SegmentError;
use crate::os::{clock, file};
use crate::segment::{Observed, Token};
use crate::sync::{Env, Owner, Pulse, Real};

/// A look from outside: attached to nothing, holding nothing, writing nothing. The
/// mapping is read-only, so even a mistake could not disturb the runners.
#[derive(Debug)]
pub struct Observer {
    observed: Observed<Tables>,
}

impl Observer {
    pub(crate) fn new(observed: Observed<Tables>) -> Self {
        Self { observed }
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

    fn view(&self) -> View<'_, Self> {
        View {
            name: self.name(),
            tables: self.observed.body(),
            env: self,
        }
    }

    pub(crate) fn tables(&self) -> &Tables {
        self.observed.body()
    }

    pub(super) fn fault(&self) -> Result<Option<SegmentError>, SegmentError> {
        self.observed.fault()
    }

    pub(super) fn is_held(&self, process: usize) -> bool {
        let offset = file::PROCESS_LOCKS + process as u64;
        file::is_held_by_other(self.observed.file(), offset).unwrap_or(true)
    }
}

impl Env<Real> for Observer {
    fn now(&self) -> u64 {
        clock::now()
    }

    fn process_pulse(&self, process: usize) -> Pulse<'_, Real> {
        let tables = self.observed.body();
        let word = tables.processes.word(process);
        if word.is_free() {
            return Pulse::Dead;
        }
        let keeper = word.keeper().filter(|_| word.is_live());
        tables
            .threads
            .pulse_of_process(process, keeper, || self.is_held(process))
    }

    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Real> {
        self.observed
            .body()
            .threads
            .pulse_of_thread(owner, |process| self.is_held(process))
    }
}
