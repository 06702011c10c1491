//! Removing the segments that no living process uses.

use std::time::Duration;

use crate::api::options::SegmentOptions;
use crate::error::SegmentError;
use crate::segment::inode::Inode;
use crate::segment::{Directory, SegmentName, temporary};

/// A file that was removed, and what that freed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Name of the segment, or of the temporary file of a killed creator (`.tmp-...`).
    pub name: String,
    /// Bytes that the file took.
    pub bytes: u64,
}

/// The result of [`SegmentOptions::remove_unused`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct UnusedReport {
    /// What was removed.
    pub removed: Vec<Removed>,
    /// What could not be removed, by name, and why. Segments in use are not among them.
    pub refused: Vec<(String, SegmentError)>,
}

impl UnusedReport {
    /// Bytes that the removed files took together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.removed.iter().map(|removed| removed.bytes).sum()
    }

    fn add(&mut self, name: String, result: Result<Option<u64>, SegmentError>) {
        match result {
            Ok(Some(bytes)) => self.removed.push(Removed { name, bytes }),
            // In use, or removed by another process since it was listed.
            Ok(None)
            | Err(SegmentError::InUse { remover: None, .. } | SegmentError::NotFound { .. }) => {}
            Err(error) => self.refused.push((name, error)),
        }
    }
}

impl SegmentOptions {
    /// Removes every segment in the directory that no living process uses: also torn ones and
    /// those of an earlier boot or of another layout, and temporary files of killed creators.
    ///
    /// Each removal is an unforced [`remove`](Self::remove), so a segment to which a process
    /// is attached stays, also when that process attaches meanwhile: either it is attached
    /// first, or its call creates the segment again or returns `Stale` or `NotFound`. Continues
    /// after an error; a segment that another process is removing is waited for, for a second
    /// at most.
    ///
    /// # Errors
    /// [`SegmentError::Directory`] when the directory cannot be trusted, `Permission`, `Io`. Errors of single
    /// segments are in the report.
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let options = ebbtide::SegmentOptions::new().directory(directory.path());
    /// drop(options.create("finished")?);
    /// let kept = options.create("kept")?;
    ///
    /// let report = options.remove_unused()?;
    /// assert_eq!(report.removed[0].name, "finished");
    /// assert!(report.bytes() > 0 && report.refused.is_empty());
    /// assert_eq!(options.list()?, ["kept"]);
    /// # drop(kept);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_unused(&self) -> Result<UnusedReport, SegmentError> {
        let mut report = UnusedReport::default();
        let Some(directory) = Directory::existing(&self.files.path()?)? else {
            return Ok(report);
        };
        for name in directory.names()? {
            report.add(name.to_string(), self.remove_named(&name, false));
        }
        for name in temporary::names(&directory)? {
            let result = temporary::discard(&directory, &name, Duration::ZERO);
            report.add(name, result);
        }
        Ok(report)
    }

    /// Returns the room that a segment's file takes, in bytes. Works on any regular file of
    /// that name, also on a torn one.
    ///
    /// # Errors
    /// [`SegmentError::NotFound`], `InvalidName`, `Directory`, `ForeignOwner`, `NotRegular`,
    /// `Permission`, `Io`.
    pub fn size(&self, name: &str) -> Result<u64, SegmentError> {
        let name = SegmentName::new(name)?;
        let path = self.files.path()?;
        let Some(directory) = Directory::existing(&path)? else {
            return Err(SegmentError::NotFound {
                name: name.to_string(),
                path: path.join(name.as_str()),
            });
        };
        let inode = Inode::look_up(&directory, &name)?;
        inode.check_owner_and_kind()?;
        Ok(inode.room())
    }
}
