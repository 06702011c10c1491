//! Thread slots of the calling thread, one per attachment it takes locks through.

use std::cell::RefCell;
use std::sync::Arc;

use crate::api::core::Core;
use crate::api::seat::Seat;
use crate::error::SegmentError;
use crate::segment::refused;
use crate::sync::Owner;

struct Held {
    core: Arc<Core>,
    seat: Option<(Owner, bool)>,
    /// Indices of the named locks that this thread holds, in the order they were taken.
    locks: Vec<usize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        if self.core.is_forked() {
            // The slot is the parent's thread's.
            return;
        }
        drop(Seat::resume(&self.core, seat));
    }
}

thread_local! {
    static SEATS: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

/// The calling thread's slot in an attachment, taken at the first call. It is given
/// back when the thread ends or the attachment is dropped by this thread.
pub(crate) fn owner(core: &Arc<Core>) -> Result<Owner, SegmentError> {
    core.check()?;
    let taken = SEATS.try_with(|seats| {
        let mut seats = seats.borrow_mut();
        let found = seats.iter().find(|held| Arc::ptr_eq(&held.core, core));
        if let Some((owner, _)) = found.and_then(|held| held.seat) {
            return Ok(owner);
        }
        // A thread that outlives an attachment leaves it at its next chance.
        seats.retain(|held| Arc::strong_count(&held.core) > 1);
        let seat = Seat::take(core)?.keep();
        seats.push(Held {
            core: Arc::clone(core),
            seat: Some(seat),
            locks: Vec::new(),
        });
        Ok(seat.0)
    });
    taken.unwrap_or_else(|_| {
        let ending = std::io::Error::other("the calling thread is ending");
        Err(refused(
            "take a thread slot in",
            core.opened().path(),
            ending,
        ))
    })
}

/// Gives the calling thread's slot back.
pub(crate) fn forget(core: &Arc<Core>) {
    // After the thread's own locals are gone there is nothing to give back.
    let _ = SEATS.try_with(|seats| {
        seats
            .borrow_mut()
            .retain(|held| !Arc::ptr_eq(&held.core, core));
    });
}

fn locks<T>(core: &Arc<Core>, look: impl FnOnce(&mut Vec<usize>) -> T) -> Option<T> {
    // After the thread's own locals are gone it is about to end.
    let with = |seats: &RefCell<Vec<Held>>| {
        let mut seats = seats.borrow_mut();
        let held = seats.iter_mut().find(|held| Arc::ptr_eq(&held.core, core));
        held.map(|held| look(&mut held.locks))
    };
    SEATS.try_with(with).ok().flatten()
}

/// The calling thread has taken a named lock.
pub(crate) fn took(core: &Arc<Core>, lock: usize) {
    locks(core, |locks| locks.push(lock));
}

/// The calling thread has given a named lock back.
pub(crate) fn gave(core: &Arc<Core>, lock: usize) {
    locks(core, |locks| {
        // Mostly the last one.
        if let Some(place) = locks.iter().rposition(|held| *held == lock) {
            locks.remove(place);
        }
    });
}

/// The named locks that the calling thread holds; nothing is allocated for none.
pub(crate) fn held(core: &Arc<Core>) -> Vec<usize> {
    locks(core, |locks| locks.clone()).unwrap_or_default()
}
