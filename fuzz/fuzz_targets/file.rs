//! A file in the place of a segment: its beginning, size and mode are the input's.
#![no_main]

#[path = "../../tests/process/hostile/mod.rs"]
mod hostile;
mod place;

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::OnceLock;

use hostile::calls::try_observer;
use libfuzzer_sys::fuzz_target;
use place::NAME;

/// A whole segment's header and size.
fn whole() -> &'static (Vec<u8>, u64) {
    static WHOLE: OnceLock<(Vec<u8>, u64)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let options = place::options();
        let segment = options.create(NAME).unwrap();
        let mut bytes = fs::read(segment.path()).unwrap();
        let length = bytes.len() as u64;
        bytes.truncate(4096);
        (bytes, length)
    })
}

fuzz_target!(|data: &[u8]| {
    let (header, length) = whole();
    let options = place::options();
    let Some((how, data)) = data.split_first() else {
        return;
    };
    let path = place::directory().join(NAME);
    let mut bytes = match how & 1 {
        0 => header.clone(),
        _ => Vec::new(),
    };
    // Changes to a true header, or everything.
    for (place, byte) in data.iter().enumerate() {
        match bytes.get_mut(place) {
            Some(there) => *there ^= byte,
            None => bytes.push(*byte),
        }
    }
    fs::write(&path, &bytes).unwrap();
    let size = match how >> 1 & 3 {
        0 => *length,
        1 => bytes.len() as u64,
        2 => length - u64::from(*how),
        _ => 1 << (how >> 3),
    };
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(size).unwrap();
    if how & 0x80 != 0 {
        let _ = file.write_all_at(data, 4096);
    }
    let mode = if how & 0x40 == 0 {
        0o600
    } else {
        u32::from(*how)
    };
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    if let Ok(observer) = options.observe(NAME) {
        try_observer(observer);
    }
    let _ = options.open(NAME).map(|segment| segment.check());
    let _ = options.open_or_create(NAME).map(drop);
    // One that is marked as removed is a leftover, and is replaced.
    let is_marked = bytes.get(12..16).is_some_and(|mark| mark != [0; 4]);
    assert!(options.create(NAME).is_err() || is_marked);
    assert_eq!(options.list().unwrap(), [NAME]);
    options.remove(NAME, true).unwrap();
});
