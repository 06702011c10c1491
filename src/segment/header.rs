//! The first page of every segment: what it is, of which layout, boot and birth.

use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::path::Path;

use crate::error::SegmentError;
use crate::segment::shared::{Shared, shared};

/// `"ebbtide\0"` as the bytes lie in the file of a little-endian host; the other
/// byte order reads as a wrong magic number, which is right.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"ebbtide\0");

/// Bytes of the header: one page, so that the body begins on a page of its own.
pub(crate) const HEADER_BYTES: usize = 4096;

const WORDS: usize = 16;
const PAD: usize = HEADER_BYTES / 8 - WORDS;

/// What a segment holds behind its header.
pub(crate) trait Body: Shared {
    /// Version of the meaning of the bytes, raised by hand. Not the crate version.
    const LAYOUT_VERSION: u32;
    /// Of all sizes, offsets and capacities: see [`fingerprint`].
    const FINGERPRINT: u64;
}

/// Mixes layout numbers (sizes, alignments, offsets, capacities) into one (FNV-1a).
pub(crate) const fn fingerprint(numbers: &[usize]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < numbers.len() {
        let bytes = (numbers[index] as u64).to_le_bytes();
        let mut byte = 0;
        while byte < bytes.len() {
            hash = (hash ^ bytes[byte] as u64).wrapping_mul(0x0100_0000_01b3);
            byte += 1;
        }
        index += 1;
    }
    hash
}

/// The random name of one segment file: two of the same path are told apart.
pub(crate) type Identity = [u64; 2];

/// The process that removes a segment, as it sees itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remover {
    pub(crate) pid: u32,
    /// 0: not known.
    pub(crate) start_time: u64,
    /// Inode: what `pid` is relative to. 0: not known.
    pub(crate) pid_namespace: u64,
}

/// The header. Only `removed` and the remover's words change after birth.
///
/// The offsets of `magic`, `layout_version`, `removed` and the remover's words are the
/// same in every layout version, past (where the latter were spare) and to come, so that
/// any release can name and remove the segments of another.
#[repr(C)]
pub(crate) struct Header {
    /// [`MAGIC`], stored last (Release) by the creator; verification loads it
    /// first (Acquire).
    magic: AtomicU64,
    layout_version: AtomicU32,
    /// 1 once the segment has been removed, set while all process byte locks are
    /// held (or by force). Release; attachers load it (Acquire) once they hold theirs.
    removed: AtomicU32,
    header_bytes: AtomicU32,
    creator_pid: AtomicU32,
    creator_uid: AtomicU32,
    _unused: AtomicU32,
    fingerprint: AtomicU64,
    total_bytes: AtomicU64,
    boot: [AtomicU64; 2],
    identity: [AtomicU64; 2],
    /// Microseconds of the segment's clock.
    created_at: AtomicU64,
    /// Inode: what `creator_pid` is relative to.
    creator_pid_namespace: AtomicU64,
    /// Who removes the segment; 0: nobody. Written by the holder of the removers' byte,
    /// for people: nothing is decided by these three. They may be those of a remover that
    /// was killed. Release; `remover` loads it first (Acquire).
    remover_pid: AtomicU64,
    remover_start_time: AtomicU64,
    remover_pid_namespace: AtomicU64,
    _spare: [AtomicU64; 1],
    _pad: [AtomicU64; PAD],
}
shared!(Header {
    magic,
    layout_version,
    removed,
    header_bytes,
    creator_pid,
    creator_uid,
    _unused,
    fingerprint,
    total_bytes,
    boot,
    identity,
    created_at,
    creator_pid_namespace,
    remover_pid,
    remover_start_time,
    remover_pid_namespace,
    _spare,
    _pad
});

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);
const _: () = assert!(offset_of!(Header, magic) == 0);
const _: () = assert!(offset_of!(Header, layout_version) == 8);
const _: () = assert!(offset_of!(Header, removed) == 12);
const _: () = assert!(offset_of!(Header, fingerprint) == 32);
const _: () = assert!(offset_of!(Header, boot) == 48);
const _: () = assert!(offset_of!(Header, identity) == 64);
const _: () = assert!(offset_of!(Header, created_at) == 80);
const _: () = assert!(offset_of!(Header, remover_pid) == 96);
const _: () = assert!(offset_of!(Header, remover_start_time) == 104);
const _: () = assert!(offset_of!(Header, remover_pid_namespace) == 112);

/// What a creator writes into the header besides the layout.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) boot: [u8; 16],
    pub(crate) identity: Identity,
    pub(crate) created_at: u64,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) pid_namespace: u64,
}

