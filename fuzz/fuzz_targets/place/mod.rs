//! Where a target's segments are, and how its input becomes bytes of one.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use ebbtide::SegmentOptions;
use tempfile::TempDir;

use crate::hostile::bytes::Body;
use crate::hostile::watch_steps;

pub const NAME: &str = "group";

/// How long one call may take before it counts as a hang, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> &'static TempDir {
    static ROOT: OnceLock<TempDir> = OnceLock::new();
    ROOT.get_or_init(|| {
        watch_steps(PATIENCE, |_| ());
        // A crash leaves it behind: `ci/fuzz.sh` removes what bears this name.
        let mut builder = tempfile::Builder::new();
        builder
            .prefix(
                std::env::var("EBBTIDE_FUZZ_PREFIX")
                    .as_deref()
                    .unwrap_or("ebbtide-fuzz-"),
            )
            .tempdir_in("/dev/shm")
            .unwrap()
    })
}

pub fn directory() -> PathBuf {
    root().path().join("segments")
}

pub fn options() -> SegmentOptions {
    let options = SegmentOptions::new().directory(directory());
    // What an earlier input left.
    let _ = options.remove(NAME, true);
    options
}

/// One write: where (a used word, or any), and what.
pub struct Writes<'a>(&'a [u8]);

impl<'a> Writes<'a> {
    /// The first byte says in which state the group is, the rest are writes of twelve.
    pub fn of(data: &'a [u8]) -> (usize, Self) {
        match data.split_first() {
            Some((state, rest)) => (usize::from(*state), Self(rest)),
            None => (0, Self(data)),
        }
    }

    pub fn apply(&self, body: &Body) {
        let bytes = body.read();
        let used: Vec<usize> = (0..body.words())
            .filter(|word| bytes[4096 + word * 8..][..8] != [0; 8])
            .collect();
        for write in self.0.chunks_exact(12).take(256) {
            let at = u32::from_le_bytes(write[..4].try_into().unwrap()) as usize;
            let value = u64::from_le_bytes(write[4..].try_into().unwrap());
            // Mostly near something: the rest is zeros, of which one is as the other.
            let word = match (at % 8, used.is_empty()) {
                (0, _) | (_, true) => at / 8 % body.words(),
                (beside, false) => used[at / 8 % used.len()] + beside / 3,
            };
            body.put(word, value);
        }
    }
}
