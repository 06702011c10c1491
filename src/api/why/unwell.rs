//! What there is to say of a group that runs: who is stopped, dead, or shut down alone.

use crate::api::text::count;
use crate::api::view::Target;
use crate::sync::{Env, Real};
use crate::table::member::State;

use super::{MOST_BLOCKERS, Telling};

impl<E: Env<Real>> Telling<'_, '_, E> {
    /// The runners of the present generation that a shutdown would have trouble with.
    pub(super) fn unwell(&mut self) {
        let view = self.view;
        let group = &view.tables.group;
        let mut more = 0;
        for slot in view.present_slots(&view.present_history()) {
            let member = group.member(slot);
            let report = view.runner(Target::All, slot, self.control);
            let is_alone = view.lags(Target::Slot(slot), slot, group.runners[slot].own.control());
            // One that was started again is well.
            let is_newest = view
                .find(&report.id)
                .is_none_or(|(newest, _)| newest == slot);
            let is_told = is_alone || report.dead && is_newest || view.is_stopped(slot);
            if !is_told {
                continue;
            }
            if self.told.len() >= MOST_BLOCKERS {
                more += 1;
                continue;
            }
            let who = self.introduced(slot);
            if report.dead {
                self.told.insert(slot);
                match view.ended(slot, member) {
                    Some(at) if member.state() == Ok(State::Dead) => {
                        let ago = self.ago(at);
                        self.say(format!("But {who} is dead: it was found so {ago} ago."));
                    }
                    _ => self.say(format!(
                        "But {who} is dead, and nobody has counted it out yet."
                    )),
                }
                self.last_record(slot);
                continue;
            }
            if is_alone {
                self.say(format!(
                    "But {who} is shut down alone, and has not acknowledged {}.",
                    report.own_phase
                ));
            }
            // Says of one that is stopped that it is.
            self.chain(slot);
        }
        if more > 0 {
            let more = count(more, "more runner");
            self.say(format!("But {more}, too."));
        }
    }
}
