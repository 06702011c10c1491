//! Earlier holders of a runner's id: how many died, and when the last one did.
//!
//! Written by the claimant of a slot before it publishes the slot, and never again while that
//! holder has it: plain stores, and whoever reads them verifies the slot's generation before
//! and after. What the claimant adds up it reads from ended records of the same id before it
//! claims, as the claim may take one of those very records. Advice for people and monitors:
//! a holder that joins and dies between that read and the claim is not counted, and an id whose
//! records all have other holders by now begins again at zero.
//!
//! ```text
//! recent: [ count:32 | group generation:32 ]
//! ```

use core::sync::atomic::Ordering;

use crate::segment::shared;
use crate::sync::{Mem, Word};

use super::group::Group;
use super::member::State;

/// The words, in each runner's record.
#[repr(C)]
pub(crate) struct Past<M: Mem> {
    deaths: M::U64,
    recent: M::U64,
    /// Microseconds; zero for none.
    last: M::U64,
}

/// What became of the earlier holders of an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Earlier {
    /// How many died, since the segment was created.
    pub(crate) deaths: u64,
    /// How many of those in the group generation of the holder.
    pub(crate) recent: u32,
    /// When the last one was found dead, in microseconds.
    pub(crate) last: Option<u64>,
}

impl<M: Mem> Past<M> {
    /// The words, for a holder that joined in this group generation.
    pub(crate) fn read(&self, generation: u32) -> Earlier {
        let recent = self.recent.load(Ordering::Acquire);
        let last = self.last.load(Ordering::Acquire);
        Earlier {
            deaths: self.deaths.load(Ordering::Acquire),
            recent: match recent as u32 == generation {
                true => (recent >> 32) as u32,
                false => 0,
            },
            last: (last != 0).then_some(last),
        }
    }

    /// By the claimant of the slot, before it publishes it.
    pub(crate) fn write(&self, earlier: Earlier, generation: u32) {
        let recent = u64::from(earlier.recent) << 32 | u64::from(generation);
        self.deaths.store(earlier.deaths, Ordering::Release);
        self.recent.store(recent, Ordering::Release);
        self.last
            .store(earlier.last.unwrap_or(0), Ordering::Release);
    }
}

impl<M: Mem, const N: usize> Group<M, N> {
    /// When the holder of a slot claimed it.
    pub(crate) fn claimed_at(&self, slot: usize) -> u64 {
        let runner = self.runners.get(slot);
        runner.map_or(0, |runner| runner.claimed.load(Ordering::Acquire))
    }

    /// What a runner that joins now finds of the earlier holders of its id. `same` says which
    /// slots have the id.
    pub(crate) fn earlier(&self, same: impl Fn(usize) -> bool) -> Earlier {
        let current = self.generation.current();
        let ended = (0..self.used()).filter_map(|slot| {
            let member = self.member(slot);
            let is_dead = member.state() == Ok(State::Dead);
            let runner = self.runners.get(slot)?;
            let is_of_use = is_dead
                || member.state() == Ok(State::Left) && runner.past.read(current).deaths > 0;
            (is_of_use && same(slot)).then_some((slot, member, is_dead))
        });
        let newest = ended.max_by_key(|(slot, ..)| (self.claimed_at(*slot), *slot));
        let Some((slot, member, is_dead)) = newest else {
            return Earlier::default();
        };
        let runner = &self.runners[slot];
        let before = runner.past.read(current);
        let died = runner.ended(member.generation()).filter(|_| is_dead);
        let is_recent = is_dead && self.joined(slot) == current;
        Earlier {
            deaths: before.deaths.saturating_add(u64::from(is_dead)),
            recent: before.recent.saturating_add(u32::from(is_recent)),
            last: died.or(before.last),
        }
    }
}

impl<M: Mem> Default for Past<M> {
    fn default() -> Self {
        Self {
            deaths: M::U64::default(),
            recent: M::U64::default(),
            last: M::U64::default(),
        }
    }
}

shared!(Past<M> { deaths, recent, last });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    #[test]
    fn deaths_of_an_earlier_generation_are_not_of_this_one() {
        let past = Past::<Real>::default();
        assert_eq!(past.read(0), Earlier::default());
        let earlier = Earlier {
            deaths: 7,
            recent: 2,
            last: Some(9),
        };
        past.write(earlier, 3);
        assert_eq!(past.read(3), earlier);
        assert_eq!(
            past.read(4),
            Earlier {
                recent: 0,
                ..earlier
            }
        );
    }
}
