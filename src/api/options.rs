//! How a segment is created and opened.

use std::path::PathBuf;

use crate::error::SegmentError;
use crate::os::futex;
use crate::segment::Options;
use crate::sync::life;

/// How the deaths of peers are noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Liveness {
    /// Life words where the platform has them (Linux with a known C library), byte
    /// locks otherwise. The environment variable `EBBTIDE_LIVENESS=portable` turns
    /// this into [`Portable`](Liveness::Portable).
    #[default]
    Auto,
    /// Byte locks only: what works everywhere. A death is noticed at the next look,
    /// at most every 10 ms.
    Portable,
}

impl Liveness {
    const VARIABLE: &'static str = "EBBTIDE_LIVENESS";

    pub(crate) fn is_portable(self) -> Result<bool, SegmentError> {
        if self == Self::Portable {
            return Ok(true);
        }
        match std::env::var(Self::VARIABLE).as_deref() {
            Ok("portable") => {
                // All of it: also waits on two words at once.
                futex::set_waitv(false);
                Ok(true)
            }
            Ok("auto" | "") | Err(std::env::VarError::NotPresent) => {
                Ok(life::self_test().is_none())
            }
            other => Err(SegmentError::Environment {
                variable: Self::VARIABLE,
                problem: format!("is {other:?}; it may be \"auto\" or \"portable\""),
            }),
        }
    }
}

/// Options of a segment, by a builder.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), ebbtide::SegmentError> {
/// use ebbtide::SegmentOptions;
///
/// # let scratch = tempfile::tempdir().unwrap();
/// # let directory = scratch.path().join("segments");
/// let options = SegmentOptions::new().directory(directory);
/// let segment = options.create("job-7")?;
/// assert_eq!(options.list()?, ["job-7"]);
/// drop(segment);
/// options.remove("job-7", false)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SegmentOptions {
    pub(crate) files: Options,
    pub(crate) liveness: Liveness,
}

impl SegmentOptions {
    /// The defaults: this user's directory, mode 0600, [`Liveness::Auto`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The directory of the segment file. Default: the environment variable
    /// `EBBTIDE_DIR`, else `/dev/shm/ebbtide-<uid>`. It is made with mode 0700 if it
    /// does not exist; it must belong to this user and be writable by nobody else.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.files.directory = Some(directory.into());
        self
    }

    /// Permission bits of a new segment, and the most that are accepted of an existing
    /// one. Default 0600.
    pub fn mode(mut self, mode: u32) -> Self {
        self.files.mode = mode;
        self
    }

    /// How deaths are noticed by this process. Default [`Liveness::Auto`]. Processes of
    /// one segment may differ.
    pub fn liveness(mut self, liveness: Liveness) -> Self {
        self.liveness = liveness;
        self
    }
}
