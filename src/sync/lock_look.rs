//! The robust lock for one who only looks.

use core::sync::atomic::Ordering;

use super::lock_word::State;
use super::mem::{Mem, Word};
use super::mutex::Mutex;
use super::{Holder, Owner};

/// What a lock's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockLook {
    pub(crate) word: u64,
    pub(crate) owner: Option<Owner>,
    /// What no transition makes, if it is that.
    pub(crate) fault: Option<&'static str>,
    /// An owner died or panicked inside, and nobody called what it protects whole since.
    pub(crate) is_inconsistent: bool,
    /// It panicked, and did not die.
    pub(crate) has_panicked: bool,
}

impl<M: Mem> Mutex<M> {
    /// Whatever bytes, for tests.
    #[cfg(test)]
    pub(crate) fn write_raw(&self, raw: u64) {
        self.word().store(raw, Ordering::Release);
    }

    /// One load.
    pub(crate) fn look(&self) -> LockLook {
        let state = State(self.word().load(Ordering::Acquire));
        let (owner, fault) = match state.holder() {
            Holder::Thread(owner) => (Some(owner), None),
            Holder::Corrupt => (None, Some("is none that is ever written")),
            Holder::Nobody if state.has_waiters() => (None, Some("is free and has waiters")),
            Holder::Nobody => (None, None),
        };
        LockLook {
            word: state.0,
            owner,
            fault,
            is_inconsistent: state.is_inconsistent(),
            has_panicked: state.has_panicked(),
        }
    }
}
