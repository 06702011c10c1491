//! Life words: how a death is noticed.
//!
//! # The idea
//! Every attached thread holds, for as long as it is attached, one process-shared
//! *robust* `pthread_mutex_t` in its thread slot. Nobody else ever locks it. When the
//! thread ends in any way (kill, crash, `exit`, `exec`, return), the kernel walks that
//! thread's list of held robust mutexes (`do_exit` → `exit_mm_release` →
//! `futex_exit_release`) *before* it tears the address space down, and replaces the
//! futex word of each by `OWNER_DIED`, keeping `WAITERS`, if the word's TID bits are
//! those of the dying thread as it sees itself. If WAITERS was set it wakes **one**
//! sleeper of the word. So a peer learns of the death in microseconds, whatever the
//! resident size, by a load or by a futex wait.
//!
//! ```text
//!  31      30         29                    0
//! ┌───────┬──────────┬───────────────────────┐
//! │WAITERS│OWNER_DIED│ TID of the holder     │   0: not held
//! └───────┴──────────┴───────────────────────┘
//! ```
//!
//! # Rules that keep it sound
//! - Peers only load the word, wait on it, and set WAITERS. They never lock it: a
//!   thread that merely *waits* in `pthread_mutex_lock` announces the word as pending
//!   on its own robust list, and across pid namespaces with equal TIDs the kernel
//!   would then mark a living holder dead.
//! - WAITERS is set by compare-and-swap from a value with a living TID, never by
//!   fetch_or: a word that was released in between must stay 0.
//! - `set_robust_list` is never called: the libc owns the one list head per thread.
//! - The area is never unmapped while a thread of this process holds it: the kernel
//!   and the libc reach it by address, also through its neighbours on the list.
//! - An area is held only by whom the protocol gave the slot, and the protocol gives none
//!   whose word is held; its dead holder's bytes are written over, for the list they
//!   belonged to ended with that thread.
//! - It is the *calling thread* that is watched; release is by the same thread.
//! - The child of a fork holds nothing: the kernel gives it an empty list, and the
//!   word keeps naming the parent's thread.
//!
//! # Where the word is
//! The layout of `pthread_mutex_t` is the libc's own: glibc keeps the futex word
//! first, musl second. [`self_test`] looks, once per process, and also lets a scratch
//! thread die to see that the kernel (or an emulator of it) marks the word. If either
//! fails, portable liveness must be used.
//!
//! Orderings: the kernel's mark comes after the last store of the dying thread, and
//! is read with acquire: who sees the mark sees all the thread wrote (SYNC POINT
//! life-mark; models: `loom_tests/life.rs`).

use core::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::sync::OnceLock;

use super::mem::{LifeArea, Mem, Next, Real, Word};

use super::mem::ALL;

/// Kernel's mark: the thread that held this word is dead.
pub(crate) const OWNER_DIED: u32 = 0b0100_0000_0000_0000_0000_0000_0000_0000;
/// Kernel's flag: somebody sleeps on this word.
pub(crate) const WAITERS: u32 = 0b1000_0000_0000_0000_0000_0000_0000_0000;
/// The bits that hold the owner's TID.
pub(crate) const TID: u32 = 0b0011_1111_1111_1111_1111_1111_1111_1111;

/// Whether a process or thread lives, and the word to sleep on until it dies.
pub(crate) enum Pulse<'a, M: Mem> {
    Dead,
    /// Alive as far as can be told; with a life word where it has one.
    Alive(Option<&'a M::U32>),
}

/// Whether the word bears the kernel's mark of death.
#[inline]
pub(crate) fn is_marked<M: Mem>(word: &M::U32) -> bool {
    // SYNC POINT life-mark (models: loom_tests/life.rs): pairs with the kernel's mark.
    word.load(Ordering::Acquire) & OWNER_DIED != 0
}

/// The id of the thread that holds the word, as that one sees itself; `None` if nobody does,
/// or the kernel has marked it.
pub(crate) fn holder<M: Mem>(word: &M::U32) -> Option<u32> {
    holder_in(word.load(Ordering::Acquire))
}

/// The same of a value of a life word.
pub(crate) fn holder_in(value: u32) -> Option<u32> {
    (value & OWNER_DIED == 0 && value & TID != 0).then_some(value & TID)
}

/// Prepares to sleep on a life word: sets the waiters flag so that the kernel
/// wakes us at the death. Returns the value to sleep on, or `None` when the word
/// is not held by a living thread (look again).
pub(crate) fn arm<M: Mem>(word: &M::U32) -> Option<u32> {
    word.update(|value| {
        if value & TID == 0 || value & OWNER_DIED != 0 {
            Next::Leave(None)
        } else if value & WAITERS != 0 {
            Next::Leave(Some(value))
        } else {
            Next::Store(value | WAITERS, Some(value | WAITERS))
        }
    })
}

