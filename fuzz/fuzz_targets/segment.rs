//! A segment that was written over while nobody was attached, and then every call.
#![no_main]

#[path = "../../tests/process/hostile/mod.rs"]
mod hostile;
mod place;

use hostile::bytes::Body;
use hostile::calls::{Lived, try_fresh};
use libfuzzer_sys::fuzz_target;
use place::{NAME, Writes};

fuzz_target!(|data: &[u8]| {
    let options = place::options();
    let (state, writes) = Writes::of(data);
    let segment = options.create(NAME).unwrap();
    let path = segment.path().to_path_buf();
    drop(Lived::new(segment, state));
    writes.apply(&Body::of_nobody(&path));
    try_fresh(&options, NAME);
});
