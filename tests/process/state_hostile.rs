//! Whatever is written over the shared state, every call on it is answered.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::state::open;
use crate::support::once;
use ebbtide::{SegmentError, StateError};

const SHORT: Duration = Duration::from_millis(100);

/// Whatever the words of an entry say, the answer is bounded and no panic.
#[test]
fn hostile_lengths_and_stamps_are_answered() {
    once(here!(), |place| {
        let state = open(place);
        let state = state.lock_timeout(SHORT);
        state.set("hostile!", "a value of some length").unwrap();
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(place.file())
            .unwrap();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let key = bytes.windows(8).position(|eight| eight == b"hostile!");
        let key = key.expect("the key is in the segment") as u64;
        // It has seen the version, so it reads past its key.
        let known = state.prepare("hostile!").unwrap();
        let mut room = [0; 1024];
        assert!(known.read(&mut room).unwrap().is_some());
        // The meta word is before the key, the stamps are before that.
        for before in [8, 16, 24] {
            let at = key - before;
            let mut old = [0; 8];
            file.read_exact_at(&mut old, at).unwrap();
            for hostile in [
                u64::MAX,
                u64::MAX - 1,
                1,
                0,
                1 << 9 | 1,
                9 << 1 | 1,
                1 << 63,
            ] {
                file.write_all_at(&hostile.to_ne_bytes(), at).unwrap();
                let got = state.get("hostile!");
                assert!(
                    matches!(
                        got,
                        Ok(_) | Err(StateError::Segment(SegmentError::Corrupt { .. }))
                    ),
                    "{got:?}"
                );
                let got = known.read(&mut room);
                assert!(
                    matches!(
                        got,
                        Ok(_) | Err(StateError::Segment(SegmentError::Corrupt { .. }))
                    ),
                    "{got:?}"
                );
                let _ = (
                    known.read(&mut room[..3]).is_ok(),
                    known.clone().get_into(&mut Vec::new()),
                );
                let _ = (state.keys(), state.get_as::<u64>("hostile!"));
                let _ = place.observe().state_keys();
                file.write_all_at(&old, at).unwrap();
            }
        }
        assert!(state.get("hostile!").unwrap().is_some());
        let value = known.read(&mut room).unwrap();
        assert_eq!(value, Some(&b"a value of some length"[..]));
    });
}
