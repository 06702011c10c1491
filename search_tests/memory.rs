//! The memory [`Searched`]: words without a value of their own. See `run.rs`.

use core::sync::atomic::Ordering;
use std::io;

use super::run::{self, Access, Act, Id};
use crate::sync::life;
use crate::sync::mem::{ALL, LifeArea, Mem, Woken, Word};

/// The memory that the search watches. Sequentially consistent.
#[derive(Debug)]
pub(crate) struct Searched;

/// A 32-bit word.
#[derive(Debug)]
pub(crate) struct U32(Id);

/// A 64-bit word.
#[derive(Debug)]
pub(crate) struct U64(Id);

impl Default for U32 {
    fn default() -> Self {
        Self(run::with_words(|words| words.add(false)))
    }
}

impl Default for U64 {
    fn default() -> Self {
        Self(run::with_words(|words| words.add(true)))
    }
}

impl U64 {
    pub(super) fn id(&self) -> Id {
        self.0
    }
}

macro_rules! word {
    ($word:ty, $value:ty) => {
        impl $word {
            fn access(&self, act: Act) -> $value {
                run::access(Access::Word(self.0, act)) as $value
            }
        }

        impl Word for $word {
            type Value = $value;
            fn load(&self, _: Ordering) -> $value {
                self.access(Act::Load)
            }
            fn store(&self, value: $value, _: Ordering) {
                self.access(Act::Store(value.into()));
            }
            fn swap(&self, value: $value, _: Ordering) -> $value {
                self.access(Act::Swap(value.into()))
            }
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                _: Ordering,
                _: Ordering,
            ) -> Result<$value, $value> {
                let old = self.access(Act::CompareExchange(current.into(), new.into()));
                if old == current { Ok(old) } else { Err(old) }
            }
            fn fetch_add(&self, value: $value, _: Ordering) -> $value {
                self.access(Act::Add(value.into()))
            }
            fn fetch_or(&self, value: $value, _: Ordering) -> $value {
                self.access(Act::Or(value.into()))
            }
            fn fetch_and(&self, value: $value, _: Ordering) -> $value {
                self.access(Act::And(value.into()))
            }
        }
    };
}
word!(U32, u32);
word!(U64, u64);

/// The searched life word. While an actor holds it, it bears the actor's thread id.
#[derive(Debug)]
pub(crate) struct Life(pub(super) U32);

impl Default for Life {
    fn default() -> Self {
        let word = U32::default();
        run::with_words(|words| words.lives.push(word.0));
        Self(word)
    }
}

/// The thread id of an actor.
pub(super) const fn thread_id(actor: usize) -> u32 {
    actor as u32 + 1
}

impl LifeArea<Searched> for Life {
    fn word(&self) -> &U32 {
        &self.0
    }
    /// The C library writes a mutex into the area, whatever is there: were it on a living
    /// thread's list of held ones, that thread would crash later.
    fn hold(&self) -> io::Result<()> {
        let actor = run::current_actor().expect("an actor holds it");
        let before = self.0.swap(thread_id(actor), Ordering::Relaxed);
        let holder = life::holder_in(before);
        assert_eq!(
            holder, None,
            "the life word of a living thread is written over"
        );
        Ok(())
    }
    fn release(&self) {
        let actor = run::current_actor().expect("an actor releases it");
        let before = self.0.swap(0, Ordering::Relaxed);
        let holder = life::holder_in(before);
        assert_eq!(
            holder,
            Some(thread_id(actor)),
            "the life word of another thread"
        );
        Searched::wake(self.0.0, ALL);
    }
}

impl Mem for Searched {
    type U32 = U32;
    type U64 = U64;
    type Life = Life;
    type Cell<'a> = Id;

    fn cell(word: &U32) -> Id {
        word.0
    }
    fn low_cell(word: &U64) -> Id {
        word.0
    }
    fn fence(_: Ordering) {
        // The memory is sequentially consistent; loom covers fences.
    }
    fn wait(cell: Id, expected: u32, until: u64) -> Woken {
        Self::wait_any(&[(cell, expected)], until)
    }
    fn wait_any(cells: &[(Id, u32)], until: u64) -> Woken {
        let cells = cells.to_vec();
        match run::access(Access::Wait { cells, until }) {
            0 => Woken::Look,
            _ => Woken::TimedOut,
        }
    }
    fn wake(cell: Id, count: u32) {
        run::access(Access::Wake(cell, count));
    }
    fn relax() {}
}
