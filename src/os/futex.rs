//! Futex waits and wakes on words that other processes share.
//!
//! Never with the private flag: the kernel's key of a shared file mapping is the
//! inode and the offset, so different mappings of one segment meet.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::io;
use std::time::Duration;

use crate::limits::{MAX_WAIT_WORDS, PORTABLE_POLL_MICROS};
use crate::os::clock;
use crate::sync::mem::Woken;

/// Thirty-two aligned bits that the kernel can compare and sleep on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    /// Valid for reads for `'a`, aligned to four bytes.
    address: *const u32,
    word: PhantomData<&'a AtomicU32>,
}

impl<'a> Cell<'a> {
    /// The cell of a whole word.
    #[inline]
    pub(crate) fn of(word: &'a AtomicU32) -> Self {
        Self {
            address: word.as_ptr(),
            word: PhantomData,
        }
    }

    /// The cell of the less significant half of a word.
    #[inline]
    pub(crate) fn low_half_of(word: &'a AtomicU64) -> Self {
        let half = usize::from(cfg!(target_endian = "big"));
        Self {
            address: word.as_ptr().cast::<u32>().wrapping_add(half),
            word: PhantomData,
        }
    }
}

const UNKNOWN: u8 = 0;
const PRESENT: u8 = 1;
const MISSING: u8 = 2;

/// Whether the kernel has `futex_waitv`: `UNKNOWN` until somebody asks.
static WAITV: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Set when the fallback is forced.
static WAITV_REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether [`wait_any`] sleeps on all its words. Asks the kernel once per process.
pub(crate) fn has_waitv() -> bool {
    if WAITV_REFUSED.load(Ordering::Relaxed) {
        return false;
    }
    match WAITV.load(Ordering::Relaxed) {
        UNKNOWN => {
            // SAFETY:
            // - futex_waitv with zero words reads no memory: it answers EINVAL
            //   where it exists, and another error where it does not.
            unsafe {
                libc::syscall(
                    libc::SYS_futex_waitv,
                    0usize,
                    0u32,
                    0u32,
                    0usize,
                    libc::CLOCK_MONOTONIC,
                )
            };
            let present = errno() == libc::EINVAL;
            WAITV.store(if present { PRESENT } else { MISSING }, Ordering::Relaxed);
            present
        }
        known => known == PRESENT,
    }
}

/// Allows (default) or forbids `futex_waitv` in this process, to run the portable
/// fallback on a kernel that has it.
pub(crate) fn set_waitv(allowed: bool) {
    WAITV_REFUSED.store(!allowed, Ordering::Relaxed);
}

/// Sleeps while the cell holds `expected`, at most until the normalised instant
/// `until` (absolute; one in the past returns at once).
pub(crate) fn wait(cell: Cell<'_>, expected: u32, until: u64) -> Woken {
    let deadline = clock::local(until);
    let operation = libc::FUTEX_WAIT_BITSET;
    // SAFETY:
    // - `address` is valid for reads and aligned: `Cell` borrows a live atomic.
    // - `deadline` outlives the call; without FUTEX_CLOCK_REALTIME it is absolute
    //   on CLOCK_MONOTONIC.
    // - The kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            cell.address,
            operation,
            expected,
            core::ptr::from_ref(deadline.as_ref()),
            core::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    answer(result, until)
}

