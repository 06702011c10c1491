//! Bytes that another process might write into a segment, and every call that must answer
//! for them. Knows nothing of the test harness: the fuzz targets (`fuzz/`) use it too.
//!
//! Spared are the areas in which the C library keeps the life words' mutexes: it links
//! them into a list of its own and follows it, so a peer that writes *there* is trusted,
//! as `docs/design.md` says of the same user id.
#![allow(dead_code, unreachable_pub)]

pub mod bytes;
pub mod calls;
pub mod coordinating;
pub mod futures;
pub mod looking;
pub mod rest;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The timeout of every call that has one.
pub const SHORT: Duration = Duration::from_millis(2);

/// What is being tried, for a watchdog.
static TRYING: Mutex<&str> = Mutex::new("nothing");
static STEPS: AtomicU64 = AtomicU64::new(0);

pub fn trying(what: &'static str) {
    *TRYING.lock().unwrap() = what;
    STEPS.fetch_add(1, Ordering::Relaxed);
}

/// Ends this process when one step takes longer than `patience`.
pub fn watch_steps(patience: Duration, tell: fn(&str)) {
    std::thread::spawn(move || {
        loop {
            let before = STEPS.load(Ordering::Relaxed);
            std::thread::sleep(patience);
            if STEPS.load(Ordering::Relaxed) == before {
                let what = *TRYING.lock().unwrap();
                tell(&format!("hangs in {what}"));
                eprintln!("hangs in {what}");
                std::process::abort();
            }
        }
    });
}

/// The library's own threads. (Handlers and cleanups have threads, too, whose panics are
/// caught and told.)
const THREADS: [&str; 3] = ["ebbtide-waiter", "ebbtide-keeper", "ebbtide-systemd"];

/// Ends this process when a thread of the library panics: nobody would ever hear of it.
pub fn watch_threads(tell: fn(&str)) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        let thread = std::thread::current();
        if let Some(name) = thread.name().filter(|name| THREADS.contains(name)) {
            let what = *TRYING.lock().unwrap();
            tell(&format!("{name} panics in {what}: {panic}"));
            std::process::abort();
        }
    }));
}
