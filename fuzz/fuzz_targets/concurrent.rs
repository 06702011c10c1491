//! A segment that is written over by another thread all the while every call is made.
#![no_main]

#[path = "../../tests/process/hostile/mod.rs"]
mod hostile;
mod place;

use std::sync::atomic::{AtomicBool, Ordering};

use hostile::bytes::Body;
use hostile::calls::{Lived, try_fresh};
use libfuzzer_sys::fuzz_target;
use place::{NAME, Writes};

fuzz_target!(|data: &[u8]| {
    let options = place::options();
    let (state, writes) = Writes::of(data);
    let segment = options.create(NAME).unwrap();
    let body = Body::of_ours(segment.path());
    let lived = Lived::new(segment, state);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                writes.apply(&body);
            }
        });
        lived.try_all(true);
        drop(lived);
        is_over.store(true, Ordering::Relaxed);
    });
    try_fresh(&options, NAME);
});
