//! Waiting until nobody depends on a resource any more, across processes.

use crate::sync::{Env, Mem, Pulse, life};

use super::{Key, Resources, State};

/// What a look for dependents came to.
#[must_use]
pub(crate) enum Dependents<'a, M: Mem> {
    /// Nobody depends on it (any more).
    None,
    /// This one still does; look again when one of the words moves: its own, the
    /// resource's, and its owner's life word, if it has one.
    Alive {
        key: Key,
        cells: [(M::Cell<'a>, u32); 2],
        life: Option<(&'a M::U32, u32)>,
    },
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
            let depends = || self.depends(index, on);
            if !word.is_open() || key == on || !depends() {
                continue;
            }
            let Some(process) = word.process() else {
                continue;
            };
            match env.process_pulse(process) {
                Pulse::Alive(life) => return Some((key, life)),
                Pulse::Dead => self.orphan(key, env),
            }
        }
        None
    }

    /// An open resource of a living owner that depends on this one.
    pub(crate) fn blocker(&self, on: Key, env: &impl Env<M>) -> Option<Key> {
        Some(self.first_dependent(on, env)?.0)
    }

    /// Looks for what depends on `on`, which is Draining, whoever owns it.
    pub(crate) fn look_at_dependents<'a>(
        &'a self,
        on: Key,
        env: &'a impl Env<M>,
    ) -> Dependents<'a, M> {
        // A life word that cannot be slept on: its thread has just died, or (strange
        // bytes) nobody holds it. The first time, look again.
        let mut arm_failed = false;
        // Each turn follows a move of a word.
        loop {
            let own = self.word(on.index);
            let Some(mine) = self.records.get(on.index) else {
                return Dependents::Moved;
            };
            if own.generation() != on.generation || own.state() != Ok(State::Draining) {
                return Dependents::Moved;
            }
            let Some((key, life)) = self.first_dependent(on, env) else {
                return Dependents::None;
            };
            let (seen, record) = (self.word(key.index), self.records.get(key.index));
            let Some(record) = record.filter(|_| seen.generation() == key.generation) else {
                continue;
            };
            if !seen.is_open() {
                continue;
            }
            let cells = [
                (M::low_cell(&record.word), seen.futex_half()),
                (M::low_cell(&mine.word), own.futex_half()),
            ];
            let armed = life.and_then(|word| Some((word, life::arm::<M>(word)?)));
            if life.is_some() && armed.is_none() && !arm_failed {
                arm_failed = true;
                continue;
            }
            return Dependents::Alive {
                key,
                cells,
                life: armed,
            };
        }
    }

    /// Blocks until nothing depends on `on`; false if it is not Draining any more.
    #[cfg(test)]
    pub(crate) fn wait_dependents(&self, on: Key, env: &impl Env<M>) -> bool {
        loop {
            let (cells, life) = match self.look_at_dependents(on, env) {
                Dependents::None => return true,
                Dependents::Moved => return false,
                Dependents::Alive { cells, life, .. } => (cells, life),
            };
            let (cells, poll) = match life {
                Some((word, armed)) => (
                    [&cells[..], &[(M::cell(word), armed)]].concat(),
                    crate::limits::WAIT_BOUND_MICROS,
                ),
                None => (cells.to_vec(), crate::limits::PORTABLE_POLL_MICROS),
            };
            let _ = M::wait_any(&cells, env.now().saturating_add(poll));
        }
    }
}
