//! Stops in the middle of a call, by the member itself.
//!
//! Nearly all of a process's time is spent asleep, so a stop at a random instant rarely
//! meets the few microseconds in which a call is half done. A member that aims sets a timer
//! of the kernel and makes the call: the timer sends SIGSTOP to its thread, a random time
//! later, on the processor that runs it, and so stops the process at that instruction. The
//! parent notices, draws the length and the end of the stop, and continues or kills it, as
//! it does with its own (`population`).

use std::cell::{OnceCell, RefCell};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::ledger::{Head, Ledger};
use crate::random::Random;

/// A timer that stops the thread that made it.
struct Timer {
    id: libc::timer_t,
    /// How long it takes to set it, which is part of the time until it fires.
    lead: Duration,
}

impl Timer {
    fn new() -> Option<Self> {
        // SAFETY: a record of numbers and a union of which nothing is read.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGSTOP;
        // SAFETY: no preconditions.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut id = std::ptr::null_mut();
        // SAFETY: both are valid for the call; the signal runs no code of ours.
        let made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut id) };
        let mut timer = Self {
            id,
            lead: Duration::ZERO,
        };
        if made != 0 {
            std::mem::forget(timer);
            return None;
        }
        let takes = || {
            let begin = Instant::now();
            timer
                .set(Duration::from_secs(3600))
                .then(|| begin.elapsed())
        };
        let lead = (0..5).filter_map(|_| takes()).min()?;
        timer.lead = lead;
        timer.set(Duration::ZERO).then_some(timer)
    }

    /// Zero: never.
    fn set(&self, after: Duration) -> bool {
        // SAFETY: a record of numbers.
        let mut when: libc::itimerspec = unsafe { std::mem::zeroed() };
        when.it_value.tv_sec = after.as_secs() as libc::time_t;
        when.it_value.tv_nsec = after.subsec_nanos().into();
        // SAFETY: the timer exists, and the record is valid for the call.
        unsafe { libc::timer_settime(self.id, 0, &when, std::ptr::null_mut()) == 0 }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: it was made by this thread and is deleted once.
        unsafe { libc::timer_delete(self.id) };
    }
}

thread_local! {
    static TIMER: OnceCell<Option<Timer>> = const { OnceCell::new() };
    static RANDOM: RefCell<Option<Random>> = const { RefCell::new(None) };
}

/// Of this process, and how many of its threads have a stream of it.
static SEED: AtomicU64 = AtomicU64::new(0);
static STREAMS: AtomicU64 = AtomicU64::new(0);
/// When this process may stop itself again, in microseconds since it began.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Longest time until then.
const PAUSE_MICROS: u64 = 25_000;

pub fn seed(seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
}

fn micros() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// The call that follows takes about so long. Once in `times`, if that is not too often,
/// the process is stopped at a random instant of it.
pub fn at_call(ledger: &Ledger, times: u64, length: Duration) {
    RANDOM.with_borrow_mut(|random| {
        let random = random.get_or_insert_with(|| {
            let number = STREAMS.fetch_add(1, Ordering::Relaxed);
            Random::stream(SEED.load(Ordering::Relaxed), number)
        });
        let after = Duration::from_nanos(random.below(length.as_nanos() as u64));
        let pause = random.below(PAUSE_MICROS);
        if !random.once_in(times) {
            return;
        }
        let (now, next) = (micros(), NEXT.load(Ordering::Relaxed));
        if now < next || ledger.get(Head::NoStops) != 0 {
            return;
        }
        NEXT.store(now + pause, Ordering::Relaxed);
        TIMER.with(|timer| {
            if let Some(timer) = timer.get_or_init(Timer::new) {
                timer.set(timer.lead + after);
            }
        });
    });
}
