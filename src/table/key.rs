//! A key of the store: its bytes as words, and their hash.

use crate::limits::KEY_BYTES;

pub(super) const BYTES_PER_WORD: usize = size_of::<u64>();
pub(crate) const KEY_WORDS: usize = KEY_BYTES / BYTES_PER_WORD;

/// Spaces, which are no control characters.
const SPACES: u64 = 0x2020_2020_2020_2020;

/// A key as words, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    words: [u64; KEY_WORDS],
    length: usize,
    hash: u64,
}

impl Key {
    /// No key; to be filled.
    pub(crate) const EMPTY: Self = Self {
        words: [0; KEY_WORDS],
        length: 0,
        hash: 1,
    };

    /// `None` unless the key has 1 to `KEY_BYTES` bytes.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        let mut made = Self::EMPTY;
        (made.fill(key) != Filled::Not).then_some(made)
    }

    /// Makes an empty key this one, where it stands: moving a key about costs more than
    /// making it.
    #[inline]
    pub(crate) fn fill(&mut self, key: &[u8]) -> Filled {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Filled::Not;
        }
        let (mut hash, mut is_plain) = (key.len() as u64, true);
        let mut take = |place: &mut u64, word: u64, bytes: usize| {
            *place = word;
            // A multiplication mixes upwards, the shift brings it down again.
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 32;
            // The zeros behind its end are none of its bytes.
            let behind = SPACES.checked_shl(8 * bytes as u32).unwrap_or(0);
            is_plain &= are_plain(u64::from_le(word) | behind);
        };
        let (whole, last) = words_of(key);
        for (place, raw) in self.words.iter_mut().zip(whole) {
            take(place, u64::from_ne_bytes(*raw), BYTES_PER_WORD);
        }
        if let (Some(place), Some(last)) = (self.words.get_mut(whole.len()), last) {
            take(place, last, key.len() % BYTES_PER_WORD);
        }
        self.length = key.len();
        // Zero is the tag of a slot that was never used.
        self.hash = hash | 1;
        match is_plain {
            true => Filled::Plain,
            false => Filled::Odd,
        }
    }

    /// Its length in bytes.
    #[inline]
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// Never zero.
    #[inline]
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many words it has.
    pub(crate) fn word_count(&self) -> usize {
        self.words().len()
    }

    #[inline]
    pub(super) fn words(&self) -> &[u64] {
        &self.words[..self.length.div_ceil(BYTES_PER_WORD)]
    }
}

/// What a key was filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Filled {
    /// ASCII without control characters.
    Plain,
    /// Something else of the right length.
    Odd,
    /// Nothing: it is empty or too long.
    Not,
}

/// Whether all eight bytes are from `0x20` to `0x7e`.
const fn are_plain(word: u64) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Of bytes below 0x80 these carry into no other: one more makes 0x7f (delete) high, and
    // 0x60 more makes those high that are no control characters.
    let seven = word & !HIGH;
    let is_delete = seven + 0x0101_0101_0101_0101;
    let is_printing = seven + 0x6060_6060_6060_6060;
    (word | is_delete | !is_printing) & HIGH == 0
}

/// A word of less than eight bytes, the rest of it zero. By overlapping loads: so few bytes
/// are not worth a call.
#[inline]
fn last_word(bytes: &[u8]) -> u64 {
    let word = match (bytes, bytes.first_chunk(), bytes.last_chunk()) {
        (_, Some(first), Some(last)) => {
            let shift = 8 * (bytes.len() - size_of::<u32>());
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift
        }
        ([first, .., last], ..) => {
            let (middle, end) = (bytes.len() / 2, bytes.len() - 1);
            u64::from(*first)
                | u64::from(bytes[middle]) << (8 * middle)
                | u64::from(*last) << (8 * end)
        }
        (rest, ..) => rest.first().map_or(0, |only| u64::from(*only)),
    };
    u64::from_le(word)
}

/// Bytes as whole words, and what is left of them as one more, filled up with zeros.
#[inline]
pub(super) fn words_of(bytes: &[u8]) -> (&[[u8; BYTES_PER_WORD]], Option<u64>) {
    let (whole, rest) = bytes.as_chunks();
    (whole, (!rest.is_empty()).then(|| last_word(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_the_bytes_and_zeros_behind_them() {
        let bytes: Vec<u8> = (0x81..).take(KEY_BYTES).collect();
        for length in 1..=KEY_BYTES {
            let mut padded = bytes[..length].to_vec();
            padded.resize(length.next_multiple_of(BYTES_PER_WORD), 0);
            let (expected, _) = padded.as_chunks();
            let expected: Vec<u64> = expected
                .iter()
                .map(|raw| u64::from_ne_bytes(*raw))
                .collect();
            let (whole, last) = words_of(&bytes[..length]);
            let whole = whole.iter().map(|raw| u64::from_ne_bytes(*raw));
            assert_eq!(whole.chain(last).collect::<Vec<_>>(), expected);
            let key = Key::new(&bytes[..length]).unwrap();
            assert_eq!(key.words(), expected);
        }
    }

    #[test]
    fn plain_is_ascii_without_control_characters_wherever_they_stand() {
        for length in 1..=17 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'~'; length];
                    text[place] = byte;
                    let is_plain = { Key::EMPTY }.fill(&text) == Filled::Plain;
                    let expected = (0x20..0x7f).contains(&byte);
                    assert_eq!(is_plain, expected, "{byte:#x} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_key_has_a_length_that_there_is_room_for() {
        let longest = [b'k'; KEY_BYTES + 1];
        assert!(Key::new(b"").is_none() && Key::new(&longest).is_none());
        let words = |length: usize| Key::new(&longest[..length]).unwrap().word_count();
        assert_eq!([1, 8, 9, KEY_BYTES].map(words), [1, 1, 2, KEY_WORDS]);
    }

    /// It stands in the segment: another release must find the key by it.
    #[test]
    fn the_hash_of_a_key_is_what_it_was() {
        let hash = |key: &[u8]| Key::new(key).unwrap().hash();
        let step = |hash: u64, word: u64| {
            let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^ mixed >> 32
        };
        let word = |bytes: [u8; 8]| u64::from_ne_bytes(bytes);
        let short = step(3, word(*b"key\0\0\0\0\0"));
        let first = step(11, word(*b"a longer"));
        assert_eq!(hash(b"key"), short | 1);
        assert_eq!(
            hash(b"a longer on"),
            step(first, word(*b" on\0\0\0\0\0")) | 1
        );
        assert!(Key::EMPTY.hash() != 0);
    }
}
