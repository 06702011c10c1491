//! Waiting for events without blocking the thread.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::api::event::CrossProcessEvent;
use crate::api::pollable::Notifier;
use crate::api::subscription::{Delivery, Subscription};
use crate::api::waiting::{Look, Wait};
use crate::error::{CoordinationError, EventError};
use crate::sync::Real;
use crate::sync::event::{Event, Goal};

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
            self.until(came).await?;
        }
    }

    /// A descriptor that is readable once the event is set, or was set since the call. It
    /// takes nothing: a set that resets by itself is taken by a wait with no time.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle); `System` when
    /// there is no descriptor or thread left.
    pub fn notifier(&self) -> Result<Notifier, CoordinationError> {
        self.notifier_of(self.log().event.goal_from_now())
    }

    /// As [`wait_any`](Self::wait_any) without a timeout, as a future; answers which. A
    /// [`Reset::Auto`] set is taken by the task that returns from here, as with
    /// [`awaited`](Self::awaited).
    ///
    /// [`Reset::Auto`]: crate::Reset::Auto
    ///
    /// # Errors
    /// As [`wait_any`](Self::wait_any).
    pub async fn awaited_any(events: &[&Self]) -> Result<usize, EventError> {
        let goals = Self::goals(events)?;
        loop {
            // Before the tries: what is set after them moves one of these.
            let mut waits: Vec<_> = events
                .iter()
                .map(|event| event.until(event.log().event.goal_from_now()))
                .collect();
            let reached = |(event, goal): &(&Event<Real>, Goal)| event.arm(*goal).is_none();
            if let Some(index) = goals.iter().position(reached) {
                return Ok(index);
            }
            poll_fn(|context| {
                let mut polled = waits.iter_mut().map(|wait| Pin::new(wait).poll(context));
                polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
            })
            .await?;
        }
    }

    pub(super) fn notifier_of(&self, goal: Goal) -> Result<Notifier, CoordinationError> {
        Notifier::new(self.session(), self.look(goal))
    }

    fn until(&self, goal: Goal) -> Wait<(), EventError> {
        Wait::new(self.session(), self.look(goal))
    }

    fn look(&self, goal: Goal) -> Look<Result<(), EventError>> {
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
            self.event().until(Goal::After(self.seen())).await?;
        }
    }

    /// A descriptor that is readable once there is a delivery that is not read yet;
    /// [`try_next`](Self::try_next) then reads it. It takes nothing.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle); `System` when
    /// there is no descriptor or thread left.
    pub fn notifier(&self) -> Result<Notifier, CoordinationError> {
        self.event().notifier_of(Goal::After(self.seen()))
    }
}
