//! The robust lock for one that sleeps elsewhere: a thread that waits for many things at
//! once looks at the lock, and is told what to sleep on.
//!
//! The same rules as in `mutex.rs` (SYNC POINT mutex-handover): whoever may have consumed
//! a wake-up takes the lock with WAITERS set, or sets WAITERS before it sleeps again; one
//! that gives up sets it, too, and wakes one sleeper, as the wake-up it may have had was
//! meant for somebody. If another thread gives up for the one that sleeps, that one gives
//! up as well when it has left the kernel: until then it can take a wake-up.
//! Models: `loom_tests/mutex_poll.rs`.

use super::life;
use super::lock_word::State;
use super::mem::{Mem, Next, Word};
use super::mutex::{Acquired, Mutex, Taking};
use super::{Env, Holder, Owner};

/// What one look at a lock came to.
pub(crate) enum Polled<'e, M: Mem> {
    Taken(Acquired),
    /// Sleep until the low half of the lock's word is not this any more, or the life word (with its
    /// armed value) of its owner moves; none: look again within the portable poll.
    Asleep {
        on: u32,
        life: Option<(&'e M::U32, u32)>,
    },
    /// The caller has it already.
    Recursive,
    Corrupt {
        word: u64,
    },
}

impl<M: Mem> Mutex<M> {
    /// Takes the lock or says what to sleep on. Never blocks.
    pub(crate) fn poll<'e>(&self, me: Owner, env: &'e impl Env<M>) -> Polled<'e, M> {
        // Ends: every round answers or follows another thread's step.
        loop {
            match self.take(me, env, true) {
                Taking::Taken(acquired) => return Polled::Taken(acquired),
                Taking::Recursive => return Polled::Recursive,
                Taking::Corrupt { word } => return Polled::Corrupt { word },
                Taking::Held { seen, life, .. } => {
                    let Some(on) = self.enlist(seen) else {
                        continue;
                    };
                    let life = life.and_then(|word| Some((word, life::arm::<M>(word)?)));
                    return Polled::Asleep { on: on.low(), life };
                }
            }
        }
    }

    /// Gives up after looks that ended in `Asleep`: passes on a wake-up that may have come.
    pub(crate) fn give_up(&self) {
        let is_free = self.word().update(|word| match State(word).holder() {
            // Whoever freed it may have woken us instead of another.
            Holder::Nobody | Holder::Corrupt => Next::Leave(true),
            // Its owner may have taken it since, knowing of no sleeper.
            Holder::Thread(_) if State(word).has_waiters() => Next::Leave(false),
            Holder::Thread(_) => Next::Store(State(word).with_waiters().0, false),
        });
        if is_free {
            M::wake(self.cell(), 1);
        }
    }
}