/// After a sleep on life words: the kernel wakes one sleeper of a dead thread, and that
/// one wakes the rest.
pub(crate) fn pass_on<'a, M: Mem<U32: 'a>>(words: impl IntoIterator<Item = &'a M::U32>) {
    for word in words {
        if is_marked::<M>(word) {
            M::wake(M::cell(word), ALL);
        }
    }
}

const WORDS: usize = 16;

/// One cache line in which a `pthread_mutex_t` lives (40 or 48 bytes in glibc and musl).
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct RealLife {
    /// Touched by the libc and the kernel; by us only before the mutex is made, and
    /// through [`LifeArea::word`].
    words: [AtomicU32; WORDS],
}

impl LifeArea<Real> for RealLife {
    fn word(&self) -> &AtomicU32 {
        &self.words[self_test().unwrap_or(0)]
    }
    fn hold(&self) -> io::Result<()> {
        hold(self)
    }
    fn release(&self) {
        // It fails only if this thread does not hold the word, and then there is
        // nothing to release.
        let _ = release(self);
    }
}

/// Holds the life word for the calling thread, from now until [`release`] or its end.
///
/// # Errors
/// `Unsupported` where [`self_test`] fails; else the libc's own error.
pub(crate) fn hold(life: &RealLife) -> io::Result<()> {
    if self_test().is_none() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    imp::hold(life)
}

/// Lets the life word go and wakes its sleepers; it reads 0 after. Must be called by
/// the thread that holds it.
///
/// # Errors
/// The libc's own: `EPERM` from any other thread, and the word stays held.
pub(crate) fn release(life: &RealLife) -> io::Result<()> {
    imp::release(life)
}

static FOUND: OnceLock<Option<usize>> = OnceLock::new();

/// Lets [`self_test`] look, once per process. Before anything is concluded from it: a
/// process that could not look now must not be portable for ever, nor become so halfway.
///
/// # Errors
/// There is no thread to look with; nothing is known.
pub(crate) fn learn() -> io::Result<()> {
    if FOUND.get().is_none() {
        let found = match imp::locate() {
            Some(index) => imp::is_marked_at_exit(index)?.then_some(index),
            None => None,
        };
        // Threads that look at once find the same.
        let _ = FOUND.set(found);
    }
    Ok(())
}

/// At which index of the area the libc keeps the futex word; `None` if it could not
/// be found or the kernel does not mark it: use portable liveness. Looks once.
pub(crate) fn self_test() -> Option<usize> {
    if FOUND.get().is_none() {
        let _ = learn();
    }
    FOUND.get().copied().flatten()
}

#[cfg(target_os = "linux")]
mod imp {
    use core::mem::MaybeUninit;
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// Indices a libc is known to use: glibc, musl.
    const CANDIDATES: [usize; 2] = [0, 1];
    /// Enough for a thread that only takes a lock.
    const STACK_BYTES: usize = 128 * 1024;

