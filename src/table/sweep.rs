//! Clearing what a gone process left, by the holder of its byte lock.
//!
//! Every step is idempotent, so a sweeper may die anywhere and the next one begins
//! again. The order matters in one place: a thread slot is freed (and its generation
//! raised) after its locks were handed over, so that the sixteen bits of generation can
//! wrap without an old lock word ever looking owned by a new thread.

use crate::sync::{Env, Mem, Owner};

use super::Corrupt;
use super::group::Group;
use super::member::State;
use super::threads::Threads;

/// Counts the runners of process `dead` out, hands its threads' locks over, and frees
/// its thread slots. Then looks at all: if it was the last laggard, nobody else may be
/// looking.
pub(crate) fn sweep<M: Mem, const RUNNERS: usize, const THREADS: usize>(
    group: &Group<M, RUNNERS>,
    threads: &Threads<M, THREADS>,
    dead: usize,
    env: &impl Env<M>,
    hand_over: impl Fn(Owner),
) -> Result<(), Corrupt> {
    // A corrupt word keeps nobody's locks: the rest is swept, and the first is told.
    let mut found = Ok(());
    for slot in 0..group.used() {
        let member = group.member(slot);
        if member.process() != Some(dead) {
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
    for slot in threads.of_process(dead) {
        hand_over(Owner {
            slot: slot as u16,
            generation: threads.word(slot).generation(),
        });
        threads.free(slot);
    }
    let _ = group.advance(env)?;
    found
}
