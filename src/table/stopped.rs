//! A memory for tests in which one thread is stopped before a chosen access, for as long as
//! others take.
//!
//! The others run on the same thread, in the middle of the step: so each interleaving is one
//! test case, and a stop may last for any number of their steps.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::rc::Rc;

use crate::sync::mem::{LifeArea, Mem, Woken, ticking_word};

type Others = Box<dyn FnOnce()>;

thread_local! {
    /// Accesses before the stop.
    static AHEAD: Cell<u64> = const { Cell::new(0) };
    static OTHERS: RefCell<Option<Others>> = const { RefCell::new(None) };
}

/// An access is about to be made.
fn tick() {
    if OTHERS.with_borrow(Option::is_none) {
        return;
    }
    let ahead = AHEAD.get();
    AHEAD.set(ahead.wrapping_sub(1));
    if ahead == 0
        && let Some(others) = OTHERS.take()
    {
        others();
    }
}

/// Runs `victim`, stopped before its access number `ahead` while `others` runs. False if it
/// makes fewer accesses; then the others run after it.
pub(crate) fn stop_before(
    ahead: u64,
    others: impl FnOnce() + 'static,
    victim: impl FnOnce(),
) -> bool {
    AHEAD.set(ahead);
    OTHERS.set(Some(Box::new(others)));
    victim();
    match OTHERS.take() {
        Some(others) => {
            others();
            false
        }
        None => true,
    }
}

/// Stops `victim` before each of its accesses in turn, each time in a new world, and checks
/// the world that it leaves.
pub(crate) fn stop_everywhere<W: 'static>(
    new: impl Fn() -> W,
    victim: impl Fn(&W),
    others: fn(&W),
    check: impl Fn(&W),
) {
    let mut ahead = 0;
    loop {
        let world = Rc::new(new());
        let shared = Rc::clone(&world);
        let is_hit = stop_before(ahead, move || others(&shared), || victim(&world));
        check(&world);
        if !is_hit {
            assert!(ahead > 0, "it makes no access");
            return;
        }
        ahead += 1;
    }
}

/// The memory.
#[derive(Debug)]
pub(crate) struct Stopped;

/// A word of 32 bits.
#[derive(Debug, Default)]
pub(crate) struct U32(AtomicU32);

/// A word of 64 bits.
#[derive(Debug, Default)]
pub(crate) struct U64(AtomicU64);

ticking_word!(U32, u32, tick);
ticking_word!(U64, u64, tick);

/// A life word that nobody holds.
#[derive(Debug, Default)]
pub(crate) struct Life(U32);

impl LifeArea<Stopped> for Life {
    fn word(&self) -> &U32 {
        &self.0
    }
}

/// Nobody sleeps here: a wait returns at once.
impl Mem for Stopped {
    type U32 = U32;
    type U64 = U64;
    type Life = Life;
    type Cell<'a> = ();

    fn cell(_word: &U32) {}
    fn low_cell(_word: &U64) {}
    fn fence(order: Ordering) {
        tick();
        fence(order);
    }
    fn wait(_cell: (), _expected: u32, _until: u64) -> Woken {
        Woken::Look
    }
    fn wait_any(_cells: &[((), u32)], _until: u64) -> Woken {
        Woken::Look
    }
    fn wake(_cell: (), _count: u32) {}
    fn relax() {}
}
