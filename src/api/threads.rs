//! Thread slots of the calling thread, one per attachment it takes locks through, and the
//! named locks that it holds.
//!
//! What is needed most is kept [`NEAR`]: the slot in the attachment used last, and the few
//! locks held through it. Reaching it is a few loads; everything else is found in a list,
//! [`SEATS`], in which what is near is out of date as long as it is near.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::api::core::Core;
use crate::api::seat::Seat;
use crate::error::SegmentError;
use crate::segment::refused;
use crate::sync::Owner;

struct Held {
    core: Arc<Core>,
    seat: Option<(Owner, bool)>,
    /// Indices of the named locks that this thread holds, in the order they were taken;
    /// out of date while they are near.
    locks: Vec<usize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        NEAR.with(|near| {
            if near.is_of(&self.core) {
                near.core.set(NOBODY);
            }
        });
        let Some(seat) = self.seat.take() else { return };
        if self.core.is_forked() {
            // The slot is the parent's thread's.
            return;
        }
        drop(Seat::resume(&self.core, seat));
    }
}

/// Locks that fit near: who holds more is busy with other things.
const FEW: usize = 7;

/// The address of no attachment.
const NOBODY: usize = 0;

/// The thread's place in one attachment, for quick reach.
struct Near {
    /// Its address, or [`NOBODY`]. That attachment is in [`SEATS`], too, so it lives.
    core: Cell<usize>,
    owner: Cell<Owner>,
    /// The named locks held, in the order they were taken.
    held: Cell<usize>,
    locks: [Cell<usize>; FEW],
}

thread_local! {
    static SEATS: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };

    static NEAR: Near = const {
        Near {
            core: Cell::new(NOBODY),
            owner: Cell::new(Owner { slot: 0, generation: 0 }),
            held: Cell::new(0),
            locks: [const { Cell::new(0) }; FEW],
        }
    };
}

impl Near {
    #[inline]
    fn is_of(&self, core: &Arc<Core>) -> bool {
        self.core.get() == Arc::as_ptr(core).addr()
    }

    fn locks(&self) -> impl Iterator<Item = usize> {
        self.locks.iter().take(self.held.get()).map(Cell::get)
    }

    /// Whether something is true of all. Apart, so that who holds none does without.
    #[inline(never)]
    fn hold(&self, holds: impl FnMut(usize) -> bool) -> bool {
        self.locks().all(holds)
    }

    /// Brings an attachment near, if its locks fit.
    fn bring(&self, held: &Held) {
        let Some((owner, _)) = held.seat.filter(|_| held.locks.len() <= FEW) else {
            return;
        };
        for (near, lock) in self.locks.iter().zip(&held.locks) {
            near.set(*lock);
        }
        self.held.set(held.locks.len());
        self.owner.set(owner);
        self.core.set(Arc::as_ptr(&held.core).addr());
    }

    /// Writes what is near back to its place in the list.
    fn put_back(&self, seats: &mut [Held]) {
        let held = seats.iter_mut().find(|held| self.is_of(&held.core));
        if let Some(held) = held {
            held.locks.clear();
            held.locks.extend(self.locks());
        }
        self.core.set(NOBODY);
    }
}

/// The calling thread's slot in an attachment, taken at the first call. It is given
/// back when the thread ends or the attachment is dropped by this thread.
#[inline]
pub(crate) fn owner(core: &Arc<Core>) -> Result<Owner, SegmentError> {
    core.check()?;
    NEAR.with(|near| match near.is_of(core) {
        true => Ok(near.owner.get()),
        false => far_owner(core, near),
    })
}

