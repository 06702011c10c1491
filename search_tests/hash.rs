//! Hashes of 128 bits. Two states are taken for one when their hashes agree: among a
//! hundred million states the odds of any such pair are below 10^-22.

use std::hash::{BuildHasherDefault, Hasher};

/// The product of two numbers, its halves folded together.
const fn fold(one: u64, two: u64) -> u64 {
    let product = one as u128 * two as u128;
    (product >> 64) as u64 ^ product as u64
}

/// The hash of one more number after `key`.
pub(super) const fn mix(key: u128, value: u64) -> u128 {
    let (low, high) = (key as u64, (key >> 64) as u64);
    // Odd numbers without a pattern (digits of pi). Two rounds for each half.
    let one = fold(low ^ 0x243f_6a88_85a3_08d3, value ^ 0x1319_8a2e_0370_7345);
    let two = fold(high ^ 0xa409_3822_299f_31d1, value ^ 0x082e_fa98_ec4e_6c89);
    let low = fold(one ^ 0x4528_21e6_38d0_1377, two ^ 0xbe54_66cf_34e9_0c6d);
    let high = fold(two ^ 0xc0ac_29b7_c97c_50dd, one ^ 0x3f84_d5b5_b547_0917);
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
