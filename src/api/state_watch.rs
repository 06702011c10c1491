//! Waiting for a key of the shared state to change.

use std::fmt;
use std::time::Duration;

use crate::api::core::deadline;
use crate::api::pollable::Notifier;
use crate::api::state::{SharedStateManager, checked};
use crate::api::waiting::{Look, Wait};
use crate::error::{CoordinationError, StateError};
use crate::table::entry::Nothing;
use crate::table::key::Key;
use crate::table::store::{Found, Watched};

/// Watches one key. Every write and deletion of it since the last look is a change;
/// several in a row are told as one, with the newest value.
///
/// It tells of states, not of every step: of several changes between two looks it shows the
/// last, and a key that was set and deleted again between two looks is as it was.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::Duration;
/// # use ebbtide::{SegmentOptions, SharedStateManager};
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// # let segment = options.create("job")?;
/// let state = SharedStateManager::open(&segment)?;
/// let mut watch = state.watch("level")?;
/// assert!(watch.wait_change(Some(Duration::ZERO))?.is_none());
/// state.set("level", "high")?;
/// let change = watch.wait_change(None)?.expect("it was set");
/// assert_eq!(change.value.as_deref(), Some(&b"high"[..]));
/// # Ok(())
/// # }
/// ```
pub struct StateWatch {
    manager: SharedStateManager,
    name: String,
    key: Key,
    seen: u64,
}

/// What a key was changed to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateChange {
    /// The value; `None` when the key was deleted.
    pub value: Option<Vec<u8>>,
    /// Number of the commit that wrote it; 0 when the key was deleted.
    pub version: u64,
}

impl StateWatch {
    pub(crate) fn new(manager: SharedStateManager, key: &str) -> Result<Self, StateError> {
        let wanted = checked(key)?;
        let seen = version_of(manager.copy(&wanted, &mut Nothing)?);
        Ok(Self {
            manager,
            name: key.into(),
            key: wanted,
            seen,
        })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.name
    }

    /// The key as it is now, which counts as seen; `None` if it is not there. Does not
    /// block, unless writers are so fast that it takes their lock after many tries.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn current(&mut self) -> Result<Option<StateChange>, StateError> {
        let mut value = Vec::new();
        let found = self.manager.copy(&self.key, &mut value)?;
        self.seen = version_of(found);
        Ok((found != Found::Absent).then_some(StateChange {
            value: Some(value),
            version: self.seen,
        }))
    }

    /// Blocks until the key was changed since the last look (the making of the watch, or
    /// the last change told). False if the timeout passes first; `None` waits for ever.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool, StateError> {
        Ok(self.wait_change(timeout)?.is_some())
    }

    /// The same, with what it was changed to. `None` if the timeout passes first.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_change(
        &mut self,
        timeout: Option<Duration>,
    ) -> Result<Option<StateChange>, StateError> {
        let core = self.manager.session().core();
        core.check()?;
        let until = deadline(core.as_ref(), timeout);
        let mut value = Vec::new();
        // Ends: every round returns, or follows a write of the key.
        loop {
            let watched =
                self.manager
                    .table()
                    .wait_past(&self.key, self.seen, core.as_ref(), until);
            if watched == Watched::TimedOut {
                core.opened().not_removed()?;
                return Ok(None);
            }
            let found = self.manager.copy(&self.key, &mut value)?;
            let version = version_of(found);
            if version != self.seen {
                self.seen = version;
                return Ok(Some(StateChange {
                    value: (found != Found::Absent).then_some(value),
                    version,
                }));
            }
        }
    }
}

impl StateWatch {
    /// Ends when the key was changed since the last look; [`wait_change`](Self::wait_change)
    /// with no time then tells to what.
    pub fn changed(&self) -> Wait<()> {
        let mut look = self.look();
        let look: Look<_> = Box::new(move |core, sleep| look(core, sleep).map(Ok));
        Wait::new(self.manager.session(), look)
    }

    /// A descriptor that is readable once the key was changed since the last look.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle); `System` when
    /// there is no descriptor or thread left.
    pub fn notifier(&self) -> Result<Notifier, CoordinationError> {
        Notifier::new(self.manager.session(), self.look())
    }

    fn look(&self) -> Look<()> {
        let (key, seen) = (self.key, self.seen);
        Box::new(move |core, sleep| {
            let Some((bell, heard)) = core.tables().store.arm(&key, seen) else {
                return Some(());
            };
            sleep.on(bell, heard);
            None
        })
    }
}

impl fmt::Debug for StateWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateWatch")
            .field("key", &self.name)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

fn version_of(found: Found) -> u64 {
    match found {
        Found::Present(version) => version,
        Found::Absent => 0,
    }
}