#[cold]
fn far_owner(core: &Arc<Core>, near: &Near) -> Result<Owner, SegmentError> {
    let taken = SEATS.try_with(|seats| {
        let mut seats = seats.borrow_mut();
        near.put_back(&mut seats);
        let found = seats.iter().find(|held| Arc::ptr_eq(&held.core, core));
        if let Some(held) = found
            && let Some((owner, _)) = held.seat
        {
            near.bring(held);
            return Ok(owner);
        }
        // A thread that outlives an attachment leaves it at its next chance; the last one
        // detaches.
        seats.retain(|held| !held.core.is_over());
        let seat = Seat::take(core)?.keep();
        let held = Held {
            core: Arc::clone(core),
            seat: Some(seat),
            locks: Vec::new(),
        };
        near.bring(&held);
        seats.push(held);
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

/// Takes a named lock by `take`, one look at its word, and notes it, if the calling thread's
/// slot is near, there is room for one more lock, and something is true of all that it holds.
/// `None` otherwise, and for a handle of no use. Neither closure may take or give a lock through
/// this module.
#[inline]
pub(crate) fn take_near<T>(
    core: &Arc<Core>,
    lock: usize,
    holds: impl FnMut(usize) -> bool,
    take: impl FnOnce(Owner) -> Option<T>,
) -> Option<(Owner, T)> {
    NEAR.with(|near| {
        if !near.is_of(core) || core.is_spent() {
            return None;
        }
        let held = near.held.get();
        if held != 0 && !near.hold(holds) {
            return None;
        }
        let (place, owner) = (near.locks.get(held)?, near.owner.get());
        let taken = take(owner)?;
        place.set(lock);
        near.held.set(held + 1);
        Some((owner, taken))
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

/// The list's entry of an attachment, brought up to date, and brought near after.
#[cold]
fn far<T>(core: &Arc<Core>, look: impl FnOnce(&mut Vec<usize>) -> T) -> Option<T> {
    // After the thread's own locals are gone it is about to end.
    let with = |seats: &RefCell<Vec<Held>>| {
        let mut seats = seats.borrow_mut();
        NEAR.with(|near| {
            near.put_back(&mut seats);
            let held = seats
                .iter_mut()
                .find(|held| Arc::ptr_eq(&held.core, core))?;
            let answer = look(&mut held.locks);
            near.bring(held);
            Some(answer)
        })
    };
    SEATS.try_with(with).ok().flatten()
}

/// The calling thread has taken a named lock.
#[inline]
pub(crate) fn took(core: &Arc<Core>, lock: usize) {
    NEAR.with(|near| {
        let held = near.held.get();
        match near.locks.get(held) {
            Some(place) if near.is_of(core) => {
                place.set(lock);
                near.held.set(held + 1);
            }
            _ => drop(far(core, |locks| locks.push(lock))),
        }
    });
}

/// The calling thread has given a named lock back.
#[inline]
pub(crate) fn gave(core: &Arc<Core>, lock: usize) {
    NEAR.with(|near| {
        // Mostly the last one.
        let last = near.held.get().wrapping_sub(1);
        let is_last = near.locks.get(last).is_some_and(|held| held.get() == lock);
        if is_last && near.is_of(core) {
            near.held.set(last);
        } else {
            gave_earlier(core, lock);
        }
    });
}

#[cold]
fn gave_earlier(core: &Arc<Core>, lock: usize) {
    far(core, |locks| {
        if let Some(place) = locks.iter().rposition(|held| *held == lock) {
            locks.remove(place);
        }
    });
}

/// Whether something is true of all named locks that the calling thread holds. Nothing is
/// allocated, and `holds` may not take or give a lock.
pub(crate) fn all_held(core: &Arc<Core>, mut holds: impl FnMut(usize) -> bool) -> bool {
    NEAR.with(|near| match near.is_of(core) {
        true => near.locks().all(holds),
        false => far(core, |locks| locks.iter().all(|lock| holds(*lock))).unwrap_or(true),
    })
}

/// The named locks that the calling thread holds; nothing is allocated for none.
pub(crate) fn held(core: &Arc<Core>) -> Vec<usize> {
    NEAR.with(|near| match near.is_of(core) {
        true => near.locks().collect(),
        false => far(core, |locks| locks.clone()).unwrap_or_default(),
    })
}
