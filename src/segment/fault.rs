//! Why a segment that is open would not be opened again.

use std::io;
use std::path::Path;

use nix::sys::stat::{FileStat, fstat};

use crate::error::SegmentError;
use crate::segment::header::{Body, Header, Identity};
use crate::segment::locks::Void;
use crate::segment::map::total_bytes;
use crate::segment::open::{Observed, Opened, boot_id};
use crate::segment::refused;

impl<B: Body> Opened<B> {
    /// Why this segment would not be opened again, if so. A file that was cut is found
    /// before a byte of it is touched.
    ///
    /// # Errors
    /// The kernel refuses the query.
    pub(crate) fn fault(&self) -> Result<Option<SegmentError>, SegmentError> {
        let status = match self.locks().status() {
            Ok(Some(status)) => Some(status),
            // The descriptor is lost, or being replaced.
            Ok(None) | Err(Void) => self.named()?.map(|file| fstat(file).map_err(Into::into)),
        };
        fault::<B>(status, self.map.header(), self.identity, &self.path)
    }
}

impl<B: Body> Observed<B> {
    /// As [`Opened::fault`].
    ///
    /// # Errors
    /// The kernel refuses the query.
    pub(crate) fn fault(&self) -> Result<Option<SegmentError>, SegmentError> {
        let file = self.file.get();
        let status = file.map(|file| fstat(file).map_err(io::Error::from));
        fault::<B>(status, self.map.header(), self.identity, &self.path)
    }
}

/// Without a status (the descriptor is lost, and so is the name) the size is not judged.
fn fault<B: Body>(
    status: Option<io::Result<FileStat>>,
    header: &Header,
    identity: Identity,
    path: &Path,
) -> Result<Option<SegmentError>, SegmentError> {
    let expected = total_bytes::<B>();
    let status = status.transpose();
    let status = status.map_err(|error| refused("examine", path, error))?;
    let found = status.map_or(expected, |status| {
        u64::try_from(status.st_size).unwrap_or(0)
    });
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
