//! When a runner saw a shutdown and did its phases.

use crate::segment::shared;
use crate::sync::Mem;

use super::scope::Scope;
use super::stamp::Stamp;

/// The times of one runner in one scope, tagged with the scope's epoch. Set by the threads
/// of the runner's process only; all but `observed` only after [`observe`](Self::observe).
#[repr(C)]
pub(crate) struct Times<M: Mem> {
    pub(crate) observed: Stamp<M>,
    pub(crate) acked: [Stamp<M>; 3],
    /// Not a time: the number of the first phase that went on without this runner.
    pub(crate) missed: Stamp<M>,
}

impl<M: Mem> Times<M> {
    /// The runner has seen the shutdown of `epoch`; the first who says so is right. Before
    /// that it unsets the stamps whose tags have come round, as [`Scope`] does with its own.
    ///
    /// A stamp of this epoch is set after `observed` is, one of a newer epoch after the
    /// scope has left this one. So what was read before both were found as they were is an
    /// old one, and only exactly that is unset.
    pub(crate) fn observe(&self, scope: &Scope<M>, epoch: u32, now: u64) {
        if self.observed.get(epoch).is_some() {
            return;
        }
        for stamp in self.acked.iter().chain([&self.missed, &self.observed]) {
            let Some(old) = stamp.misleading(epoch) else {
                continue;
            };
            if self.observed.get(epoch).is_some() || scope.control().epoch() != epoch {
                return;
            }
            stamp.forget(old);
        }
        self.observed.set_once(epoch, now);
    }

    /// Unsets all, for a new holder of the record.
    pub(super) fn clear(&self) {
        for stamp in self.acked.iter().chain([&self.missed, &self.observed]) {
            stamp.clear();
        }
    }
}

impl<M: Mem> Default for Times<M> {
    fn default() -> Self {
        Self {
            observed: Stamp::default(),
            acked: core::array::from_fn(|_| Stamp::default()),
            missed: Stamp::default(),
        }
    }
}

shared!(Times<M> {
    observed,
    acked,
    missed
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::{Mode, ReasonCode};
    use crate::sync::Real;
    use crate::table::control::Ask;

    /// A scope whose epoch is this one, by so many shutdowns that were called off.
    fn scope(epoch: u32) -> Scope<Real> {
        let scope = Scope::default();
        let ask = Ask {
            mode: Mode::Graceful,
            code: ReasonCode::Requested,
            budget_millis: 1000,
        };
        while scope.control().epoch() < epoch {
            let _ = scope.initiate(ask, 1).unwrap();
            let _ = scope.cancel().unwrap();
        }
        let _ = scope.initiate(ask, 1).unwrap();
        scope
    }

    #[test]
    fn what_came_round_is_unset_before_the_first_time_of_an_epoch() {
        let scope = scope(0x9000);
        let times = Times::<Real>::default();
        // Half of all tags ago: they pass for newer ones.
        times.acked[2].set_once(0x0fff, 7);
        times.missed.set_once(0x0fff, 3);
        times.observe(&scope, 0x9000, 50);
        assert_eq!(times.observed.get(0x9000), Some(50));
        assert_eq!((times.acked[2].raw(), times.missed.raw()), (0, 0));
        times.acked[2].set_once(0x9000, 60);
        times.missed.set_once(0x9000, 1);

        times.observe(&scope, 0x9000, 70);
        assert_eq!(times.observed.get(0x9000), Some(50), "the first stands");
        assert_eq!(times.acked[2].get(0x9000), Some(60));
        assert_eq!(times.missed.get(0x9000), Some(1));
    }

    #[test]
    fn one_that_was_stopped_for_a_shutdown_unsets_nothing_of_the_next() {
        let scope = scope(6);
        let times = Times::<Real>::default();
        times.observe(&scope, 6, 50);
        times.acked[0].set_once(6, 60);
        times.observe(&scope, 5, 70);
        assert_eq!(times.observed.get(6), Some(50));
        assert_eq!(times.acked[0].get(6), Some(60));
    }
}
