//! Clearing what a gone process left, by the holder of its byte lock.
//!
//! Every step is idempotent, so a sweeper may die anywhere and the next one begins
//! again. A thread slot is freed (and its generation raised) after its locks were handed
//! over, and from exactly the word that named the dead process's thread, so a sweeper that
//! comes late frees nobody else's slot.

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
        let seen = threads.word(slot);
        if seen.process() == Some(dead) {
            hand_over(seen.owner(slot as u16));
            threads.free(slot, seen);
        }
    }
    let _ = group.advance(env)?;
    found
}
