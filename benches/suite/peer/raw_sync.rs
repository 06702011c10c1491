//! raw_sync's event and mutex, in the shared page.

use std::cell::UnsafeCell;

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use raw_sync::locks::{LockImpl, LockInit, Mutex};

use crate::Fallible;

/// Room for one of its objects; all zero at first.
#[repr(C, align(128))]
pub struct Area(UnsafeCell<[u8; 256]>);

// SAFETY: the objects in it are made to be used by several processes at once; only the
// address is taken here.
unsafe impl Sync for Area {}

impl Area {
    fn at(&self) -> *mut u8 {
        self.0.get().cast()
    }
}

/// An event that stays set until it is cleared.
pub struct RawEvent(Box<dyn EventImpl>);

impl RawEvent {
    pub fn make(area: &Area) -> Fallible<Self> {
        assert!(Event::size_of(Some(area.at())) <= size_of::<Area>());
        // SAFETY: large enough, aligned, nobody's yet, and it stays mapped for the life of
        // the process.
        let (event, _) = unsafe { Event::new(area.at(), false) }?;
        Ok(Self(event))
    }

    pub fn open(area: &Area) -> Fallible<Self> {
        // SAFETY: the parent made it before it started this process; it stays mapped.
        let (event, _) = unsafe { Event::from_existing(area.at()) }?;
        Ok(Self(event))
    }

    pub fn wait(&self) {
        self.0.wait(Timeout::Infinite).expect("raw_sync waits");
    }

    pub fn is_set(&self) -> bool {
        self.0.wait(Timeout::Val(std::time::Duration::ZERO)).is_ok()
    }

    pub fn set(&self) {
        self.0.set(EventState::Signaled).expect("raw_sync sets");
    }

    pub fn clear(&self) {
        self.0.set(EventState::Clear).expect("raw_sync clears");
    }
}

/// Its mutex.
pub struct RawMutex(Box<dyn LockImpl>);

impl RawMutex {
    pub fn make(area: &Area) -> Fallible<Self> {
        assert!(Mutex::size_of(Some(area.at())) <= size_of::<Area>());
        // SAFETY: as for the event; the data it is to guard is nothing.
        let (mutex, _) = unsafe { Mutex::new(area.at(), std::ptr::null_mut()) }?;
        Ok(Self(mutex))
    }

    pub fn open(area: &Area) -> Fallible<Self> {
        // SAFETY: the parent made it before it started this process; it stays mapped.
        let (mutex, _) = unsafe { Mutex::from_existing(area.at(), std::ptr::null_mut()) }?;
        Ok(Self(mutex))
    }

    pub fn with<T>(&self, inside: impl FnOnce() -> T) -> T {
        let _guard = self.0.lock().expect("raw_sync locks");
        inside()
    }
}
