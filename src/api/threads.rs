//! Thread slots of the calling thread, one per attachment it takes locks through.

use std::cell::RefCell;
use std::sync::Arc;

use crate::api::core::Core;
use crate::api::seat::Seat;
use crate::error::SegmentError;
use crate::sync::Owner;

struct Held {
    core: Arc<Core>,
    seat: Option<(Owner, bool)>,
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
    SEATS.with(|seats| {
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
        });
        Ok(seat.0)
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
