//! A segment that is written over under its users, and then every call.
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
    let body = Body::of_ours(segment.path());
    let lived = Lived::new(segment, state);
    writes.apply(&body);
    lived.try_all(false);
    drop(lived);
    try_fresh(&options, NAME);
});
