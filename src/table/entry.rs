//! One entry of the store: two versions of a key and its value, each with the stamp of
//! the commit that wrote it.
//!
//! ```text
//! stamps: [u64; 2]     commit number of each version; 0 never written; ABORTED is in
//!                      no snapshot
//! versions: 2 × { meta: PRESENT 1 | key bytes 8 | value bytes 32
//!                 words: the key's bytes, then (from the next word) the value's }
//! ```
//! The key is part of the version, so a version of a slot that was used again is never
//! taken for another key's. A version without PRESENT says that there is nothing.
//!
//! In the snapshot of commit `s` the version with the greatest stamp ≤ `s` is current.
//! A writer (one at a time) only ever touches the other one. How a reader notices that
//! the version under its eyes was used again is told in `store.rs`.

use core::array;
use core::sync::atomic::Ordering;

use crate::limits::KEY_BYTES;
use crate::segment::shared;
use crate::sync::{Mem, Word};

use super::key::{BYTES_PER_WORD, Key, words_of};

/// The stamp of a version whose writer died: greater than every commit.
pub(super) const ABORTED: u64 = u64::MAX;

const PRESENT: u64 = 1;
const KEY_SHIFT: u32 = 1;
const KEY_MASK: u64 = 0xff;
/// That there is one, and of which length.
const KEY_BITS: u64 = PRESENT | KEY_MASK << KEY_SHIFT;
const VALUE_SHIFT: u32 = 9;
const VALUE_MASK: u64 = 0xffff_ffff;

/// Words of a cache line.
const LINE: usize = 8;

/// Where a value is copied to. A copy may turn out torn and begin again.
pub(crate) trait Target {
    /// Room for a value of so many bytes; `None` if they are not wanted.
    fn room(&mut self, length: usize) -> Option<&mut [u8]>;
}

impl Target for Vec<u8> {
    #[inline]
    fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        // One that is used again for values of the same length is not cleared before.
        self.resize(length, 0);
        Some(self)
    }
}

/// A place for a value of known length; of another one only the length is kept.
pub(crate) struct Exact<'a> {
    into: &'a mut [u8],
    pub(crate) length: usize,
}

impl<'a> Exact<'a> {
    pub(crate) fn new(into: &'a mut [u8]) -> Self {
        Self { into, length: 0 }
    }
}

impl Target for Exact<'_> {
    #[inline]
    fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        self.length = length;
        (self.into.len() == length).then_some(&mut *self.into)
    }
}

/// A place for a value of at most so many bytes; of a longer one only the length is kept.
pub(crate) struct Front<'a> {
    into: &'a mut [u8],
    length: usize,
}

impl<'a> Front<'a> {
    pub(crate) fn new(into: &'a mut [u8]) -> Self {
        Self { into, length: 0 }
    }

    /// The value, or how long it is and how much room there was.
    #[inline]
    pub(crate) fn into_filled(self) -> Result<&'a [u8], (usize, usize)> {
        let room = self.into.len();
        let filled: &'a [u8] = self.into;
        filled.get(..self.length).ok_or((self.length, room))
    }
}

impl Target for Front<'_> {
    #[inline]
    fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        self.length = length;
        self.into.get_mut(..length)
    }
}

/// For who asks only whether there is a value.
pub(crate) struct Nothing;

impl Target for Nothing {
    #[inline]
    fn room(&mut self, _length: usize) -> Option<&mut [u8]> {
        None
    }
}

/// What a version says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta(u64);

impl Meta {
    /// Whether a release writes this into an entry of so many words.
    pub(super) fn is_sane(raw: u64, room: usize) -> bool {
        let meta = Self(raw);
        let (key, value) = (meta.key_length(), meta.value_length());
        let words = key.div_ceil(BYTES_PER_WORD) + value.div_ceil(BYTES_PER_WORD);
        let is_known = raw == Self::new(key, value).0 && (1..=KEY_BYTES).contains(&key);
        raw == 0 || is_known && words <= room
    }

    fn new(key: usize, value: usize) -> Self {
        Self(PRESENT | (key as u64) << KEY_SHIFT | (value as u64) << VALUE_SHIFT)
    }
    const fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }
    const fn key_length(self) -> usize {
        (self.0 >> KEY_SHIFT & KEY_MASK) as usize
    }
    const fn value_length(self) -> usize {
        (self.0 >> VALUE_SHIFT & VALUE_MASK) as usize
    }
}

