//! The private directory of a run.

use std::path::PathBuf;

use ebbtide::SegmentOptions;
use tempfile::TempDir;

/// The segment's name.
pub const NAME: &str = "swept";

/// Where the segment is; removed when dropped by the process that made it.
#[derive(Debug)]
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        let built = tempfile::Builder::new()
            .prefix("ebbtide-step-")
            .tempdir_in("/dev/shm");
        Self(built.unwrap_or_else(|_| tempfile::tempdir().expect("a temporary directory")))
    }

    pub fn options(&self) -> SegmentOptions {
        SegmentOptions::new().directory(self.segments())
    }

    pub fn segments(&self) -> PathBuf {
        self.0.path().join("segments")
    }

    /// The same as text, to be found in paths.
    pub fn text(&self) -> String {
        self.segments().display().to_string()
    }

    /// A file that a resource stands for.
    pub fn file(&self) -> PathBuf {
        self.0.path().join("resource")
    }
}
