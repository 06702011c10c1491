//! The events of a segment, as seen from outside.

use crate::api::event::Reset;
use crate::api::event_kind::EventSet;
use crate::api::view::View;
use crate::sync::{Env, Real};
use crate::table::Corrupt;
use crate::table::event_log::Resets;

/// A look at one event. Taking it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStatus {
    /// Its name.
    pub name: String,
    /// How it is cleared.
    pub reset: Reset,
    /// Whether it is set.
    pub is_set: bool,
    /// How often it was set.
    pub sequence: u64,
    /// Its latest set, if there was any.
    pub latest: Option<EventSet>,
}

impl<E: Env<Real>> View<'_, E> {
    /// Every event, in the order of their first openings.
    pub(super) fn events(&self) -> Result<Vec<EventStatus>, Corrupt> {
        let names = &self.tables.event_names;
        if !names.is_used() {
            return Ok(Vec::new());
        }
        let now = self.env.now();
        names
            .all()
            .filter_map(|(index, name)| Some((self.tables.events.get(index)?, name)))
            .map(|(log, name)| {
                let latest = log.latest()?;
                Ok(EventStatus {
                    name,
                    reset: Reset::of(log.resets()?.unwrap_or(Resets::ByHand)),
                    is_set: log.event.is_set(),
                    sequence: log.event.sequence(),
                    latest: latest.map(|(number, said)| EventSet::of(number, said, now)),
                })
            })
            .collect()
    }
}