#[repr(C)]
pub(crate) struct Version<M: Mem, const WORDS: usize> {
    pub(super) meta: M::U64,
    pub(super) words: [M::U64; WORDS],
}

/// Both versions.
#[repr(C)]
pub(crate) struct Entry<M: Mem, const WORDS: usize> {
    pub(super) stamps: [M::U64; 2],
    pub(super) versions: [Version<M, WORDS>; 2],
}

/// What an entry holds in one snapshot. To be believed only if it still stands: see
/// [`Entry::stands`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) index: usize,
    pub(super) stamp: u64,
}

impl<M: Mem, const WORDS: usize> Entry<M, WORDS> {
    /// The version that is current in the snapshot of commit `at`; `None` if both are
    /// younger: the snapshot is gone.
    #[inline]
    pub(super) fn current(&self, at: u64) -> Option<Current> {
        // One more than each stamp, 0 for one that is in no snapshot: ABORTED wraps to it.
        let [a, b] = [0, 1].map(|index: usize| {
            let next = self.stamps[index].load(Ordering::Relaxed).wrapping_add(1);
            if next.wrapping_sub(1) <= at { next } else { 0 }
        });
        let (index, next) = if b > a { (1, b) } else { (0, a) };
        let stamp = next.wrapping_sub(1);
        (next != 0).then_some(Current { index, stamp })
    }

    /// Whether what was read of a version since is of that version.
    #[inline]
    pub(super) fn stands(&self, current: Current) -> bool {
        // SYNC POINT store-reuse (models: loom_tests/store.rs): pairs with the fences of `Store::commit`.
        M::fence(Ordering::Acquire);
        self.stamps[current.index].load(Ordering::Relaxed) == current.stamp
    }

    /// Its meta word; one that no writer writes is corrupt and read as nothing.
    fn meta(&self, current: Current) -> Option<Meta> {
        if current.stamp == 0 {
            return None;
        }
        let meta = Meta(self.versions[current.index].meta.load(Ordering::Relaxed));
        let key = meta.key_length();
        let words = key.div_ceil(BYTES_PER_WORD) + meta.value_length().div_ceil(BYTES_PER_WORD);
        let sane = (1..=KEY_BYTES).contains(&key) && words <= WORDS;
        (meta.is_present() && sane).then_some(meta)
    }

    pub(super) fn is_present(&self, current: Current) -> bool {
        self.meta(current).is_some()
    }

    /// Copies the value if the version is this key's. Answers whether it is.
    #[inline]
    pub(super) fn copy(&self, current: Current, key: &Key, into: &mut impl Target) -> bool {
        let version = &self.versions[current.index & 1];
        let meta = Meta(version.meta.load(Ordering::Relaxed));
        if current.stamp == 0 || meta.0 & KEY_BITS != Meta::new(key.length(), 0).0 {
            return false;
        }
        let wanted = key.words();
        let Some((head, rest)) = version.words.split_at_checked(wanted.len()) else {
            return false;
        };
        let differ = |(word, wanted): (&M::U64, &u64)| word.load(Ordering::Relaxed) ^ *wanted;
        let is_other = head.iter().zip(wanted).map(differ).fold(0, |a, b| a | b);
        is_other == 0 && copy_bytes::<M>(rest, meta.value_length(), into)
    }

    /// Copies the value of a version that was seen before, if it is still there and current
    /// in the snapshot of commit `at`. Its key has so many words. Answers whether it is.
    #[inline]
    pub(super) fn copy_seen(
        &self,
        seen: Current,
        at: u64,
        key_words: usize,
        into: &mut impl Target,
    ) -> bool {
        let index = seen.index & 1;
        let [now, other] = [index, index ^ 1].map(|one| self.stamps[one].load(Ordering::Relaxed));
        // What `current` does, knowing the answer: the greatest stamp up to `at`.
        if now != seen.stamp || seen.stamp > at || (other > seen.stamp && other <= at) {
            return false;
        }
        let version = &self.versions[index];
        let meta = Meta(version.meta.load(Ordering::Relaxed));
        let Some(rest) = version.words.get(key_words..) else {
            return false;
        };
        copy_bytes::<M>(rest, meta.value_length(), into) && self.stands(seen)
    }

