//! Where a resident belongs, by its arguments.

use std::path::{Path, PathBuf};

use ebbtide::SegmentOptions;

use crate::Fallible;

/// The argument by which this binary knows that it is to be a resident.
const ROLE: &str = "resident-of-a-benchmark";

/// Name of the segment in the scratch directory.
pub const SEGMENT: &str = "bench";

#[derive(Clone, Debug)]
pub struct Place {
    pub scratch: PathBuf,
    pub index: usize,
    pub all: usize,
    pub parent: u32,
    /// The core it is tied to.
    pub core: Option<usize>,
    /// Its eventfd.
    pub eventfd: i32,
    /// Id of the System V semaphore.
    pub semaphore: i32,
    /// So much memory it is to have touched.
    pub megabytes: usize,
}

impl Place {
    pub fn parse(arguments: &[String]) -> Fallible<Option<Self>> {
        match arguments {
            [role, scratch, numbers @ ..] if role == ROLE => {
                let numbers: Vec<i64> = numbers
                    .iter()
                    .map(|number| number.parse())
                    .collect::<Result<_, _>>()?;
                let [index, all, parent, core, eventfd, semaphore, megabytes] = numbers[..] else {
                    return Err("a resident has seven numbers".into());
                };
                Ok(Some(Self {
                    scratch: scratch.into(),
                    index: index.try_into()?,
                    all: all.try_into()?,
                    parent: parent.try_into()?,
                    core: usize::try_from(core).ok(),
                    eventfd: eventfd.try_into()?,
                    semaphore: semaphore.try_into()?,
                    megabytes: megabytes.try_into()?,
                }))
            }
            _ => Ok(None),
        }
    }

    pub fn arguments(&self) -> Vec<String> {
        let core = self.core.map_or(-1, |core| core as i64);
        let numbers = [
            self.index as i64,
            self.all as i64,
            i64::from(self.parent),
            core,
            i64::from(self.eventfd),
            i64::from(self.semaphore),
            self.megabytes as i64,
        ];
        let mut arguments = vec![ROLE.into(), self.scratch.display().to_string()];
        arguments.extend(numbers.map(|number| number.to_string()));
        arguments
    }

    pub fn page_path(&self) -> PathBuf {
        page_path(&self.scratch)
    }

    /// The socket of one resident.
    pub fn socket_path(scratch: &Path, index: usize) -> PathBuf {
        scratch.join(format!("socket-{index}"))
    }

    /// The file that those look for who poll.
    pub fn signal_path(scratch: &Path) -> PathBuf {
        scratch.join("signal")
    }

    /// The folder of the old protocol.
    pub fn old_path(scratch: &Path) -> PathBuf {
        scratch.join("old")
    }
}

pub fn page_path(scratch: &Path) -> PathBuf {
    scratch.join("page")
}

pub fn options(scratch: &Path) -> SegmentOptions {
    SegmentOptions::new().directory(scratch.join("segments"))
}
