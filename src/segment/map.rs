//! The mapping of a segment file, as a header and one typed body.
//!
//! A mapping begins [`Unverified`], which shows the header alone; the body can be
//! reached only through what `verify` gives back.

use core::fmt;
use core::marker::PhantomData;
use core::mem::{align_of, needs_drop, size_of};
use core::ops::Deref;
use core::ptr::NonNull;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::error::SegmentError;
use crate::segment::header::{Birth, Body, HEADER_BYTES, Header};

/// The size of a segment file with this body.
pub(crate) const fn total_bytes<B: Body>() -> u64 {
    (HEADER_BYTES + size_of::<B>()) as u64
}

/// The pages themselves. At least `total_bytes::<B>()` long, page-aligned.
struct Pages<B> {
    raw: MmapRaw,
    /// A mapping hands out `&B` and owns no `B`; `B: Sync` by `Shared`.
    body: PhantomData<fn() -> B>,
}

impl<B: Body> Pages<B> {
    const CHECKED: () = {
        assert!(
            !needs_drop::<B>(),
            "a shared body is left without notice: no Drop"
        );
        assert!(
            align_of::<B>() <= HEADER_BYTES,
            "the body begins at the second page"
        );
        assert!(HEADER_BYTES.is_multiple_of(align_of::<B>()));
    };

    fn new(map: impl FnOnce(&MmapOptions) -> io::Result<MmapRaw>) -> io::Result<Self> {
        let () = Self::CHECKED;
        let raw = map(MmapOptions::new().len(total_bytes::<B>() as usize))?;
        Ok(Self {
            raw,
            body: PhantomData,
        })
    }

    fn header(&self) -> &Header {
        let header = self.raw.as_ptr().cast::<Header>();
        // SAFETY:
        // - Page-aligned and at least HEADER_BYTES long, by `new`; mapped until drop.
        // - `Header: Shared`: any bytes are a valid value and it is accessed only
        //   atomically, so writes by other processes are no data race on `&Header`.
        // - The file is as long as the mapping: its size was checked before, and
        //   whoever shortens it has our user id, which is trusted with that (it
        //   ends in SIGBUS, not in a wrong value).
        unsafe { &*header }
    }

    #[inline]
    fn body(&self) -> &B {
        let body = self.raw.as_ptr().wrapping_add(HEADER_BYTES).cast::<B>();
        // SAFETY:
        // - In bounds and aligned: `CHECKED`, and the length given in `new`.
        // - `B: Shared`, as argued in `header`.
        unsafe { &*body }
    }
}

/// A mapped segment of which nothing has been checked but its size.
pub(crate) struct Unverified<B> {
    pages: Pages<B>,
}

impl<B: Body> Unverified<B> {
    /// Maps a file of exactly `total_bytes::<B>()` bytes, shared, for reading and
    /// writing. The mapping keeps the file's open file description.
    ///
    /// # Errors
    /// No address space, or a file system without shared mappings.
    pub(crate) fn map(file: impl AsFd) -> io::Result<Self> {
        Ok(Self {
            pages: Pages::new(|options| options.map_raw(&file.as_fd()))?,
        })
    }

    /// Keeps children of this process from inheriting the mapping, and with it the open
    /// file description and its locks.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub(crate) fn keep_from_children(&self) -> io::Result<()> {
        self.pages.raw.advise(Advice::DontFork)
    }

    /// The header; only to be verified, or to be filled by the creator.
    pub(crate) fn header(&self) -> &Header {
        self.pages.header()
    }

    /// Fills the header of a new, all-zero file.
    pub(crate) fn initialise(&self, birth: &Birth) {
        self.header().write::<B>(birth, total_bytes::<B>());
    }

    /// Checks the header and gives access to the body.
    ///
    /// # Errors
    /// See [`Header::verify`].
    pub(crate) fn verify(self, boot: [u8; 16], path: &Path) -> Result<Map<B>, SegmentError> {
        self.header().verify::<B>(total_bytes::<B>(), boot, path)?;
        Ok(Map { pages: self.pages })
    }
}

/// A verified segment, mapped for reading and writing.
pub(crate) struct Map<B> {
    pages: Pages<B>,
}

impl<B: Body> Map<B> {
    /// The verified header.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        self.pages.header()
    }

    /// The body. Its bytes are whatever other processes write: check each value
    /// where it is read.
    #[inline]
    pub(crate) fn body(&self) -> &B {
        self.pages.body()
    }
}

