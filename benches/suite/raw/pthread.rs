//! Process-shared objects of the C library, in memory that processes share.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// Room for an object of the C library in shared memory; all zero at first.
#[repr(C, align(64))]
pub struct Shared<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: the C library's process-shared objects are made to be used by several threads and
// processes at once; only their addresses are taken here, never references to their insides.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self) -> *mut T {
        self.0.get().cast()
    }
}

fn check(code: libc::c_int) {
    assert_eq!(code, 0, "the C library refuses");
}

/// A mutex between processes.
pub struct Mutex(Shared<libc::pthread_mutex_t>);

impl Mutex {
    /// Makes it, once, before anybody else uses it.
    pub fn make(&self, robust: bool) {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: valid for writes of one attribute object.
        check(unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) });
        let attributes = attributes.as_mut_ptr();
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: initialised above.
        check(unsafe { libc::pthread_mutexattr_setpshared(attributes, shared) });
        if robust {
            // SAFETY: initialised above.
            check(unsafe {
                libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST)
            });
        }
        // SAFETY: large and aligned enough by its type, and nobody uses it yet.
        check(unsafe { libc::pthread_mutex_init(self.0.at(), attributes) });
    }

    /// Takes it; a robust one whose owner died is called whole again.
    pub fn lock(&self) {
        // SAFETY: `make` made it; it stays mapped for the life of the process.
        match unsafe { libc::pthread_mutex_lock(self.0.at()) } {
            libc::EOWNERDEAD => {
                // SAFETY: this thread holds it, by EOWNERDEAD.
                check(unsafe { libc::pthread_mutex_consistent(self.0.at()) });
            }
            code => check(code),
        }
    }

    pub fn unlock(&self) {
        // SAFETY: made by `make`, and held by this thread.
        check(unsafe { libc::pthread_mutex_unlock(self.0.at()) });
    }
}

/// A condition variable between processes, with a level and the mutex around it.
pub struct Condition {
    mutex: Mutex,
    condition: Shared<libc::pthread_cond_t>,
    /// Under the mutex.
    told: UnsafeCell<u32>,
}

// SAFETY: `told` is accessed only by the holder of the mutex.
unsafe impl Sync for Condition {}

impl Condition {
    pub fn make(&self) {
        self.mutex.make(false);
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: valid for writes of one attribute object.
        check(unsafe { libc::pthread_condattr_init(attributes.as_mut_ptr()) });
        let attributes = attributes.as_mut_ptr();
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: initialised above.
        check(unsafe { libc::pthread_condattr_setpshared(attributes, shared) });
        // SAFETY: large and aligned enough by its type, and nobody uses it yet.
        check(unsafe { libc::pthread_cond_init(self.condition.at(), attributes) });
    }

    /// How often it was told.
    pub fn told(&self) -> u32 {
        self.mutex.lock();
        // SAFETY: this thread holds the mutex.
        let told = unsafe { *self.told.get() };
        self.mutex.unlock();
        told
    }

    /// Sleeps until it was told again since `seen`.
    pub fn wait_past(&self, seen: u32) {
        self.mutex.lock();
        // SAFETY: this thread holds the mutex whenever it looks.
        while unsafe { *self.told.get() } == seen {
            // SAFETY: both were made by `make`, and this thread holds the mutex.
            check(unsafe { libc::pthread_cond_wait(self.condition.at(), self.mutex.0.at()) });
        }
        self.mutex.unlock();
    }

    /// Tells all.
    pub fn broadcast(&self) {
        self.mutex.lock();
        // SAFETY: this thread holds the mutex.
        unsafe { *self.told.get() += 1 };
        self.mutex.unlock();
        // SAFETY: made by `make`.
        check(unsafe { libc::pthread_cond_broadcast(self.condition.at()) });
    }
}

/// A barrier between processes.
pub struct Barrier(Shared<libc::pthread_barrier_t>);

impl Barrier {
    pub fn make(&self, all: u32) {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: valid for writes of one attribute object.
        check(unsafe { libc::pthread_barrierattr_init(attributes.as_mut_ptr()) });
        let attributes = attributes.as_mut_ptr();
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: initialised above.
        check(unsafe { libc::pthread_barrierattr_setpshared(attributes, shared) });
        // SAFETY: large and aligned enough by its type, and nobody uses it yet.
        check(unsafe { libc::pthread_barrier_init(self.0.at(), attributes, all) });
    }

    pub fn wait(&self) {
        // SAFETY: made by `make`; it stays mapped for the life of the process.
        let code = unsafe { libc::pthread_barrier_wait(self.0.at()) };
        assert!(code == 0 || code == libc::PTHREAD_BARRIER_SERIAL_THREAD);
    }
}
