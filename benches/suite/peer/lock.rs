//! Locks between processes, by whatever means.

use std::fs::File;

use ebbtide::{CrossProcessLock, Segment};

use crate::Fallible;
use crate::peer::raw_sync::RawMutex;
use crate::raw::kernel::{Semaphore, flock};
use crate::troop::{Page, Place};

/// One of the means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Means {
    Ebbtide,
    Futex,
    RawSync,
    Robust,
    Flock,
    SystemV,
    /// Of the whole life of the process: an open-file-description lock.
    Description,
}

impl Means {
    pub const ALL: [Self; 7] = [
        Self::Ebbtide,
        Self::Futex,
        Self::RawSync,
        Self::Robust,
        Self::Flock,
        Self::SystemV,
        Self::Description,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ebbtide => "ebbtide",
            Self::Futex => "bare futex lock",
            Self::RawSync => "raw_sync",
            Self::Robust => "pthread robust",
            Self::Flock => "flock",
            Self::SystemV => "SysV semaphore",
            Self::Description => "OFD lock",
        }
    }
}

/// A lock of one of them, as one process has it.
pub enum Lock<'a> {
    Ebbtide(Box<CrossProcessLock>),
    RawSync(RawMutex),
    Page(&'a Page, Means),
    File(File, Means),
    SystemV(Semaphore),
}

impl<'a> Lock<'a> {
    pub fn open(means: Means, place: &Place, page: &'a Page, segment: &Segment) -> Fallible<Self> {
        Ok(match means {
            Means::Ebbtide => Self::Ebbtide(Box::new(CrossProcessLock::open(segment, "lock")?)),
            Means::RawSync => Self::RawSync(RawMutex::open(&page.raw_mutex.0)?),
            Means::Futex | Means::Robust => Self::Page(page, means),
            Means::Flock | Means::Description => {
                let path = place.scratch.join("locked");
                let open = File::options().read(true).write(true).open(path);
                Self::File(open?, means)
            }
            Means::SystemV => Self::SystemV(Semaphore::open(place.semaphore)),
        })
    }

    /// Does something while it is held.
    pub fn with<T>(&self, inside: impl FnOnce() -> T) -> T {
        match self {
            Self::Ebbtide(lock) => {
                let _guard = lock.lock().expect("ebbtide locks");
                inside()
            }
            Self::RawSync(mutex) => mutex.with(inside),
            Self::Page(page, Means::Futex) => {
                page.lock.0.lock();
                let answer = inside();
                page.lock.0.unlock();
                answer
            }
            Self::Page(page, _) => {
                page.robust.0.lock();
                let answer = inside();
                page.robust.0.unlock();
                answer
            }
            Self::File(file, Means::Description) => {
                crate::raw::kernel::lock_description(file).expect("it can be locked");
                let answer = inside();
                crate::raw::kernel::unlock_description(file).expect("it can be unlocked");
                answer
            }
            Self::File(file, _) => {
                flock(file, libc::LOCK_EX);
                let answer = inside();
                flock(file, libc::LOCK_UN);
                answer
            }
            Self::SystemV(semaphore) => {
                semaphore.lock();
                let answer = inside();
                semaphore.unlock();
                answer
            }
        }
    }
}
