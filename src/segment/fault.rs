//! Why a segment that is open would not be opened again.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use crate::error::SegmentError;
use crate::segment::header::{Body, Header, Identity};
use crate::segment::map::total_bytes;
use crate::segment::open::{Observed, Opened, boot_id};
use crate::segment::refused;

impl<B: Body> Opened<B> {
    /// Why this segment would not be opened again, if so. A file that was cut is found
    /// before a byte of it is touched.
    ///
    /// # Errors
    /// The kernel refuses to tell; `ForkedHandle`.
    pub(crate) fn fault(&self) -> Result<Option<SegmentError>, SegmentError> {
        fault::<B>(self.locks()?, self.map.header(), self.identity, &self.path)
    }
}

impl<B: Body> Observed<B> {
    /// As [`Opened::fault`].
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub(crate) fn fault(&self) -> Result<Option<SegmentError>, SegmentError> {
        fault::<B>(
            self.file.as_fd(),
            self.map.header(),
            self.identity,
            &self.path,
        )
    }
}

fn fault<B: Body>(
    file: BorrowedFd<'_>,
    header: &Header,
    identity: Identity,
    path: &Path,
) -> Result<Option<SegmentError>, SegmentError> {
    let status = nix::sys::stat::fstat(file).map_err(|error| refused("examine", path, error))?;
    let expected = total_bytes::<B>();
    let found = u64::try_from(status.st_size).unwrap_or(0);
    if found != expected {
        let path = path.to_path_buf();
        return Ok(Some(SegmentError::Size {
            path,
            found,
            expected,
        }));
    }
    if let Err(error) = header.verify::<B>(expected, boot_id()?, path) {
        return Ok(Some(error));
    }
    let is_known = header.identity() == identity && header.has_sane_mark();
    Ok((!is_known).then(|| SegmentError::Corrupt {
        what: format!("{}: header: written to since its birth", path.display()),
    }))
}
