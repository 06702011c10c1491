//! Removing segments: one by name, or all that no living process uses.

use std::time::Duration;

use crate::api::options::SegmentOptions;
use crate::error::SegmentError;
use crate::segment::header::Identity;
use crate::segment::inode::Inode;
use crate::segment::{self, Directory, SegmentName, temporary};

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
    /// Removes a segment. Without `force` only one to which no living process is
    /// attached; also a torn one, or one of another layout or boot. The text of a
    /// [`Token`](crate::Token) removes that very segment and no other one of its name.
    ///
    /// Processes attached to a segment removed by force still have it mapped: a `run_shutdown`
    /// under way goes on, locks can be unlocked, and all else that waits ends with
    /// [`SegmentError::Stale`] within a second, as nobody finds the segment any more. New
    /// ones cannot find them.
    ///
    /// A segment has one remover at a time. While another process is removing it, this
    /// call waits for that one, for a second at most; a remover that is killed is replaced
    /// at once.
    ///
    /// # Errors
    /// [`SegmentError::InUse`] with who is attached, or with the remover that has not
    /// finished within that second, also with `force`; `NotFound`, `ForeignOwner`,
    /// `NotRegular`, `Permission`; for a token, `Stale` instead of `NotFound`, also when
    /// another segment has the name.
    pub fn remove(&self, name: &str, force: bool) -> Result<(), SegmentError> {
        let Some(token) = self.token_in(name)? else {
            return self
                .remove_only(&SegmentName::new(name)?, None, force)
                .map(drop);
        };
        let options = self.clone().directory(token.directory());
        let only = Some(token.identity());
        options
            .remove_only(token.segment_name(), only, force)
            .map(drop)
    }

    /// Returns the bytes freed; `None` if another remover took the name away.
    fn remove_only(
        &self,
        name: &SegmentName,
        only: Option<Identity>,
        force: bool,
    ) -> Result<Option<u64>, SegmentError> {
        let is_in_use = |identity| {
            let seen = self.observer(name);
            seen.is_ok_and(|seen| seen.identity() == identity && seen.has_living_keeper())
        };
        match segment::remove(name, &self.files, force, only, is_in_use) {
            Err(SegmentError::InUse {
                name: of,
                remover: None,
                ..
            }) => {
                let attached = self.observer(name).map(|seen| seen.attached());
                Err(SegmentError::InUse {
                    name: of,
                    attached: attached.unwrap_or_default(),
                    remover: None,
                })
            }
            result => result,
        }
    }

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
            report.add(name.to_string(), self.remove_only(&name, None, false));
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
