//! Life words on the real memory: who is woken, and by whom.

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use super::life::{self, OWNER_DIED, RealLife, WAITERS};
use super::{LifeArea, Mem, Real};
use crate::os::asleep::until_asleep;
use crate::os::clock;

/// Long enough that nobody's deadline ends a test that passes.
const A_MINUTE: u64 = 60_000_000;

/// A number that is no thread's here.
const HOLDER: u32 = 1;

/// Two threads fall asleep on the word, `wake` runs, and both must go on before their
/// deadline of a minute.
fn wakes_both(word: &AtomicU32, wake: impl FnOnce()) {
    let asleep_on = word.load(Ordering::Relaxed);
    let until = clock::now() + A_MINUTE;
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        for _ in 0..2 {
            let tell = tell.clone();
            scope.spawn(move || {
                tell.send(nix::unistd::gettid()).unwrap();
                // A wake-up may be for nothing.
                while word.load(Ordering::Acquire) == asleep_on {
                    Real::wait(Real::cell(word), asleep_on, until);
                }
                assert!(clock::now() < until, "nobody woke it");
            });
        }
        told.iter().take(2).for_each(until_asleep);
        wake();
    });
}

#[test]
fn who_is_woken_by_a_death_wakes_the_rest() {
    let word = AtomicU32::new(HOLDER | WAITERS);
    wakes_both(&word, || {
        word.store(OWNER_DIED, Ordering::Release);
        life::pass_on::<Real>([&word]);
    });
}

#[test]
fn a_new_holder_wakes_who_slept_through_the_death_of_the_last() {
    let life = RealLife::default();
    let word = life.word();
    word.store(HOLDER | WAITERS | OWNER_DIED, Ordering::Relaxed);
    wakes_both(word, || LifeArea::hold(&life).unwrap());
    let me = nix::unistd::gettid().as_raw().cast_unsigned();
    assert_eq!(word.load(Ordering::Relaxed), me);
    wakes_both(word, || LifeArea::release(&life));
    assert_eq!(word.load(Ordering::Relaxed), 0);
}
