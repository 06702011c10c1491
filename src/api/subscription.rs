//! A reader of an event's sets, in order.

use std::time::Duration;

use crate::api::core::deadline;
use crate::api::event::CrossProcessEvent;
use crate::api::event_kind::EventSet;
use crate::error::EventError;
use crate::sync::Env;
use crate::table::event_log::After;

/// What a [`Subscription`] delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// The next set.
    Set(EventSet),
    /// So many sets were replaced by newer ones before this reader came to them (or, one
    /// of them, by a setter that was killed while it replaced it). The next delivery
    /// follows them.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// Reads the sets of an event one by one, at its own pace, and takes nothing from
/// anybody. Nothing is missed silently: see [`Delivery::Lagged`].
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{CrossProcessEvent, Delivery, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let tick = CrossProcessEvent::open(&segment, "tick")?;
/// let mut ticks = tick.subscribe_from_now()?;
/// for _ in 0..22 {
///     tick.set()?;
/// }
/// assert_eq!(ticks.try_next()?, Some(Delivery::Lagged { missed: 6 }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Subscription {
    event: CrossProcessEvent,
    seen: u64,
}

impl Subscription {
    pub(crate) fn new(event: CrossProcessEvent, seen: u64) -> Self {
        Self { event, seen }
    }

    /// The event that is read.
    #[must_use]
    pub fn event(&self) -> &CrossProcessEvent {
        &self.event
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The next delivery; waits for it, until the timeout at most. `None`: it passed.
    /// Woken by the kernel, sleeps a second at most between two looks.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Delivery>, EventError> {
        let until = deadline(self.event.session().core().as_ref(), timeout);
        loop {
            let delivery = self.try_next()?;
            if delivery.is_some() || !self.event.wait_after(self.seen, until)? {
                return Ok(delivery);
            }
        }
    }

    /// The next delivery, if there is one now. Never blocks.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Option<Delivery>, EventError> {
        let core = self.event.session().core();
        core.check()?;
        let after = self.event.log().after(self.seen);
        Ok(match after.map_err(|what| core.corrupt(what))? {
            After::Nothing => None,
            After::Said(number, said) => {
                let set = EventSet::of(number, said, core.now());
                self.seen = number;
                Some(Delivery::Set(set))
            }
            After::Missed { missed, seen } => {
                self.seen = seen;
                Some(Delivery::Lagged { missed })
            }
        })
    }
}
