//! Tests of segment files: what they share.

use core::mem::size_of;
use core::sync::atomic::AtomicU64;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

macro_rules! is {
    ($pattern:pat) => {
        |error: &SegmentError| matches!(error, $pattern)
    };
}

mod life;
mod refusals;
mod removal;
mod removal_search;

/// Large enough to fill a small file system.
#[repr(C)]
struct Words {
    first: AtomicU64,
    rest: [AtomicU64; 16 * 1024],
}
shared!(Words { first, rest });

impl Body for Words {
    const LAYOUT_VERSION: u32 = 7;
    const FINGERPRINT: u64 = fingerprint(&[size_of::<Self>()]);
}

/// Same size, other meaning.
#[repr(C)]
struct Others {
    words: Words,
}
shared!(Others { words });

impl Body for Others {
    const LAYOUT_VERSION: u32 = 7;
    const FINGERPRINT: u64 = fingerprint(&[size_of::<Self>(), 1]);
}

struct Place {
    _root: TempDir,
    options: Options,
    name: SegmentName,
}

impl Place {
    fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// Where segments are by default: no disk behind it.
    fn in_memory() -> Self {
        let root = tempfile::tempdir_in("/dev/shm");
        Self::within(root.unwrap_or_else(|_| tempfile::tempdir().unwrap()))
    }

    fn within(root: TempDir) -> Self {
        let options = Options {
            directory: Some(root.path().join("segments")),
            ..Options::default()
        };
        Self {
            _root: root,
            options,
            name: SegmentName::new("group").unwrap(),
        }
    }

    fn with_segment() -> Self {
        let place = Self::new();
        drop(place.create().unwrap());
        place
    }

    fn directory(&self) -> Directory {
        Directory::prepare(&self.options.path().unwrap()).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.directory().path_of(&self.name)
    }

    fn file(&self) -> File {
        File::options()
            .read(true)
            .write(true)
            .open(self.path())
            .unwrap()
    }

    fn create(&self) -> Result<Opened<Words>, SegmentError> {
        create(&self.name, &self.options)
    }

    fn open(&self) -> Result<Opened<Words>, SegmentError> {
        open(&self.name, &self.options)
    }

    fn observe(&self) -> Result<Observed<Words>, SegmentError> {
        observe(&self.name, &self.options)
    }

    fn remove(&self, force: bool) -> Result<(), SegmentError> {
        remove(&self.name, &self.options, force, None, |_| false).map(drop)
    }

    /// Overwrites a byte, and expects the answer of all openers.
    fn overwrite(&self, offset: u64, expect: fn(&SegmentError) -> bool) {
        let mut byte = [0];
        self.file().read_exact_at(&mut byte, offset).unwrap();
        self.file().write_all_at(&[byte[0] ^ 0x55], offset).unwrap();
        self.expect(expect);
        self.file().write_all_at(&byte, offset).unwrap();
        self.open().unwrap();
    }

    fn expect(&self, expect: fn(&SegmentError) -> bool) {
        for error in [
            self.open().map(drop).unwrap_err(),
            self.observe().map(drop).unwrap_err(),
            open_or_create::<Words>(&self.name, &self.options)
                .map(drop)
                .unwrap_err(),
        ] {
            assert!(expect(&error), "{error:?}");
        }
    }
}