impl Header {
    /// Fills the header of an all-zero file that nobody else can see yet.
    pub(crate) fn write<B: Body>(&self, birth: &Birth, total_bytes: u64) {
        let order = Ordering::Relaxed;
        self.layout_version.store(B::LAYOUT_VERSION, order);
        self.header_bytes.store(HEADER_BYTES as u32, order);
        self.creator_pid.store(birth.pid, order);
        self.creator_uid.store(birth.uid, order);
        self.creator_pid_namespace.store(birth.pid_namespace, order);
        self.fingerprint.store(B::FINGERPRINT, order);
        self.total_bytes.store(total_bytes, order);
        self.created_at.store(birth.created_at, order);
        store(&self.boot, halves(birth.boot));
        store(&self.identity, birth.identity);
        // SYNC POINT born: pairs with the Acquire load in `verify`.
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// Whether the file was made by some release of ebbtide.
    pub(crate) fn is_ours(&self) -> bool {
        // SYNC POINT born: pairs with the Release store in `write`.
        self.magic.load(Ordering::Acquire) == MAGIC
    }

    /// Checks magic, layout version, fingerprint, sizes and boot, in this order.
    ///
    /// # Errors
    /// `Magic`, `Layout` or `Boot`.
    pub(crate) fn verify<B: Body>(
        &self,
        total_bytes: u64,
        boot: [u8; 16],
        path: &Path,
    ) -> Result<(), SegmentError> {
        let path = || path.to_path_buf();
        if !self.is_ours() {
            return Err(SegmentError::Magic { path: path() });
        }
        let found = (
            self.layout_version.load(Ordering::Relaxed),
            self.fingerprint.load(Ordering::Relaxed),
            self.header_bytes.load(Ordering::Relaxed) as usize,
            self.total_bytes.load(Ordering::Relaxed),
        );
        if found != (B::LAYOUT_VERSION, B::FINGERPRINT, HEADER_BYTES, total_bytes) {
            let name = |version: u32, fingerprint: u64, bytes: u64| {
                format!("{version}-{fingerprint:016x} ({bytes} bytes)")
            };
            return Err(SegmentError::Layout {
                path: path(),
                found: name(found.0, found.1, found.3),
                expected: name(B::LAYOUT_VERSION, B::FINGERPRINT, total_bytes),
            });
        }
        if load(&self.boot) != halves(boot) {
            return Err(SegmentError::Boot { path: path() });
        }
        Ok(())
    }

    /// The random name of this file.
    pub(crate) fn identity(&self) -> Identity {
        load(&self.identity)
    }

    /// When it was made, in microseconds of the segment's clock.
    pub(crate) fn created_at(&self) -> u64 {
        self.created_at.load(Ordering::Relaxed)
    }

    /// The creator's pid (in the pid namespace of [`Self::creator_pid_namespace`]);
    /// informational.
    pub(crate) fn creator_pid(&self) -> u32 {
        self.creator_pid.load(Ordering::Relaxed)
    }

    /// Whether the segment was removed. Loaded after the own byte lock was taken,
    /// `false` means that no unforced removal can happen while it is held.
    pub(crate) fn is_removed(&self) -> bool {
        // SYNC POINT removed: pairs with the Release store in `mark_removed`.
        self.removed.load(Ordering::Acquire) != 0
    }

    /// Whether the mark of removal is one that is ever written.
    pub(crate) fn has_sane_mark(&self) -> bool {
        self.removed.load(Ordering::Relaxed) <= 1
    }

    /// Marks the segment as removed, for ever.
    pub(crate) fn mark_removed(&self) {
        // SYNC POINT removed: pairs with the Acquire load in `is_removed`.
        self.removed.store(1, Ordering::Release);
    }

    /// Notes who removes the segment. By the holder of the removers' byte.
    pub(crate) fn note_remover(&self, remover: Remover) {
        let order = Ordering::Relaxed;
        self.remover_start_time.store(remover.start_time, order);
        self.remover_pid_namespace
            .store(remover.pid_namespace, order);
        // SYNC POINT remover: pairs with the Acquire load in `remover`.
        self.remover_pid
            .store(remover.pid.into(), Ordering::Release);
    }

    /// Undoes [`Self::note_remover`]. By the holder of the removers' byte.
    pub(crate) fn forget_remover(&self) {
        self.remover_pid.store(0, Ordering::Relaxed);
    }

    /// Who was the last to note itself as remover and has not ended in order.
    pub(crate) fn remover(&self) -> Option<Remover> {
        // SYNC POINT remover: pairs with the Release store in `note_remover`.
        let pid = u32::try_from(self.remover_pid.load(Ordering::Acquire)).ok()?;
        (pid != 0).then(|| Remover {
            pid,
            start_time: self.remover_start_time.load(Ordering::Relaxed),
            pid_namespace: self.remover_pid_namespace.load(Ordering::Relaxed),
        })
    }
}

fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let number = u128::from_ne_bytes(bytes);
    [number as u64, (number >> 64) as u64]
}

fn load(words: &[AtomicU64; 2]) -> [u64; 2] {
    [
        words[0].load(Ordering::Relaxed),
        words[1].load(Ordering::Relaxed),
    ]
}

fn store(words: &[AtomicU64; 2], values: [u64; 2]) {
    words[0].store(values[0], Ordering::Relaxed);
    words[1].store(values[1], Ordering::Relaxed);
}