/// One word of `futex_waitv`, as the kernel defines it.
#[repr(C)]
struct WaitvWord {
    expected: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// `struct __kernel_timespec`: 64 bits on every architecture.
#[repr(C)]
struct KernelTime {
    seconds: i64,
    nanos: i64,
}

/// Sleeps while every cell holds what is expected, at most until `until`. No cells: until
/// then. At most [`MAX_WAIT_WORDS`] count.
///
/// Where the kernel has no such wait (or [`set_waitv`] forbade it), sleeps on the
/// first alone for at most [`PORTABLE_POLL_MICROS`], then says [`Woken::Look`].
pub(crate) fn wait_any(cells: &[(Cell<'_>, u32)], until: u64) -> Woken {
    const FUTEX2_SIZE_U32: u32 = 2;
    const UNUSED: WaitvWord = WaitvWord {
        expected: 0,
        address: 0,
        flags: 0,
        reserved: 0,
    };
    let first = match cells {
        [] => return rest(until),
        [only] => return wait(only.0, only.1, until),
        [first, ..] => *first,
    };
    if !has_waitv() {
        return wait_first(first, until);
    }
    let mut words = [UNUSED; MAX_WAIT_WORDS];
    for (word, (cell, expected)) in words.iter_mut().zip(cells) {
        *word = WaitvWord {
            expected: u64::from(*expected),
            address: cell.address.expose_provenance() as u64,
            flags: FUTEX2_SIZE_U32,
            reserved: 0,
        };
    }
    let count = cells.len().min(MAX_WAIT_WORDS);
    let local = clock::local(until);
    let deadline = KernelTime {
        seconds: local.tv_sec(),
        nanos: local.tv_nsec(),
    };
    // SAFETY:
    // - The first `count` entries of `words` are filled in, and it outlives the call.
    // - Every address is valid for reads and aligned: `Cell` borrows live atomics.
    // - `deadline` outlives the call and has the kernel's 64-bit layout.
    // - The kernel only reads all of them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            words.as_ptr(),
            count as u32,
            0u32,
            core::ptr::from_ref(&deadline),
            libc::CLOCK_MONOTONIC,
        )
    };
    answer(result, until)
}

/// Wakes up to `count` sleepers of the cell, in whatever process. Async-signal-safe,
/// but may change `errno`.
pub(crate) fn wake(cell: Cell<'_>, count: u32) {
    let count = count.min(i32::MAX as u32);
    // SAFETY:
    // - FUTEX_WAKE does not access the word; its address is that of a live atomic.
    unsafe { libc::syscall(libc::SYS_futex, cell.address, libc::FUTEX_WAKE, count) };
    // The only failures are bad addresses, which `Cell` rules out.
}

fn wait_first((cell, expected): (Cell<'_>, u32), until: u64) -> Woken {
    let bound = clock::now().saturating_add(PORTABLE_POLL_MICROS);
    match wait(cell, expected, until.min(bound)) {
        Woken::TimedOut if bound < until => Woken::Look,
        woken => woken,
    }
}

fn answer(result: libc::c_long, until: u64) -> Woken {
    if result >= 0 {
        return Woken::Look;
    }
    match errno() {
        libc::ETIMEDOUT => Woken::TimedOut,
        libc::EAGAIN | libc::EINTR => Woken::Look,
        // Not to be expected of a mapped word. Without the kernel's sleep the
        // caller's loop would spin, so rest for the portable bound instead.
        _ => rest(until),
    }
}

/// A sleep on nothing, for at most the portable bound.
fn rest(until: u64) -> Woken {
    let left = until.saturating_sub(clock::now());
    if left == 0 {
        return Woken::TimedOut;
    }
    std::thread::sleep(Duration::from_micros(left.min(PORTABLE_POLL_MICROS)));
    Woken::Look
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn wait_returns_for_change_wake_and_deadline() {
        let word = AtomicU32::new(5);
        assert_eq!(wait(Cell::of(&word), 4, u64::MAX), Woken::Look);
        assert_eq!(wait(Cell::of(&word), 5, 0), Woken::TimedOut);
        let until = clock::now() + 20_000;
        assert_eq!(wait(Cell::of(&word), 5, until), Woken::TimedOut);
        assert!(clock::now() >= until);
        thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::Acquire) == 5 {
                    wait(Cell::of(&word), 5, u64::MAX);
                }
            });
            thread::sleep(Duration::from_millis(5));
            word.store(6, Ordering::Release);
            wake(Cell::of(&word), u32::MAX);
        });
    }

    #[test]
    fn low_half_is_the_half_that_counts() {
        let word = AtomicU64::new(0xffff_ffff_0000_0007);
        assert_eq!(wait(Cell::low_half_of(&word), 7, 0), Woken::TimedOut);
        assert_eq!(
            wait(Cell::low_half_of(&word), u32::MAX, u64::MAX),
            Woken::Look
        );
    }

    // One test, because the switch is process-wide.
    #[test]
    fn two_words_are_watched_with_and_without_waitv() {
        let (first, second) = (AtomicU32::new(1), AtomicU32::new(2));
        let cells = || [(Cell::of(&first), 1), (Cell::of(&second), 2)];
        if has_waitv() {
            assert_eq!(
                wait_any(&[cells()[0], (Cell::of(&second), 3)], u64::MAX),
                Woken::Look
            );
            assert_eq!(wait_any(&cells(), clock::now() + 2_000), Woken::TimedOut);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while second.load(Ordering::Acquire) == 2 {
                        wait_any(&cells(), u64::MAX);
                    }
                });
                thread::sleep(Duration::from_millis(5));
                second.store(9, Ordering::Release);
                wake(Cell::of(&second), 1);
            });
            second.store(2, Ordering::Relaxed);
        } else {
            println!("this kernel has no futex_waitv: only the fallback is tested");
        }
        set_waitv(false);
        assert!(!has_waitv());
        let begin = Instant::now();
        assert_eq!(wait_any(&cells(), u64::MAX), Woken::Look);
        assert!(begin.elapsed() >= Duration::from_micros(PORTABLE_POLL_MICROS));
        assert_eq!(wait_any(&cells(), clock::now() + 100), Woken::TimedOut);
        set_waitv(true);
    }
}
