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

/// The stamp of a version whose writer died: greater than every commit.
pub(super) const ABORTED: u64 = u64::MAX;

const PRESENT: u64 = 1;
const KEY_SHIFT: u32 = 1;
const KEY_MASK: u64 = 0xff;
const VALUE_SHIFT: u32 = 9;
const VALUE_MASK: u64 = 0xffff_ffff;

const BYTES_PER_WORD: usize = size_of::<u64>();
pub(crate) const KEY_WORDS: usize = KEY_BYTES / BYTES_PER_WORD;

/// A key as words, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    words: [u64; KEY_WORDS],
    length: usize,
    hash: u64,
}

impl Key {
    /// `None` unless the key has 1 to `KEY_BYTES` bytes.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return None;
        }
        let mut words = [0; KEY_WORDS];
        for (word, bytes) in words.iter_mut().zip(words_of(key)) {
            *word = bytes;
        }
        let mut hash = key.len() as u64;
        for word in &words[..key.len().div_ceil(BYTES_PER_WORD)] {
            // A multiplication mixes upwards, the shift brings it down again.
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 32;
        }
        Some(Self {
            words,
            length: key.len(),
            // Zero is the tag of a slot that was never used.
            hash: hash | 1,
        })
    }

    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    fn words(&self) -> &[u64] {
        &self.words[..self.length.div_ceil(BYTES_PER_WORD)]
    }
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(BYTES_PER_WORD).map(|chunk| {
        let mut raw = [0; BYTES_PER_WORD];
        raw[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(raw)
    })
}

/// Where a value is copied to. A copy may turn out torn and begin again.
pub(crate) trait Target {
    fn begin(&mut self, length: usize);
    fn put(&mut self, bytes: &[u8]);
}

impl Target for Vec<u8> {
    fn begin(&mut self, length: usize) {
        self.clear();
        self.reserve(length);
    }
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A place for a value of known length; of another one only the length is kept.
pub(crate) struct Exact<'a> {
    into: &'a mut [u8],
    filled: usize,
    pub(crate) length: usize,
}

impl<'a> Exact<'a> {
    pub(crate) fn new(into: &'a mut [u8]) -> Self {
        Self {
            into,
            filled: 0,
            length: 0,
        }
    }
}

impl Target for Exact<'_> {
    fn begin(&mut self, length: usize) {
        (self.filled, self.length) = (0, length);
    }
    fn put(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        if let Some(place) = self.into.get_mut(self.filled..end) {
            place.copy_from_slice(bytes);
        }
        self.filled = end;
    }
}

/// For who asks only whether there is a value.
pub(crate) struct Nothing;

impl Target for Nothing {
    fn begin(&mut self, _length: usize) {}
    fn put(&mut self, _bytes: &[u8]) {}
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
    pub(super) fn current(&self, at: u64) -> Option<Current> {
        let [a, b] = [0, 1].map(|index| {
            let stamp = self.stamps[index].load(Ordering::Relaxed);
            (stamp <= at && stamp != ABORTED).then_some(Current { index, stamp })
        });
        match (a, b) {
            (Some(a), Some(b)) if b.stamp > a.stamp => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        }
    }

    /// Whether what was read of a version since is of that version.
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
    pub(super) fn copy(&self, current: Current, key: &Key, into: &mut impl Target) -> bool {
        let Some(meta) = self.meta(current).filter(|m| m.key_length() == key.length) else {
            return false;
        };
        let words = &self.versions[current.index].words;
        let (head, rest) = words.split_at(key.words().len());
        let same = |(word, wanted): (&M::U64, &u64)| word.load(Ordering::Relaxed) == *wanted;
        if !head.iter().zip(key.words()).all(same) {
            return false;
        }
        copy_bytes::<M>(rest, meta.value_length(), into);
        true
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
        let meta = Meta::new(key.length, value.len());
        version.meta.store(meta.0, Ordering::Relaxed);
        let filling = key.words().iter().copied().chain(words_of(value));
        for (word, filled) in version.words.iter().zip(filling) {
            word.store(filled, Ordering::Relaxed);
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

fn copy_bytes<M: Mem>(words: &[M::U64], length: usize, into: &mut impl Target) {
    into.begin(length);
    let mut left = length;
    let words = &words[..length.div_ceil(BYTES_PER_WORD).min(words.len())];
    // A cache line at a time, so that the target is asked for room less often.
    for line in words.chunks(8) {
        let mut bytes = [0; 8 * BYTES_PER_WORD];
        for (place, word) in bytes.chunks_exact_mut(BYTES_PER_WORD).zip(line) {
            place.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        let some = left.min(line.len() * BYTES_PER_WORD);
        into.put(&bytes[..some]);
        left -= some;
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
