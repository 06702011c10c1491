//! Writing to the shared state: by who holds the writers' lock.

use std::time::Duration;

use crate::api::core::deadline;
use crate::api::names::describe;
use crate::api::state::{SharedStateManager, StateTable};
use crate::api::threads;
use crate::error::{SegmentError, StateError};
use crate::sync::mutex::NotLocked;
use crate::sync::{Env, Owner};
use crate::table::Corrupt;
use crate::table::commit::{NotCommitted, Write};
use crate::table::store::{Mark, Moved, undisturbed};

/// The writers' lock, held until this is dropped.
pub(crate) struct Locked<'a> {
    manager: &'a SharedStateManager,
    me: Owner,
}

impl<'a> Locked<'a> {
    /// Takes it, waiting for other writers at most for the manager's lock timeout.
    pub(super) fn take(manager: &'a SharedStateManager) -> Result<Self, StateError> {
        let me = threads::owner(manager.table.whole())?;
        match manager.table.lock_free(me) {
            true => Ok(Self { manager, me }),
            false => Self::contended(manager, me),
        }
    }

    #[cold]
    fn contended(manager: &'a SharedStateManager, me: Owner) -> Result<Self, StateError> {
        let core = manager.session().core();
        let began = core.now();
        let until = deadline(core.as_ref(), Some(manager.lock_timeout));
        match manager.table().lock(me, core.as_ref(), until) {
            Ok(()) => Ok(Self { manager, me }),
            Err(NotLocked::TimedOut { waited_for }) => {
                Err(core.opened().or_stale(StateError::TimedOut {
                    waited: Duration::from_micros(core.now().saturating_sub(began)),
                    holder: describe(core, waited_for),
                }))
            }
            // Nobody calls this wait off, and no condition variable is about.
            Err(NotLocked::Recursive | NotLocked::NotOurs | NotLocked::CalledOff) => {
                Err(StateError::Nested)
            }
            Err(NotLocked::Corrupt { word }) => Err(SegmentError::Corrupt {
                what: format!("lock of the shared state: word {word:#010x}"),
            }
            .into()),
        }
    }

    pub(crate) fn table(&self) -> &StateTable {
        self.manager.table()
    }

    /// Reads what cannot move, as nobody else writes.
    pub(crate) fn read<T>(
        &self,
        mut read: impl FnMut(Mark) -> Result<T, Moved>,
    ) -> Result<T, StateError> {
        let core = self.manager.session().core();
        Ok(undisturbed(read(self.table().mark())).map_err(|corrupt| core.corrupt(corrupt))?)
    }

    /// A forked child must not write for its parent.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        Ok(self.manager.table.whole().check()?)
    }

    /// One write of a value is the whole transaction.
    pub(super) fn commit_one(&self, name: &str, write: &Write<'_>) -> Result<(), StateError> {
        self.check()?;
        let committed = self.table().commit(core::slice::from_ref(write));
        committed.map(drop).map_err(|why| match why {
            NotCommitted::Corrupt(corrupt) => self.corrupt(corrupt),
            NotCommitted::Full => StateError::Full {
                keys: vec![name.into()],
            },
        })
    }

    pub(crate) fn corrupt(&self, corrupt: Corrupt) -> StateError {
        self.manager.session().core().corrupt(corrupt).into()
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // A forked child never unlocks for its parent.
        if !self.manager.table.whole().is_forked() {
            self.table().unlock(self.me);
        }
    }
}