/// A verified segment, mapped for reading only: an observer cannot disturb it.
///
/// Only atomic *loads* (of at most eight bytes, Relaxed or Acquire: plain loads on
/// every target) and futex waits may be made through it; the first store or
/// read-modify-write ends the process with SIGSEGV.
pub(crate) struct ReadMap<B> {
    pages: Pages<B>,
}

impl<B: Body> ReadMap<B> {
    /// Maps a file of exactly `total_bytes::<B>()` bytes, shared and read-only, and
    /// checks the header.
    ///
    /// # Errors
    /// The inner one: see [`Header::verify`]; the outer one: see [`Unverified::map`].
    pub(crate) fn map(
        file: &File,
        boot: [u8; 16],
        path: &Path,
    ) -> io::Result<Result<Self, SegmentError>> {
        let pages: Pages<B> = Pages::new(|options| options.map_raw_read_only(file))?;
        let verified = pages.header().verify::<B>(total_bytes::<B>(), boot, path);
        Ok(verified.map(|()| Self { pages }))
    }

    /// The verified header, for loads only.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        self.pages.header()
    }

    /// The body, for loads only.
    #[inline]
    pub(crate) fn body(&self) -> &B {
        self.pages.body()
    }
}

// Send and Sync of all three come by themselves and are right: `MmapRaw` is both
// (it is an address range that any thread may unmap), and what they hand out is
// `&B` with `B: Sync`, which `Shared` demands.
const _: () = {
    const fn both<T: Send + Sync>() {}
    const fn maps<B: Body>() {
        both::<Unverified<B>>();
        both::<Map<B>>();
        both::<ReadMap<B>>();
    }
    let _ = maps::<Nothing>;
};

/// The empty body: a mapping of the header alone, for removal by any release.
pub(crate) struct Nothing;

// SAFETY: it has no bytes.
unsafe impl crate::segment::shared::Shared for Nothing {}

impl Body for Nothing {
    const LAYOUT_VERSION: u32 = 0;
    const FINGERPRINT: u64 = 0;
}

impl<B> fmt::Debug for Map<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Map")
            .field("raw", &self.pages.raw)
            .finish()
    }
}

impl<B> fmt::Debug for ReadMap<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReadMap")
            .field("raw", &self.pages.raw)
            .finish()
    }
}

/// A part of what an `Arc` keeps, one load away: hot paths do not walk from handle to
/// attachment to mapping to table each time.
pub(crate) struct Within<O, T> {
    whole: Arc<O>,
    /// Somewhere in what `whole` keeps.
    part: NonNull<T>,
}

impl<O, T> Within<O, T> {
    /// Finds the part.
    pub(crate) fn new(whole: &Arc<O>, find: impl for<'a> FnOnce(&'a O) -> &'a T) -> Self {
        Self {
            whole: Arc::clone(whole),
            part: NonNull::from(find(whole)),
        }
    }

    /// What it is a part of.
    #[inline]
    pub(crate) fn whole(&self) -> &Arc<O> {
        &self.whole
    }
}

impl<O, T> Deref for Within<O, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY:
        // - `find` made it from a shared borrow of `whole`, of any lifetime: it is valid for
        //   as long as `whole` could be borrowed, which is as long as `self` lives;
        // - what an `Arc` keeps stays where it is, and is borrowed mutably or moved out
        //   only by the last `Arc` to it, which is not another one while ours is there.
        unsafe { self.part.as_ref() }
    }
}

impl<O, T> Clone for Within<O, T> {
    fn clone(&self) -> Self {
        Self {
            whole: Arc::clone(&self.whole),
            part: self.part,
        }
    }
}

impl<O, T> fmt::Debug for Within<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Within").field(&self.part).finish()
    }
}

// SAFETY: it is an `Arc<O>` and, in effect, a `&T`: sent where both may be sent.
unsafe impl<O: Send + Sync, T: Sync> Send for Within<O, T> {}

// SAFETY: a shared one gives out `&Arc<O>` and `&T`.
unsafe impl<O: Send + Sync, T: Sync> Sync for Within<O, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_lives_as_long_as_a_part_of_it_does() {
        let whole = Arc::new((1_u32, String::from("two")));
        let part = Within::new(&whole, |whole| &whole.1);
        let (again, weak) = (part.clone(), Arc::downgrade(&whole));
        drop(whole);
        drop(part);
        assert_eq!(&*again, "two");
        assert_eq!(again.whole().0, 1);
        drop(again);
        assert!(weak.upgrade().is_none());
    }
}
