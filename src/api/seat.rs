//! A thread's seat: its slot and life word.

use crate::api::core::Core;
use crate::api::holders::holders;
use crate::error::SegmentError;
use crate::layout::Layout;
use crate::limits::MAX_THREADS;
use crate::os::process::may_have_thread;
use crate::segment::Body;
use crate::sync::{LifeArea, Mem, Owner, Real};

/// A thread slot held by the thread that is running.
pub(crate) struct Seat<'a, M: Mem = Real>
where
    Layout<M>: Body,
{
    core: &'a Core<M>,
    pub(crate) owner: Owner,
    holds_life: bool,
}

impl<'a, M: Mem> Seat<'a, M>
where
    Layout<M>: Body,
{
    /// Takes a thread slot, and its life word where the platform has life words.
    pub(crate) fn take(core: &'a Core<M>) -> Result<Self, SegmentError> {
        Self::take_by(core, |owner| {
            let is_live = core.tables().threads.go_live(owner, core.process());
            is_live.then_some(()).ok_or(SegmentError::Detached)
        })
    }

    /// The same as the keeper of a process, which becomes live by it.
    pub(crate) fn take_as_keeper(core: &'a Core<M>) -> Result<Self, SegmentError> {
        Self::take_by(core, |owner| core.go_live(owner))
    }

    fn take_by(
        core: &'a Core<M>,
        go_live: impl FnOnce(Owner) -> Result<(), SegmentError>,
    ) -> Result<Self, SegmentError> {
        let threads = &core.tables().threads;
        let attach = || threads.attach(core.process());
        // Full: perhaps of the dead, first of whole processes, then of single threads.
        let owner = attach()
            .or_else(|| {
                core.reap();
                attach()
            })
            .or_else(|| {
                free_ended(core);
                attach()
            })
            .or_else(|| threads.attach_unless(core.process(), may_have_thread));
        let Some(owner) = owner else {
            return Err(SegmentError::Full {
                table: "threads",
                capacity: MAX_THREADS,
                held_by: holders(core.tables(), core.tables().processes.occupied()),
            });
        };
        let mut seat = Self {
            core,
            owner,
            holds_life: false,
        };
        // Swept meanwhile, the slot may be another's, and the word a living thread's.
        if !threads.clear_life(owner, may_have_thread) {
            return Err(SegmentError::Detached);
        }
        if let Some(thread) = threads.get(usize::from(owner.slot)) {
            // A failure leaves the word silent: peers then ask the byte lock.
            seat.holds_life = !core.is_portable() && thread.life.hold().is_ok();
        }
        // An error drops the seat, which frees no slot but its own.
        go_live(owner)?;
        Ok(seat)
    }

    /// Gives up the guard without giving up the slot.
    pub(crate) fn keep(self) -> (Owner, bool) {
        let parts = (self.owner, self.holds_life);
        std::mem::forget(self);
        parts
    }

    /// The guard of a slot taken before by this same thread.
    pub(crate) fn resume(core: &'a Core<M>, (owner, holds_life): (Owner, bool)) -> Self {
        Self {
            core,
            owner,
            holds_life,
        }
    }
}

impl<M: Mem> Drop for Seat<'_, M>
where
    Layout<M>: Body,
{
    fn drop(&mut self) {
        let slot = usize::from(self.owner.slot);
        let threads = &self.core.tables().threads;
        // A lock that this thread still holds passes on as owner-died.
        self.core.hand_over_locks(self.owner);
        if self.holds_life
            && let Some(thread) = threads.get(slot)
        {
            thread.life.release();
        }
        let word = threads.word(slot);
        // Not if this process was taken for dead: it is another thread's slot then.
        if word.is_of(self.owner) {
            threads.free(slot, word);
        }
    }
}

/// Frees the slots of all threads that have ended without giving theirs back, after what
/// they hold was handed over; returns how many.
pub(crate) fn free_ended<M: Mem>(core: &Core<M>) -> usize
where
    Layout<M>: Body,
{
    let tables = core.tables();
    tables.threads.free_ended(
        |process, slot| tables.processes.word(process).keeper() == Some(slot),
        |ended| core.hand_over_locks(ended),
    )
}
