//! The text of a shutdown's reason: words that a stopped initiator may spoil, and a hash by
//! which a reader finds out.
//!
//! The text is filled in under the claim of the request (`request.rs`), one word after the
//! other, each by a compare-and-swap that the tag of the request allowed just before. Its
//! words have no room for an epoch. So an initiator that was stopped between its check of
//! the tag and its swap may put one word of its own text, one only, into the text of a
//! later shutdown. The hash in the request's mark then does not fit, and readers show no
//! text instead of a wrong one; the terms are not affected.

use core::array;
use core::sync::atomic::Ordering;

use crate::limits::REASON_BYTES;
use crate::segment::shared;
use crate::sync::latch::cut;
use crate::sync::{Mem, Word};
use crate::width;

use super::key::{BYTES_PER_WORD, words_of};

const WORDS: usize = REASON_BYTES / BYTES_PER_WORD;
const _: () = assert!(WORDS * BYTES_PER_WORD == REASON_BYTES);

/// Bits of the hash, in the request's mark.
pub(super) const HASH: u32 = 24;

/// The text: its length in bytes, then its bytes. All-zero is the empty text.
#[repr(C)]
pub(crate) struct Reason<M: Mem> {
    pub(super) length: M::U64,
    pub(super) words: [M::U64; WORDS],
}

/// A text as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    length: usize,
    words: [u64; WORDS],
}

impl Stored {
    /// Cut at a character if it is too long.
    pub(super) fn of(text: &str) -> Self {
        let bytes = cut(text, REASON_BYTES).as_bytes();
        let mut words = [0; WORDS];
        let (whole, last) = words_of(bytes);
        let given = whole.iter().map(|raw| u64::from_ne_bytes(*raw)).chain(last);
        for (word, value) in words.iter_mut().zip(given) {
            *word = value;
        }
        Self {
            length: bytes.len(),
            words,
        }
    }

    fn used(&self) -> &[u64] {
        &self.words[..self.length.div_ceil(BYTES_PER_WORD)]
    }

    /// Of length and bytes.
    pub(super) fn hash(&self) -> u64 {
        let mixed = self.used().iter().fold(self.length as u64, |hash, word| {
            let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^ hash >> 32
        });
        mixed & width::mask(HASH)
    }

    /// Whatever the bytes are: what is not UTF-8 is replaced.
    pub(super) fn read(&self) -> String {
        if self.length == 0 {
            return String::new();
        }
        let bytes: Vec<u8> = self.used().iter().flat_map(|w| w.to_ne_bytes()).collect();
        let end = self.length.min(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}

impl<M: Mem> Reason<M> {
    /// The words to be filled in, and with what. Those behind the end stay as they are.
    pub(super) fn words<'a>(
        &'a self,
        stored: &'a Stored,
    ) -> impl Iterator<Item = (&'a M::U64, u64)> {
        let words = self.words.iter().zip(stored.used().iter().copied());
        core::iter::once((&self.length, stored.length as u64)).chain(words)
    }

    /// The text, whether or not its hash fits.
    #[cfg(all(test, feature = "loom"))]
    pub(crate) fn shown(&self) -> String {
        self.copy().map_or_else(String::new, |stored| stored.read())
    }

    /// A copy, to be believed if its hash fits. `None` for a length that there is no room for.
    pub(super) fn copy(&self) -> Option<Stored> {
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).ok()?;
        let mut stored = Stored {
            length,
            words: [0; WORDS],
        };
        if length > REASON_BYTES {
            return None;
        }
        let used = length.div_ceil(BYTES_PER_WORD);
        for (value, word) in stored.words.iter_mut().zip(&self.words).take(used) {
            *value = word.load(Ordering::Relaxed);
        }
        Some(stored)
    }
}

impl<M: Mem> Default for Reason<M> {
    fn default() -> Self {
        Self {
            length: M::U64::default(),
            words: array::from_fn(|_| M::U64::default()),
        }
    }
}

shared!(Reason<M> { length, words });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    fn write(reason: &Reason<Real>, text: &str) -> u64 {
        let stored = Stored::of(text);
        for (word, value) in reason.words(&stored) {
            Word::store(word, value, Ordering::Relaxed);
        }
        stored.hash()
    }

    #[test]
    fn a_text_comes_back_whole_or_cut_at_a_character() {
        let reason = Reason::<Real>::default();
        assert_eq!(reason.copy().unwrap(), Stored::of(""));
        let long = "x".repeat(REASON_BYTES - 1);
        for (text, kept) in [
            ("version 12 takes over", "version 12 takes over"),
            ("twice 8!twice 8!", "twice 8!twice 8!"),
            ("short", "short"),
            (&format!("{long}é"), &long),
            ("", ""),
        ] {
            let hash = write(&reason, text);
            let copy = reason.copy().unwrap();
            assert_eq!((copy.read().as_str(), copy.hash()), (kept, hash));
        }
    }

    #[test]
    fn a_word_of_another_text_does_not_fit_the_hash() {
        let reason = Reason::<Real>::default();
        let hash = write(&reason, "a text of several words");
        for word in &reason.words[..3] {
            let before = Word::load(word, Ordering::Relaxed);
            Word::store(word, u64::from_ne_bytes(*b"another "), Ordering::Relaxed);
            assert_ne!(reason.copy().unwrap().hash(), hash);
            Word::store(word, before, Ordering::Relaxed);
        }
        for length in [0, 22, 24] {
            Word::store(&reason.length, length, Ordering::Relaxed);
            assert_ne!(reason.copy().unwrap().hash(), hash);
        }
        Word::store(&reason.length, 500, Ordering::Relaxed);
        assert_eq!(reason.copy(), None);
    }
}
