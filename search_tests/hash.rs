//! Hashes of 128 bits. Two states are taken for one when their hashes agree: among a
//! hundred million states the odds of any such pair are below 10^-22.

use std::hash::{BuildHasherDefault, Hasher};

/// A finaliser of good avalanche (splitmix64).
const fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// The hash of one more number after `key`.
pub(super) const fn mix(key: u128, value: u64) -> u128 {
    let low = scramble(key as u64 ^ scramble(value));
    let high = scramble((key >> 64) as u64 ^ scramble(value ^ 0x5851_f42d_4c95_7f2d));
    (high as u128) << 64 | low as u128
}

/// The hash of a text after `key`.
pub(super) fn text(key: u128, text: &str) -> u128 {
    let key = mix(key, text.len() as u64);
    text.bytes().fold(key, |key, byte| mix(key, byte.into()))
}

/// The part of a state's hash that says that `place` holds `value`. Parts are combined by
/// exclusive or, so that one of them can be replaced.
pub(super) const fn part(place: u32, value: u64) -> u128 {
    mix(mix(1, place as u64), value)
}

/// Of keys that are hashes already.
#[derive(Default)]
pub(super) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("keys are numbers")
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

pub(super) type Build = BuildHasherDefault<Ready>;
