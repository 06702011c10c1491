//! The way of a crew to one of its events.

use crate::harness::crew::{Crew, Event};

impl Crew {
    /// Goes on to where so many events are behind, or to the operation's end; answers how
    /// many were, and how many stops that took.
    pub fn walk(&mut self, events: u64) -> nix::Result<(u64, u64)> {
        let (mut done, mut stops) = (0, 0);
        while self.next()? != Event::Over {
            stops += 1;
            if done == events {
                break;
            }
            done += 1;
        }
        self.release()?;
        Ok((done, stops))
    }
}
