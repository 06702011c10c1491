//! What threads that run closures tell the cleanup they work for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::api::resource::entries::lock;
use crate::sync::mem::ALL;
use crate::sync::{Mem, Real};
use crate::table::resources::Key;

/// A closure has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) key: Key,
    pub(super) is_force: bool,
}

/// Its inbox, with a word to sleep on together with words of the segment.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Moves after each message.
    word: AtomicU32,
    ended: Mutex<Vec<Ended>>,
}

impl News {
    pub(super) fn tell(&self, ended: Ended) {
        lock(&self.ended).push(ended);
        self.poke();
    }

    /// Has the cleanup look again.
    pub(super) fn poke(&self) {
        self.word.fetch_add(1, Ordering::Release);
        Real::wake(Real::cell(&self.word), ALL);
    }

    /// To be read before [`take`](Self::take): what is told after it moves the word.
    pub(super) fn watch(&self) -> (<Real as Mem>::Cell<'_>, u32) {
        (Real::cell(&self.word), self.word.load(Ordering::Acquire))
    }

    pub(super) fn take(&self) -> Vec<Ended> {
        std::mem::take(&mut *lock(&self.ended))
    }
}
