//! Who is gone: what the signs together say about the holder of a process slot.
//!
//! The kernel gives three signs of a process's death, and each can be wrong by itself:
//!
//! | sign | says "dead" too early or never |
//! |---|---|
//! | life word of the keeper thread marked | microseconds before its siblings have stopped |
//! | life byte free | when other code of the program has closed the descriptor |
//! | no process of this pid and start time, or no such keeper thread in it | can be asked within one pid namespace only |
//!
//! So a slot is swept only on two of them, whatever back end its holder has:
//!
//! | keeper's life word | life byte held | life byte free |
//! |---|---|---|
//! | beats | living | gone if the keeper thread does not exist; else the *lock is lost* |
//! | marked | gone if the process does not exist | gone |
//! | silent (portable, or starting) | gone if the process does not exist | gone if the keeper thread does not exist, or cannot be asked for; else the *lock is lost* |
//!
//! A lost lock means that nobody is dead: the keeper takes the byte again. A byte that is
//! held by a process that does not exist is held by a child that was made without fork
//! handlers and kept the descriptor. With a free byte the keeper's *thread* is asked for,
//! because a process that has become another program keeps its pid and start time, but no
//! other thread. One that is starting has no keeper yet, so its process is asked for.
//!
//! Only a silent holder of another pid namespace is swept on one sign, its free byte.
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

/// What of a holder is to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Its process.
    Process,
    /// Its keeper thread; its process while it has no keeper.
    Keeper,
}

/// Weighs the signs. `word` must have been loaded before any of them is asked for.
/// `is_held` asks for the life byte and returns true in doubt; `existence` asks for the
/// identity that was registered under `word`.
pub(crate) fn verdict<M: Mem>(
    word: ProcessWord,
    sign: LifeSign<'_, M>,
    is_held: impl FnOnce() -> bool,
    existence: impl FnOnce(Part) -> Existence,
) -> Verdict {
    if word.is_free() {
        return Verdict::Gone;
    }
    let is_held = is_held();
    match (sign, is_held) {
        (LifeSign::Beats(_), true) => Verdict::Living,
        (LifeSign::Marked, false) => Verdict::Gone,
        // Its list of held words was broken, so the kernel marked none; or the lock is lost.
        (LifeSign::Beats(_), false) => match existence(Part::Keeper) {
            Existence::Gone => Verdict::Gone,
            Existence::There | Existence::Hidden | Existence::Unknown => Verdict::LockLost,
        },
        (LifeSign::Silent, false) => match existence(Part::Keeper) {
            Existence::Gone | Existence::Unknown => Verdict::Gone,
            Existence::There | Existence::Hidden => Verdict::LockLost,
        },
        (LifeSign::Marked | LifeSign::Silent, true) => match existence(Part::Process) {
            Existence::Gone => Verdict::Gone,
            Existence::There | Existence::Hidden | Existence::Unknown => Verdict::Living,
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
        use Existence::{Gone, Hidden, There, Unknown};
        let life = AtomicU32::new(7);
        let beats = || LifeSign::Beats(&life);
        let marked = || LifeSign::Marked;
        let silent = || LifeSign::Silent;
        let (process, keeper) = (Some(Part::Process), Some(Part::Keeper));
        let cases = [
            (beats(), true, Gone, None, Verdict::Living),
            (beats(), false, There, keeper, Verdict::LockLost),
            (beats(), false, Hidden, keeper, Verdict::LockLost),
            (beats(), false, Unknown, keeper, Verdict::LockLost),
            (beats(), false, Gone, keeper, Verdict::Gone),
            (marked(), false, There, None, Verdict::Gone),
            (marked(), true, There, process, Verdict::Living),
            (marked(), true, Hidden, process, Verdict::Living),
            (marked(), true, Unknown, process, Verdict::Living),
            (marked(), true, Gone, process, Verdict::Gone),
            (silent(), false, There, keeper, Verdict::LockLost),
            (silent(), false, Hidden, keeper, Verdict::LockLost),
            (silent(), false, Unknown, keeper, Verdict::Gone),
            (silent(), false, Gone, keeper, Verdict::Gone),
            (silent(), true, There, process, Verdict::Living),
            (silent(), true, Hidden, process, Verdict::Living),
            (silent(), true, Unknown, process, Verdict::Living),
            (silent(), true, Gone, process, Verdict::Gone),
        ];
        let word = ProcessWord::live(1, 0);
        for (number, (sign, is_held, existence, part, expected)) in cases.into_iter().enumerate() {
            let mut asked = None;
            let answer = |part| {
                asked = Some(part);
                existence
            };
            let found = verdict::<Real>(word, sign, || is_held, answer);
            assert_eq!((found, asked), (expected, part), "case {number}");
        }
        // A free slot has no holder, whatever process has the byte.
        let free = ProcessWord::free(1);
        let found = verdict::<Real>(free, beats(), || panic!("not asked"), |_| There);
        assert_eq!(found, Verdict::Gone);
    }
}
