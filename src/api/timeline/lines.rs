//! The runners of a timeline: who was in it, what each did when, and how each ended.

use std::collections::{BTreeMap, HashMap};

use crate::api::history::History;
use crate::api::journal::{Names, Raw, phase_of, state_of};
use crate::api::report::Outcome;
use crate::api::resource::ResourceState;
use crate::api::timeline::TimelineRunner;
use crate::api::view::{Target, View};
use crate::note::{Kind, Note, RunnerKey as Key, runner_key};
use crate::phase::Phase;
use crate::sync::{Env, Real};

use super::build::Frame;
use super::spans::spans;

impl<E: Env<Real>> View<'_, E> {
    /// One line for each runner that was in it.
    pub(super) fn lines(
        &self,
        frame: &Frame,
        within: &[Raw],
        names: &Names,
        history: &History,
    ) -> Vec<TimelineRunner> {
        let mut lines: BTreeMap<Key, TimelineRunner> = BTreeMap::new();
        let group = &self.tables.group;
        let slots = match frame.target {
            Target::All => self.slots(frame.generation, Some(frame.start), history),
            Target::Slot(slot) => vec![slot],
        };
        for slot in slots {
            let member = group.member(slot);
            let key = runner_key(slot, member.generation());
            if frame.alone.is_some_and(|alone| alone != key) {
                // It has a new holder since.
                continue;
            }
            let report = self.runner(frame.target, slot, frame.control);
            let ended = self.ended(slot, member);
            // Who was not counted out by the end lived then: whoever ends a phase looks at all.
            let was_in_it = |end: u64| -> bool { ended.is_some_and(|at| at <= end) };
            lines.insert(
                key,
                TimelineRunner {
                    id: report.id,
                    pid: report.pid,
                    outcome: report.outcome,
                    observed: report.observed,
                    acknowledged: report.acknowledged,
                    ended: ended.map(|at| frame.offset(at)),
                    last_sign: report
                        .observed
                        .max(report.acknowledged.into_iter().max().flatten()),
                    alive: report.alive,
                    died: report.dead && frame.end.is_none_or(was_in_it),
                    blocked_in: report.blocked_in,
                    late: report.late,
                    failures: report.failures,
                    spans: Vec::new(),
                },
            );
        }
        for Raw { entry, .. } in within {
            let note = &entry.note;
            let ours = |key: &Key| frame.alone.is_none_or(|alone| alone == *key);
            let Some(key) = note.runner.filter(ours) else {
                continue;
            };
            let at = frame.offset(entry.at);
            if is_sign_of_life(note)
                && let Some(line) = lines.get_mut(&key)
            {
                line.last_sign = line.last_sign.max(Some(at));
            }
            let is_told = match note.kind {
                Kind::Left | Kind::Died => true,
                Kind::Acknowledged => frame.is_of_it(note),
                _ => false,
            };
            if !is_told {
                continue;
            }
            let line = lines.entry(key).or_insert_with(|| TimelineRunner {
                id: names.id(self.tables, key),
                pid: names.pid(key),
                outcome: None,
                observed: None,
                acknowledged: [None; 3],
                ended: None,
                last_sign: None,
                alive: false,
                died: false,
                blocked_in: None,
                late: None,
                failures: Vec::new(),
                spans: Vec::new(),
            });
            match note.kind {
                Kind::Acknowledged => {
                    let index = phase_of(note).and_then(Phase::index);
                    if let Some(acknowledged) = index.map(|index| &mut line.acknowledged[index]) {
                        acknowledged.get_or_insert(at);
                    }
                    line.last_sign = line.last_sign.max(Some(at));
                }
                Kind::Died => {
                    line.died = true;
                    line.ended.get_or_insert(at);
                    let was_done = line.acknowledged[2].is_some();
                    line.outcome.get_or_insert(match was_done {
                        true => Outcome::Completed,
                        false => Outcome::Died,
                    });
                }
                _ => {
                    line.ended.get_or_insert(at);
                    if line.acknowledged[2].is_some() {
                        line.outcome.get_or_insert(Outcome::Completed);
                    }
                }
            }
        }
        let mut spans: HashMap<Key, _> = spans(self.tables, frame, within);
        for (key, line) in &mut lines {
            line.spans = spans.remove(key).unwrap_or_default();
        }
        lines.into_values().collect()
    }
}

/// Whether a note about a runner is written by that runner itself, so that it lived then.
fn is_sign_of_life(note: &Note) -> bool {
    match note.kind {
        Kind::Joined | Kind::Acknowledged | Kind::HandlerStarted | Kind::HandlerEnded => true,
        // Anybody orphans the resources of the dead.
        Kind::Resource => state_of(note).is_some_and(ResourceState::is_open),
        _ => false,
    }
}
