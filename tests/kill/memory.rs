//! Real shared memory in which the process kills itself before its k-th access.
//!
//! Same layout, same kernel as the real thing: the wrappers are transparent. Un-armed
//! it only counts, so that a test first counts the accesses of an operation and then
//! runs it once per access in a child that dies there.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{getpid, pause};

use crate::os::futex;
use crate::segment::shared;
use crate::sync::life::RealLife;
use crate::sync::mem::{LifeArea, Mem, Woken, ticking_word};

/// Accesses made so far by this process.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// The number of the access before which this process dies.
static FATAL: AtomicU64 = AtomicU64::new(u64::MAX);

/// From now on, dies before the `k`-th access (0 is the next one).
pub(crate) fn arm(k: u64) {
    FATAL.store(
        COUNT.load(Ordering::Relaxed).saturating_add(k),
        Ordering::Relaxed,
    );
}

/// Shared accesses (atomic accesses, fences, futex calls) made so far by this process.
pub(crate) fn accesses() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// One access is about to be made.
fn tick() {
    if COUNT.fetch_add(1, Ordering::Relaxed) == FATAL.load(Ordering::Relaxed) {
        // Nothing after this runs: no unwinding, no destructor, no exit handler.
        let _ = kill(getpid(), Signal::SIGKILL);
        loop {
            pause();
        }
    }
}

/// The memory that kills.
#[derive(Debug)]
pub(crate) struct Faulty;

/// A 32-bit word.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct FaultyU32(AtomicU32);

/// A 64-bit word.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct FaultyU64(AtomicU64);

/// A life word that the kernel really marks;
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct FaultyLife(RealLife);

impl LifeArea<Faulty> for FaultyLife {
    fn word(&self) -> &FaultyU32 {
        let word = core::ptr::from_ref(self.0.word()).cast::<FaultyU32>();
        // SAFETY:
        // - FaultyU32 is a transparent wrapper of AtomicU32: same layout and validity;
        // - the pointer comes from a reference that lives as long as `self`.
        unsafe { &*word }
    }
    fn hold(&self) -> std::io::Result<()> {
        self.0.hold()
    }
    fn release(&self) {
        self.0.release();
    }
}

ticking_word!(FaultyU32, u32, tick);
ticking_word!(FaultyU64, u64, tick);

impl Mem for Faulty {
    type U32 = FaultyU32;
    type U64 = FaultyU64;
    type Life = FaultyLife;
    type Cell<'a> = futex::Cell<'a>;

    fn cell(word: &FaultyU32) -> futex::Cell<'_> {
        futex::Cell::of(&word.0)
    }
    fn low_cell(word: &FaultyU64) -> futex::Cell<'_> {
        futex::Cell::low_half_of(&word.0)
    }
    fn fence(order: Ordering) {
        tick();
        fence(order);
    }
    fn wait(cell: futex::Cell<'_>, expected: u32, until: u64) -> Woken {
        tick();
        futex::wait(cell, expected, until)
    }
    fn wait_any(cells: &[(futex::Cell<'_>, u32)], until: u64) -> Woken {
        tick();
        futex::wait_any(cells, until)
    }
    fn wake(cell: futex::Cell<'_>, count: u32) {
        tick();
        futex::wake(cell, count);
    }
    fn relax() {
        core::hint::spin_loop();
    }
}

shared!(FaultyU32 { 0 });
shared!(FaultyU64 { 0 });
shared!(FaultyLife { 0 });
