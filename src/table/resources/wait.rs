//! Waiting until nobody depends on a resource any more, across processes.

use crate::limits;
use crate::sync::mem::Woken;
use crate::sync::{Env, Mem, Pulse, life};

use super::{Key, Resources, State};

/// What a wait for the dependents came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Blocked {
    /// Nobody depends on it (any more).
    No,
    /// The time is up, and this one still does.
    By(Key),
    /// The resource itself has moved meanwhile.
    Moved,
}

impl<M: Mem, const N: usize> Resources<M, N> {
    /// The first open resource that depends on this one and whose owner lives; those of
    /// dead owners are orphaned on the way.
    fn first_dependent<'e>(
        &self,
        on: Key,
        env: &'e impl Env<M>,
    ) -> Option<(Key, Option<&'e M::U32>)> {
        for index in 0..self.used() {
            let word = self.word(index);
            let key = Key {
                index,
                generation: word.generation(),
            };
            let depends = || self.dependencies(index).any(|dependency| dependency == on);
            if !word.is_open() || key == on || !depends() {
                continue;
            }
            let Some(process) = word.process() else {
                continue;
            };
            match env.process_pulse(process) {
                Pulse::Alive(life) => return Some((key, life)),
                Pulse::Dead => self.orphan(key, env.now()),
            }
        }
        None
    }

    /// An open resource of a living owner that depends on this one.
    pub(crate) fn blocker(&self, on: Key, env: &impl Env<M>) -> Option<Key> {
        Some(self.first_dependent(on, env)?.0)
    }

    /// Blocks until every resource that depends on `on` has ended, whoever owns it; as
    /// long as `on` is Draining and `until` (asked at every look) has not passed.
    pub(crate) fn wait_dependents(
        &self,
        on: Key,
        env: &impl Env<M>,
        until: impl Fn() -> u64,
    ) -> Blocked {
        // A life word that cannot be slept on: its thread has just died, or (strange
        // bytes) nobody holds it. The first time, look again; then sleep a little.
        let mut arm_failed = false;
        // Each turn follows a move of a word, a wake-up, or a bounded sleep.
        loop {
            let own = self.word(on.index);
            if own.generation() != on.generation || own.state() != Ok(State::Draining) {
                return Blocked::Moved;
            }
            let Some((dependent, life)) = self.first_dependent(on, env) else {
                return Blocked::No;
            };
            let seen = self.word(dependent.index);
            if seen.generation() != dependent.generation || !seen.is_open() {
                continue;
            }
            let (now, until) = (env.now(), until());
            if now >= until {
                return Blocked::By(dependent);
            }
            let mut bound = until.min(now.saturating_add(limits::WAIT_BOUND_MICROS));
            let (Some(record), Some(mine)) = (
                self.records.get(dependent.index),
                self.records.get(on.index),
            ) else {
                return Blocked::Moved;
            };
            let theirs = (M::low_cell(&record.word), seen.futex_half());
            let mine = (M::low_cell(&mine.word), own.futex_half());
            let armed = life.and_then(|word| Some((M::cell(word), life::arm::<M>(word)?)));
            let _: Woken = match (life, armed) {
                (_, Some(life)) => M::wait_any(&[theirs, mine, life], bound),
                (Some(_), None) if !arm_failed => {
                    arm_failed = true;
                    continue;
                }
                _ => {
                    bound = bound.min(now.saturating_add(limits::PORTABLE_POLL_MICROS));
                    M::wait_any(&[theirs, mine], bound)
                }
            };
        }
    }
}
