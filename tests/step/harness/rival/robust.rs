//! A robust pthread mutex in shared memory, as the C library has it.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use shared_memory::{Shmem, ShmemConf};

use super::{Contest, Found, TRIES};
use crate::harness::board::Board;

struct Robust {
    mutex: *mut libc::pthread_mutex_t,
    // Mapped as long as the mutex is used.
    _memory: Shmem,
}

pub fn mutex() -> Box<dyn Contest> {
    let memory = ShmemConf::new().size(4096).create().expect("shared memory");
    let mutex = memory.as_ptr().cast::<libc::pthread_mutex_t>();
    let mut how = MaybeUninit::uninit();
    // SAFETY:
    // - `how` is room for the attributes, made by the first call and used by the others;
    // - `mutex` is the beginning of a fresh mapping, page-aligned, larger than a mutex.
    #[allow(clippy::multiple_unsafe_ops_per_block)]
    let made = unsafe {
        [
            libc::pthread_mutexattr_init(how.as_mut_ptr()),
            libc::pthread_mutexattr_setpshared(how.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED),
            libc::pthread_mutexattr_setrobust(how.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST),
            libc::pthread_mutex_init(mutex, how.as_ptr()),
        ]
    };
    assert_eq!(made, [0; 4]);
    Box::new(Robust {
        mutex,
        _memory: memory,
    })
}

impl Contest for Robust {
    fn act(&self, board: &Board) {
        // SAFETY:
        // - the mutex was initialised and is mapped as long as `self` lives.
        let taken = unsafe { libc::pthread_mutex_lock(self.mutex) };
        assert_eq!(taken, 0);
        board.enter(false);
        board.leave();
        // SAFETY:
        // - as above, and this thread holds it.
        unsafe { libc::pthread_mutex_unlock(self.mutex) };
    }

    fn survive(&self, board: &Board) -> Found {
        let mut now = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY:
        // - room for a timespec.
        let read = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, now.as_mut_ptr()) };
        assert_eq!(read, 0);
        // SAFETY:
        // - the call has filled it in.
        let mut until = unsafe { now.assume_init() };
        until.tv_nsec += TRIES.as_nanos() as i64;
        until.tv_sec += until.tv_nsec / 1_000_000_000;
        until.tv_nsec %= 1_000_000_000;
        // SAFETY:
        // - the mutex was initialised and is mapped as long as `self` lives; the time lives
        //   through the call.
        match unsafe { libc::pthread_mutex_timedlock(self.mutex, &raw const until) } {
            libc::EOWNERDEAD => Found::Told,
            0 => {
                board.enter(false);
                if board.take_clashes() > 0 {
                    Found::Violated
                } else {
                    Found::Fine
                }
            }
            _ => Found::Lost,
        }
    }
}
