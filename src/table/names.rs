//! A directory of names: gives each name one index for the life of the segment.
//!
//! Finding needs no lock. Adding happens under a robust lock of its own, so of two
//! processes that add the same name one does and the other finds. An entry becomes
//! visible by one store after its text is whole; a process killed in between leaves the
//! entry unused, which is the consistent state.

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::latch::Text;
use crate::sync::mutex::{Mutex, NotLocked};
use crate::sync::{Env, Mem, Owner, Word};

pub(super) const USED: u64 = 1;

#[repr(C)]
pub(crate) struct Name<M: Mem> {
    pub(super) used: M::U64,
    pub(super) text: Text<M, 9>,
}

/// The directory of up to `N` names.
#[repr(C)]
pub(crate) struct Names<M: Mem, const N: usize> {
    adding: Mutex<M>,
    pub(super) entries: [Name<M>; N],
}

/// Why a name has no index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoIndex {
    Full,
    Locked(NotLocked),
}

impl<M: Mem, const N: usize> Names<M, N> {
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.used.load(Ordering::Acquire) == USED && entry.text.is(name))
    }

    /// The index of a name, added if it is new.
    pub(crate) fn find_or_add(
        &self,
        name: &str,
        me: Owner,
        env: &impl Env<M>,
        until: u64,
    ) -> Result<usize, NoIndex> {
        if let Some(index) = self.find(name) {
            return Ok(index);
        }
        let acquired = self.adding.lock(me, env, until).map_err(NoIndex::Locked)?;
        if acquired.previous_owner_died {
            self.adding.mark_consistent(me);
        }
        let found = self.find(name).or_else(|| self.add(name));
        let _ = self.adding.unlock(me);
        found.ok_or(NoIndex::Full)
    }

    fn add(&self, name: &str) -> Option<usize> {
        let (index, entry) = self
            .entries
            .iter()
            .enumerate()
            .find(|(_, entry)| entry.used.load(Ordering::Acquire) != USED)?;
        entry.text.write(name);
        entry.used.store(USED, Ordering::Release);
        Some(index)
    }

    pub(crate) fn name(&self, index: usize) -> Option<String> {
        let entry = self.entries.get(index)?;
        (entry.used.load(Ordering::Acquire) == USED).then(|| entry.text.read().0)
    }

    /// Whether there is any name: they are added from the first entry on and stay.
    pub(crate) fn is_used(&self) -> bool {
        self.entries
            .first()
            .is_some_and(|entry| entry.used.load(Ordering::Acquire) == USED)
    }

    /// Every name with its index.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, String)> {
        (0..N).filter_map(|index| Some((index, self.name(index)?)))
    }

    /// The lock under which names are added, for the reaper.
    pub(crate) fn adding(&self) -> &Mutex<M> {
        &self.adding
    }
}

impl<M: Mem, const N: usize> Default for Names<M, N> {
    fn default() -> Self {
        Self {
            adding: Mutex::default(),
            entries: core::array::from_fn(|_| Name {
                used: M::U64::default(),
                text: Text::default(),
            }),
        }
    }
}

shared!(Name<M> { used, text });
shared!(Names<M, const N> { adding, entries });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;
    use crate::table::known::{Known, owner};

    const NEVER: u64 = u64::MAX;

    #[test]
    fn a_name_has_one_index_and_the_table_has_an_end() {
        let (names, env) = (Names::<Real, 2>::default(), Known::default());
        let add = |name| names.find_or_add(name, owner(1), &env, NEVER);
        assert!(!names.is_used());
        assert_eq!((names.find("a"), names.name(0)), (None, None));
        assert_eq!((add("a"), add("b"), add("a")), (Ok(0), Ok(1), Ok(0)));
        assert!(names.is_used());
        assert_eq!(add("c"), Err(NoIndex::Full));
        assert_eq!((names.find("b"), names.find("c")), (Some(1), None));
        assert_eq!((names.name(1).as_deref(), names.name(2)), (Some("b"), None));
        let all = [(0, "a".to_string()), (1, "b".to_string())];
        assert!(names.all().eq(all));
    }

    #[test]
    fn one_that_died_adding_a_name_leaves_the_entry_to_the_next() {
        let (names, env) = (Names::<Real, 2>::default(), Known::default());
        let add = |me, until| names.find_or_add("a", owner(me), &env, until);
        assert!(names.adding.try_lock(owner(2), &env).is_ok());
        names.entries[0].text.write("half");
        let waited_for = owner(2);
        let busy = NoIndex::Locked(NotLocked::TimedOut { waited_for });
        assert_eq!(add(1, 0), Err(busy));
        env.dead.set(Some(owner(2)));
        assert_eq!(add(1, NEVER), Ok(0));
        assert_eq!(names.find("half"), None);
        assert!(
            !names
                .adding
                .try_lock(owner(1), &env)
                .unwrap()
                .previous_owner_died
        );
    }
}
