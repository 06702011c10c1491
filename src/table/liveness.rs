//! Who is gone: what the signs together say about the holder of a process slot.
//!
//! The kernel gives three signs of a process's death, and each can be wrong by itself:
//!
//! | sign | says "dead" too early or never |
//! |---|---|
//! | life word of the keeper thread marked | microseconds before its siblings have stopped |
//! | life byte free | when other code of the program has closed the descriptor |
//! | no process of this pid and start time | can be asked within one pid namespace only |
//!
//! So a slot is swept only on two of them. A life byte that is free under a life word that
//! beats means that the *lock is lost*: nobody is dead, and the keeper takes the byte again.
//! A life byte that is held under a marked life word is that of a process on its way out, or
//! of a child that was made without fork handlers and kept the descriptor: then the identity
//! decides. A process without life words (portable liveness) has its byte, and its identity
//! where that can be asked.
//!
//! Evidence stays valid: a marked word of one incarnation never beats again, an incarnation
//! takes a lost byte again only while its word is unchanged, and an identity that is gone
//! does not return. So a stop of any length between the evidence and the step that
//! follows from it changes nothing, if the evidence was collected *after* the process word
//! was loaded, and the step is bound to that word.

use crate::os::process::Existence;
use crate::sync::{LifeArea, Mem, Owner};

use super::slots::{ProcessWord, Processes};
use super::threads::{LifeSign, Threads};

/// What the signs say about the holder of a process slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    Living,
    /// It lives, and has lost its life byte.
    LockLost,
    /// No thread of it runs any more.
    Gone,
}

/// Makes the holder of a process slot live, and then the thread slot of its keeper. Returns
/// the word under which the process slot is held from then on; as an error if one of the two
/// was swept.
///
/// The process word is moved before the thread's: until then only the life byte shows that
/// the process lives, and if that is lost a sweeper may be about to free the thread slot.
/// Either it does so before the thread's word is moved, and that move fails, or not at all.
/// Model: `loom_tests/slots/`.
pub(crate) fn go_live<M: Mem, const PROCESSES: usize, const THREADS: usize>(
    processes: &Processes<M, PROCESSES>,
    threads: &Threads<M, THREADS>,
    (process, word): (usize, ProcessWord),
    keeper: Owner,
) -> Result<ProcessWord, ProcessWord> {
    let live = processes.go_live(process, word, usize::from(keeper.slot));
    let live = live.ok_or(word)?;
    match threads.go_live(keeper, process) {
        true => Ok(live),
        false => Err(live),
    }
}

/// What the keeper of a process slot's holder shows.
///
/// The keeper holds its life word before the process word names it, and its thread slot
/// becomes live after: so the life word counts in a slot that is still being attached, too.
pub(crate) fn keeper_sign<M: Mem, const THREADS: usize>(
    threads: &Threads<M, THREADS>,
    process: usize,
    word: ProcessWord,
) -> LifeSign<'_, M> {
    let keeper = word.keeper().filter(|_| word.is_live());
    // A keeper that has detached has left its slot to others.
    let keeper = keeper.filter(|keeper| threads.word(*keeper).process() == Some(process));
    match keeper.and_then(|keeper| threads.get(keeper)) {
        Some(thread) => LifeSign::of(thread.life.word()),
        None => LifeSign::Silent,
    }
}

/// Weighs the signs. `word` must have been loaded before any of them was read.
/// `is_held` returns whether the life byte is held, true in doubt; `existence` checks the
/// identity that was registered under `word`.
pub(crate) fn verdict<M: Mem>(
    word: ProcessWord,
    sign: LifeSign<'_, M>,
    is_held: impl FnOnce() -> bool,
    existence: impl FnOnce() -> Existence,
) -> Verdict {
    if word.is_free() {
        return Verdict::Gone;
    }
    let is_held = is_held();
    match (sign, is_held) {
        (LifeSign::Beats(_), true) => Verdict::Living,
        (LifeSign::Marked | LifeSign::Silent, false) => Verdict::Gone,
        // Its list of held words was broken, so the kernel marked none; or the lock is lost.
        (LifeSign::Beats(_), false) => match existence() {
            Existence::Gone => Verdict::Gone,
            Existence::There | Existence::Unknown => Verdict::LockLost,
        },
        (LifeSign::Marked | LifeSign::Silent, true) => match existence() {
            Existence::Gone => Verdict::Gone,
            Existence::There | Existence::Unknown => Verdict::Living,
        },
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU32;

    use super::*;
    use crate::sync::Real;

    #[test]
    fn two_signs_make_a_death() {
        use Existence::{Gone, There, Unknown};
        let life = AtomicU32::new(7);
        let beats = || LifeSign::Beats(&life);
        let cases = [
            (beats(), true, Gone, Verdict::Living),
            (beats(), true, There, Verdict::Living),
            (beats(), false, There, Verdict::LockLost),
            (beats(), false, Unknown, Verdict::LockLost),
            (beats(), false, Gone, Verdict::Gone),
            (LifeSign::Marked, false, There, Verdict::Gone),
            (LifeSign::Marked, true, There, Verdict::Living),
            (LifeSign::Marked, true, Unknown, Verdict::Living),
            (LifeSign::Marked, true, Gone, Verdict::Gone),
            (LifeSign::Silent, false, There, Verdict::Gone),
            (LifeSign::Silent, true, Unknown, Verdict::Living),
            (LifeSign::Silent, true, Gone, Verdict::Gone),
        ];
        let word = ProcessWord::live(1, 0);
        for (number, (sign, is_held, existence, expected)) in cases.into_iter().enumerate() {
            let found = verdict::<Real>(word, sign, || is_held, || existence);
            assert_eq!(found, expected, "case {number}");
        }
        // A free slot has no holder, whatever process has the byte.
        let free = ProcessWord::free(1);
        let found = verdict::<Real>(free, beats(), || panic!("not asked"), || There);
        assert_eq!(found, Verdict::Gone);
    }
}
