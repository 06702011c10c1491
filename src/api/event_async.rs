//! Waiting for events without blocking the thread.

use crate::api::event::CrossProcessEvent;
use crate::api::subscription::{Delivery, Subscription};
use crate::api::waiting::{Look, Notifier, Wait};
use crate::error::{CoordinationError, EventError, LockError};
use crate::sync::event::Goal;

impl CrossProcessEvent {
    /// As [`wait`](Self::wait) without a timeout, as a future. A [`Reset::Auto`] set is
    /// taken by the task that returns from here: a future that is dropped takes none along.
    ///
    /// [`Reset::Auto`]: crate::Reset::Auto
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn awaited(&self) -> Result<(), EventError> {
        let core = self.session().core();
        core.check()?;
        let goal = self.log().goal().map_err(|what| core.corrupt(what))?;
        loop {
            // Before the try: what is set after it moves this.
            let came = self.log().event.goal_from_now();
            if self.log().event.arm(goal).is_none() {
                return Ok(());
            }
            self.reached(came).await?;
        }
    }

    /// A descriptor that is readable once the event is set, or was set since the call. It
    /// takes nothing: a set that resets by itself is taken by a wait with no time.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle); `System` when
    /// there is no descriptor or thread left.
    pub fn notifier(&self) -> Result<Notifier, CoordinationError> {
        let mut look = self.look(self.log().event.goal_from_now());
        let look: Look<()> = Box::new(move |core, sleep| look(core, sleep).map(drop));
        Notifier::new(self.session(), look)
    }

    async fn reached(&self, goal: Goal) -> Result<(), EventError> {
        let waited = Wait::new(self.session(), self.look(goal)).await;
        Ok(waited.map_err(LockError::from)?)
    }

    fn look(&self, goal: Goal) -> Look<Result<(), CoordinationError>> {
        let index = self.index();
        Box::new(move |core, sleep| {
            let Some((cell, word)) = core.tables().events.get(index)?.event.arm(goal) else {
                return Some(Ok(()));
            };
            sleep.on(cell, word);
            None
        })
    }
}

impl Subscription {
    /// As [`next`](Self::next) without a timeout, as a future. One that is dropped skips
    /// nothing.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_delivery(&mut self) -> Result<Delivery, EventError> {
        loop {
            if let Some(delivery) = self.try_next()? {
                return Ok(delivery);
            }
            self.event().reached(Goal::After(self.seen())).await?;
        }
    }
}
