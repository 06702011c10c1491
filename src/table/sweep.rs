//! Clears what a gone process left, by the holder of its sweep byte.
//!
//! Every step may be done again, and by two sweepers at once: one that dies in the middle is
//! followed by the next, and one that has lost its byte is overtaken while it goes on. So
//! each step loads the word that it moves, *then* asks whether the slot is still that of the
//! dead one, and then swaps from what it loaded ([`Dead::is_still`]). The order matters in
//! one place: a thread slot is freed after its locks were handed over. A thread's name does
//! not come back, so to hand its locks over twice is to do nothing the second time.

use crate::sync::{Env, Mem, Owner};

use super::Corrupt;
use super::group::Group;
use super::member::State;
use super::slots::Dead;
use super::threads::Threads;

/// Marks the runners of the dead process as dead, hands its threads' locks over, and frees
/// its thread slots. Then checks all: if it was the last laggard, no other process may be
/// checking.
pub(crate) fn sweep<M: Mem, const RUNNERS: usize, const THREADS: usize>(
    group: &Group<M, RUNNERS>,
    threads: &Threads<M, THREADS>,
    dead: &Dead<'_, M>,
    env: &impl Env<M>,
    hand_over: impl Fn(Owner),
) -> Result<(), Corrupt> {
    // A corrupt word keeps no locks held: the rest is swept, and the first is reported.
    let mut found = Ok(());
    for slot in 0..group.used() {
        let member = group.member(slot);
        if member.process() != Some(dead.process()) || !dead.is_still() {
            continue;
        }
        match member.state() {
            Ok(State::Claimed) => {
                group.swap_member(slot, member, member.with_state(State::Free));
            }
            Ok(State::Joining | State::Live) => {
                group.count_out(slot, member, env);
            }
            Ok(State::Free | State::Left | State::Dead) => {}
            Err(corrupt) => found = found.and(Err(corrupt)),
        }
    }
    for slot in 0..threads.used() {
        let word = threads.word(slot);
        let is_of_it = !word.is_free() && word.process() == Some(dead.process());
        if !is_of_it || !dead.is_still() {
            continue;
        }
        hand_over(word.owner(slot as u16));
        threads.free(slot, word);
    }
    let _ = group.advance(env)?;
    found
}
