//! What there is to know of a shutdown beside its phases and who holds them up.

use crate::api::text::{count, history, moment};
use crate::api::timeline::{SpanKind, Timeline};
use crate::sync::{Env, Real};

use super::{MOST_BLOCKERS, Telling};

impl<E: Env<Real>> Telling<'_, '_, E> {
    /// A budget that was shortened, runners that
    /// had died before it, handlers that did not end in order.
    pub(super) fn details(&mut self, timeline: &Timeline) {
        if let Some(by) = &timeline.shortened {
            self.say(format!("During it {by}."));
        }
        for past in timeline.predecessors.iter().take(MOST_BLOCKERS) {
            self.say(format!(
                "No part of it: {}.",
                history::line(past, moment::utc)
            ));
        }
        if timeline.predecessors.len() > MOST_BLOCKERS {
            let more = count(timeline.predecessors.len() - MOST_BLOCKERS, "more id");
            self.say(format!("Earlier runners of {more} had died, too."));
        }
        for runner in &timeline.runners {
            let handlers = runner
                .spans
                .iter()
                .filter(|span| span.kind == SpanKind::Handler);
            for span in handlers.filter(|span| !span.is_good()).take(MOST_BLOCKERS) {
                let how = match span.end {
                    Some("Abandoned") => {
                        "was left behind: it overran its deadline, and may still run"
                    }
                    Some("Skipped") => "was skipped: its phase had no time left",
                    Some("Panicked") => "panicked",
                    _ => "did not end in order",
                };
                self.say(format!("Handler {} of {} {how}.", span.name, runner.id));
            }
        }
    }
}
