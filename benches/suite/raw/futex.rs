//! The system calls that the raw contenders consist of.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC: the same in every process.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock can be read");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Sleeps while the word holds `expected`, for at most `limit`. May return for no reason.
pub fn wait(word: &AtomicU32, expected: u32, limit: Option<Duration>) {
    let limit = limit.map(|limit| libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: limit.subsec_nanos() as libc::c_long,
    });
    // SAFETY:
    // - the word is a live, aligned atomic, and the kernel only reads it;
    // - the limit is null or a timespec that outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            limit.as_ref().map_or(ptr::null(), ptr::from_ref),
        )
    };
}

#[repr(C)]
struct Waited {
    expected: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// Sleeps while all words hold what is expected, at most until `until`. May return for
/// no reason; at once where the kernel has no futex_waitv (before 5.16).
pub fn wait_any<const N: usize>(words: [(&AtomicU32, u32); N], until: u64) {
    const SHARED_32_BITS: u32 = 2;
    let words = words.map(|(word, expected)| Waited {
        expected: u64::from(expected),
        address: word.as_ptr() as u64,
        flags: SHARED_32_BITS,
        reserved: 0,
    });
    let until = [
        (until / 1_000_000_000) as i64,
        (until % 1_000_000_000) as i64,
    ];
    // SAFETY:
    // - `words` has as many entries as are named, in the kernel's layout, and outlives
    //   the call; the addresses are those of live, aligned atomics, which are only read;
    // - `until` is two 64-bit numbers, as a kernel timespec is.
    unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            words.as_ptr(),
            words.len(),
            0u32,
            until.as_ptr(),
            libc::CLOCK_MONOTONIC,
        )
    };
}

/// Wakes all who sleep on the word.
pub fn wake_all(word: &AtomicU32) {
    wake(word, i32::MAX);
}

/// Wakes as many who sleep on the word.
pub fn wake(word: &AtomicU32, count: i32) {
    // SAFETY: the kernel does not access the word of a wake; the address is a live atomic's.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// The least lock that sleeps: 0 free, 1 taken, 2 taken and somebody may sleep. It knows
/// nothing of deaths.
pub struct Lock(AtomicU32);

impl Lock {
    pub fn lock(&self) {
        let taken = self
            .0
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            while self.0.swap(2, Ordering::Acquire) != 0 {
                wait(&self.0, 2, None);
            }
        }
    }

    pub fn unlock(&self) {
        if self.0.swap(0, Ordering::Release) == 2 {
            wake(&self.0, 1);
        }
    }
}