    /// The key and the length of the value.
    pub(super) fn describe(&self, current: Current) -> Option<(Vec<u8>, usize)> {
        let meta = self.meta(current)?;
        let mut key = Vec::new();
        copy_bytes::<M>(
            &self.versions[current.index].words,
            meta.key_length(),
            &mut key,
        );
        Some((key, meta.value_length()))
    }

    /// The version that no snapshot reads: which a writer may fill.
    pub(super) fn idle(&self, current: Option<Current>) -> usize {
        current.map_or(0, |current| 1 - current.index)
    }

    /// Claims a version for commit `stamp`, before a word of it is written.
    pub(super) fn stamp(&self, index: usize, stamp: u64) {
        self.stamps[index & 1].store(stamp, Ordering::Relaxed);
    }

    /// Fills a claimed version.
    pub(super) fn fill(&self, index: usize, key: &Key, value: Option<&[u8]>) {
        let version = &self.versions[index & 1];
        let Some(value) = value else {
            return version.meta.store(0, Ordering::Relaxed);
        };
        let meta = Meta::new(key.length(), value.len());
        version.meta.store(meta.0, Ordering::Relaxed);
        let (head, rest) = version.words.split_at(key.words().len().min(WORDS));
        for (word, filled) in head.iter().zip(key.words()) {
            word.store(*filled, Ordering::Relaxed);
        }
        let (whole, last) = words_of(value);
        for (word, filled) in rest.iter().zip(whole) {
            word.store(u64::from_ne_bytes(*filled), Ordering::Relaxed);
        }
        if let (Some(word), Some(last)) = (rest.get(whole.len()), last) {
            word.store(last, Ordering::Relaxed);
        }
    }

    /// Takes what a dead writer began out of every snapshot to come.
    pub(super) fn abort_after(&self, commit: u64) {
        for stamp in &self.stamps {
            if stamp.load(Ordering::Relaxed) > commit {
                stamp.store(ABORTED, Ordering::Relaxed);
            }
        }
    }
}

/// Copies so many bytes, if there are so many: more is no length, but somebody's bytes.
#[inline]
fn copy_bytes<M: Mem>(words: &[M::U64], length: usize, into: &mut impl Target) -> bool {
    if length > words.len() * BYTES_PER_WORD {
        return false;
    }
    let Some(room) = into.room(length) else {
        return true;
    };
    // A cache line at a time, without a look at the end in between.
    let (place_lines, places) = room.as_chunks_mut::<{ LINE * BYTES_PER_WORD }>();
    let (word_lines, _) = words.as_chunks::<LINE>();
    for (places, words) in place_lines.iter_mut().zip(word_lines) {
        let (places, _) = places.as_chunks_mut();
        for (place, word) in places.iter_mut().zip(words) {
            *place = word.load(Ordering::Relaxed).to_ne_bytes();
        }
    }
    if !places.is_empty() {
        let done = place_lines.len() * LINE;
        copy_less_than_a_line::<M>(words.get(done..).unwrap_or_default(), places);
    }
    true
}

/// Apart, so that who copies whole lines does without.
#[inline(never)]
fn copy_less_than_a_line<M: Mem>(words: &[M::U64], places: &mut [u8]) {
    let (places, rest) = places.as_chunks_mut::<BYTES_PER_WORD>();
    for (place, word) in places.iter_mut().zip(words) {
        *place = word.load(Ordering::Relaxed).to_ne_bytes();
    }
    if let Some(last) = words.get(places.len()).filter(|_| !rest.is_empty()) {
        let bytes = last.load(Ordering::Relaxed).to_ne_bytes();
        for (place, byte) in rest.iter_mut().zip(bytes) {
            *place = byte;
        }
    }
}

impl<M: Mem, const WORDS: usize> Default for Entry<M, WORDS> {
    fn default() -> Self {
        let version = || Version {
            meta: M::U64::default(),
            words: array::from_fn(|_| M::U64::default()),
        };
        Self {
            stamps: Default::default(),
            versions: [version(), version()],
        }
    }
}

shared!(Version<M, const WORDS> { meta, words });
shared!(Entry<M, const WORDS> { stamps, versions });
