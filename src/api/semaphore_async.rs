//! Taking a permit without blocking the thread.

use std::fmt;
use std::sync::Arc;

use crate::api::core::Core;
use crate::api::reactor::Sleep;
use crate::api::semaphore::CrossProcessSemaphore;
use crate::api::session::Session;
use crate::api::threads;
use crate::api::waiting::{Look, Wait};
use crate::error::CoordinationError;
use crate::limits::LOCK_BOUNDS_MICROS;
use crate::table::semaphore_poll::{Polled, Watched};

impl CrossProcessSemaphore {
    /// Takes a permit for this process, as a future. It may go to any thread and be given
    /// back by any, and comes back if the process dies. Dropping the future takes nothing.
    pub fn permit(&self) -> Wait<ProcessPermit> {
        let (session, index) = (Arc::clone(self.session()), self.index());
        let look: Look<_> =
            Box::new(move |core, sleep| take(&session, index, core, sleep).transpose());
        Wait::new(self.session(), look)
    }
}

/// In the name of the waiting thread, which lives as long as the attachment.
fn take<'c>(
    session: &Arc<Session>,
    index: usize,
    core: &'c Arc<Core>,
    sleep: &mut Sleep<'c>,
) -> Result<Option<ProcessPermit>, CoordinationError> {
    let me = threads::owner(core)?;
    let semaphore = &core.tables().semaphores[index];
    let polled = semaphore.poll(me, core.as_ref(), |on, value| match on {
        Watched::Signal(cell) => sleep.on(cell, value),
        Watched::Life(word) => sleep.on_life(word, value),
    });
    sleep.until(sleep.now.saturating_add(LOCK_BOUNDS_MICROS[2]));
    match polled.map_err(|what| core.corrupt(what))? {
        Polled::Taken(permit) => {
            return Ok(Some(ProcessPermit {
                session: Arc::clone(session),
                index,
                permit,
                me,
            }));
        }
        Polled::Asleep => {}
        Polled::AsleepSoon => sleep.soon(),
        Polled::Again => sleep.until(0),
    }
    Ok(None)
}

/// The permit is held by this process until this is dropped, by whatever thread.
#[must_use = "the permit is given back when this is dropped"]
pub struct ProcessPermit {
    session: Arc<Session>,
    index: usize,
    permit: usize,
    me: crate::sync::Owner,
}

impl Drop for ProcessPermit {
    fn drop(&mut self) {
        let core = self.session.core();
        if !core.is_forked() {
            core.tables().semaphores[self.index].release(self.permit, self.me);
        }
    }
}

impl fmt::Debug for ProcessPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPermit")
            .field("semaphore", &self.index)
            .finish_non_exhaustive()
    }
}
