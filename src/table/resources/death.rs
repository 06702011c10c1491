//! What becomes of the resources of the dead, and how the journal is told of a state.

use crate::note::{Kind, Note};
use crate::sync::{Env, Mem};

use super::{Key, Moved, Resources, State};

impl<M: Mem, const N: usize> Resources<M, N> {
    /// Clears what a gone process left: frees its claimed records, marks its system
    /// resources to be reclaimed, orphans its open ones. May be done again. The mark comes
    /// first: an orphaned record without it might be used again.
    ///
    /// `is_same`: the process slot is still that of the dead one, or free. It is asked after
    /// each word was loaded: a registration that named the slot before is the dead one's, and
    /// what follows is done to exactly that registration, however late.
    pub(crate) fn sweep(&self, dead: usize, is_same: impl Fn() -> bool, env: &impl Env<M>) {
        for index in 0..self.used() {
            let word = self.word(index);
            if word.process() != Some(dead) || !is_same() {
                continue;
            }
            let key = self.key_of(index, word);
            match word.state() {
                Ok(State::Claimed) => {
                    let _ = self.move_to(key, &[State::Claimed], State::Free, env.now());
                }
                Ok(State::Active | State::Draining | State::Closing) => {
                    self.mark_to_reclaim(key);
                    self.orphan(key, env);
                }
                Ok(State::Failed | State::TimedOut | State::Orphaned | State::Dropped) => {
                    self.mark_to_reclaim(key);
                }
                Ok(State::Free | State::Closed) | Err(_) => {}
            }
        }
    }

    /// The owner of an open resource is dead.
    pub(crate) fn orphan(&self, key: Key, env: &impl Env<M>) {
        let open = [State::Active, State::Draining, State::Closing];
        let now = env.now();
        if self.move_to(key, &open, State::Orphaned, now) == Moved::Done {
            env.note(now, || self.became(key, State::Orphaned));
        }
    }

    /// That a registration is in this state now.
    pub(crate) fn became(&self, key: Key, state: State) -> Note {
        let note = Note::new(Kind::Resource)
            .detail(state as u8)
            .argument(key.packed());
        match self.word(key.index).runner() {
            Some(slot) => note.runner(slot, self.about(key.index).runner_generation),
            None => note,
        }
    }
}
