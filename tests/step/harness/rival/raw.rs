//! `raw_sync` over `shared_memory`.
#![allow(unsafe_code)]

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shared_memory::{Shmem, ShmemConf};

use super::{Contest, Found, TRIES};
use crate::harness::board::Board;

const SIZE: usize = 4096;
/// Where the data of a lock is, behind the lock.
const DATA: usize = 1024;

fn memory() -> Shmem {
    ShmemConf::new().size(SIZE).create().expect("shared memory")
}

struct Lock {
    lock: Box<dyn LockImpl>,
    // Mapped as long as the lock is used.
    _memory: Shmem,
}

pub fn mutex() -> Box<dyn Contest> {
    let memory = memory();
    let begin = memory.as_ptr();
    // SAFETY:
    // - DATA is within the SIZE bytes of the mapping.
    let data = unsafe { begin.add(DATA) };
    // SAFETY:
    // - `begin` is the beginning of a fresh mapping of SIZE bytes, page-aligned, that lives
    //   as long as the lock does; a mutex is smaller than DATA.
    let (lock, _) = unsafe { Mutex::new(begin, data) }.expect("a mutex");
    Box::new(Lock {
        lock,
        _memory: memory,
    })
}

impl Contest for Lock {
    fn act(&self, board: &Board) {
        let guard = self.lock.lock().expect("the lock");
        board.enter(false);
        board.leave();
        drop(guard);
    }

    fn survive(&self, board: &Board) -> Found {
        let begin = std::time::Instant::now();
        // It may give up early, when its sum of nanoseconds is more than a second.
        while begin.elapsed() < TRIES {
            if let Ok(guard) = self.lock.try_lock(Timeout::Val(TRIES)) {
                board.enter(false);
                drop(guard);
                return if board.take_clashes() > 0 {
                    Found::Violated
                } else {
                    Found::Fine
                };
            }
        }
        Found::Lost
    }
}

struct Bell {
    event: Box<dyn EventImpl>,
    waits: bool,
    // Mapped as long as the event is used.
    _memory: Shmem,
}

fn event(waits: bool) -> Box<dyn Contest> {
    let memory = memory();
    // SAFETY:
    // - the beginning of a fresh mapping of SIZE bytes, page-aligned, more than an event has,
    //   that lives as long as the event does.
    let (event, _) = unsafe { Event::new(memory.as_ptr(), false) }.expect("an event");
    Box::new(Bell {
        event,
        waits,
        _memory: memory,
    })
}

pub fn event_set() -> Box<dyn Contest> {
    event(false)
}

pub fn event_wait() -> Box<dyn Contest> {
    event(true)
}

impl Contest for Bell {
    fn act(&self, _: &Board) {
        let done = if self.waits {
            self.event.wait(Timeout::Infinite)
        } else {
            self.event.set(EventState::Signaled)
        };
        done.expect("nobody has died yet");
    }

    fn wake(&self) {
        let _ = self.event.set(EventState::Signaled);
    }

    fn survive(&self, _: &Board) -> Found {
        // No timeout can be given to this one.
        if self.event.set(EventState::Signaled).is_err() {
            return Found::Lost;
        }
        for _ in 0..2 {
            if self.event.wait(Timeout::Val(TRIES)).is_ok() {
                return Found::Fine;
            }
        }
        Found::Lost
    }
}