    const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= size_of::<RealLife>());
    const _: () = assert!(align_of::<libc::pthread_mutex_t>() <= align_of::<RealLife>());

    fn check(code: libc::c_int) -> io::Result<()> {
        match code {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// The mutex in the area. Atomics may be written through a shared reference, so
    /// the libc may, too.
    fn mutex(life: &RealLife) -> *mut libc::pthread_mutex_t {
        life.words.as_ptr().cast_mut().cast()
    }

    pub(super) fn hold(life: &RealLife) -> io::Result<()> {
        make(life)?;
        // SAFETY:
        // - the mutex was initialised by `make` this instant;
        // - nobody else locks it (rules of the module), so this does not block;
        // - the caller keeps the area mapped until release or the thread's end.
        check(unsafe { libc::pthread_mutex_lock(mutex(life)) })
    }

    /// Writes a fresh mutex over whatever a dead holder left.
    fn make(life: &RealLife) -> io::Result<()> {
        for word in &life.words {
            if word.swap(0, Ordering::AcqRel) & WAITERS != 0 {
                // Sleepers that a double fault left behind on the old holder's word.
                Real::wake(Real::cell(word), ALL);
            }
        }
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writes of one attribute object.
        check(unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) })?;
        let attributes = attributes.as_mut_ptr();
        let made = initialise(life, attributes);
        // SAFETY: initialised above, not used after.
        check(unsafe { libc::pthread_mutexattr_destroy(attributes) })?;
        made
    }

    /// `attributes` must point to an initialised attribute object of the caller.
    fn initialise(life: &RealLife, attributes: *mut libc::pthread_mutexattr_t) -> io::Result<()> {
        // SAFETY: initialised by the only caller.
        check(unsafe {
            libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED)
        })?;
        // SAFETY: likewise.
        check(unsafe {
            libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST)
        })?;
        // SAFETY:
        // - the area is large and aligned enough (asserted above) and all zero;
        // - it is not a mutex of any living thread: the slot is the caller's alone;
        // - peers touch it only by atomic access to one word of it.
        check(unsafe { libc::pthread_mutex_init(mutex(life), attributes) })
    }

    pub(super) fn release(life: &RealLife) -> io::Result<()> {
        // SAFETY:
        // - `hold` made it a mutex, or the area is all zero, which is an unlocked mutex;
        // - a robust mutex checks its owner: any other thread gets EPERM.
        check(unsafe { libc::pthread_mutex_unlock(mutex(life)) })?;
        // The libc woke one; all who watched this thread shall look again.
        Real::wake(Real::cell(life.word()), ALL);
        Ok(())
    }

    pub(super) fn locate() -> Option<usize> {
        let scratch = Box::new(RealLife::default());
        make(&scratch).ok()?;
        let before = CANDIDATES.map(|index| scratch.words[index].load(Ordering::Relaxed));
        // SAFETY: made above; only this thread knows it; it stays allocated until unlocked.
        check(unsafe { libc::pthread_mutex_lock(mutex(&scratch)) }).ok()?;
        let me = u32::try_from(nix::unistd::gettid().as_raw()).ok();
        let found = CANDIDATES.into_iter().find(|&index| {
            before[index] == 0 && Some(scratch.words[index].load(Ordering::Relaxed)) == me
        });
        // SAFETY: locked above by this thread.
        let unlocked = check(unsafe { libc::pthread_mutex_unlock(mutex(&scratch)) });
        if unlocked.is_err() {
            // Still on the robust list: the memory must stay.
            Box::leak(scratch);
            return None;
        }
        found.filter(|&index| scratch.words[index].load(Ordering::Relaxed) == 0)
    }

    /// Lets a thread end while it holds a scratch word. The kernel walks the robust
    /// list before it reports the thread as joinable.
    pub(super) fn is_marked_at_exit(index: usize) -> io::Result<bool> {
        let scratch = Arc::new(RealLife::default());
        let held = Arc::clone(&scratch);
        let joined = thread::Builder::new()
            .name("ebbtide-life".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let answer = hold(&held).is_ok();
                // The list outlives this closure: whoever joins drops the last reference.
                drop(held);
                answer
            })?
            .join();
        let held = matches!(joined, Ok(true));
        Ok(held && scratch.words[index].load(Ordering::Acquire) & OWNER_DIED != 0)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    //! No robust mutexes here: liveness is portable.
    use super::*;

    pub(super) fn hold(_: &RealLife) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn release(_: &RealLife) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn locate() -> Option<usize> {
        None
    }

    pub(super) fn is_marked_at_exit(_: usize) -> io::Result<bool> {
        Ok(false)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn value(life: &RealLife) -> u32 {
        life.word().load(Ordering::Acquire)
    }

    #[test]
    fn held_word_names_the_thread_and_is_zero_after_release() {
        let life = Arc::new(RealLife::default());
        hold(&life).unwrap();
        assert_eq!(value(&life), nix::unistd::gettid().as_raw() as u32);
        let other = Arc::clone(&life);
        let refused = thread::spawn(move || release(&other).unwrap_err())
            .join()
            .unwrap();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        assert!(arm::<Real>(life.word()).is_some());
        release(&life).unwrap();
        assert_eq!(value(&life), 0);
        assert!(arm::<Real>(life.word()).is_none());
    }

    #[test]
    fn word_of_an_ended_thread_is_marked_and_can_be_held_again() {
        let life = Arc::new(RealLife::default());
        for _ in 0..3 {
            let held = Arc::clone(&life);
            thread::spawn(move || hold(&held).unwrap()).join().unwrap();
            assert!(is_marked::<Real>(life.word()));
            assert!(arm::<Real>(life.word()).is_none());
        }
        hold(&life).unwrap();
        assert!(!is_marked::<Real>(life.word()));
        release(&life).unwrap();
    }

    #[test]
    fn sleeper_on_a_life_word_is_woken_by_the_death() {
        let life = Arc::new(RealLife::default());
        let held = Arc::clone(&life);
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let holder = thread::spawn(move || {
            hold(&held).unwrap();
            tell.send(()).unwrap();
            ended.recv().unwrap();
        });
        told.recv().unwrap();
        let armed = arm::<Real>(life.word()).unwrap();
        let sleeper = {
            let life = Arc::clone(&life);
            thread::spawn(move || Real::wait(Real::cell(life.word()), armed, u64::MAX))
        };
        thread::sleep(std::time::Duration::from_millis(5));
        end.send(()).unwrap();
        holder.join().unwrap();
        sleeper.join().unwrap();
        assert!(is_marked::<Real>(life.word()));
    }
}
