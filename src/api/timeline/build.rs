//! Putting a timeline together: the tables first, the journal where they have forgotten
//! or never knew.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::api::journal::{Names, Raw, code_of, event, mode_of, phase_of};
use crate::api::outcome::whole;
use crate::api::report::{Outcome, Reason, ShutdownOutcome};
use crate::api::timeline::{Timeline, TimelineMark, TimelinePhase, TimelineRunner};
use crate::api::view::{Target, View, corrupt};
use crate::error::SegmentError;
use crate::note::{FORCED, Kind, OWN};
use crate::phase::Phase;
use crate::sync::{Env, Real};
use crate::table::control::{Ask, Control, EPOCH_MASK};
use crate::table::member::State;

use super::spans::spans;

/// A runner slot and its generation.
pub(super) type Key = (u16, u16);

/// Which shutdown it is about.
pub(super) struct Frame {
    pub(super) control: Control,
    pub(super) generation: u32,
    /// Microseconds of the segment's clock.
    pub(super) start: u64,
    pub(super) end: Option<u64>,
    pub(super) was_cancelled: bool,
    pub(super) now: u64,
}

impl Frame {
    /// Since the start.
    pub(super) fn offset(&self, at: u64) -> Duration {
        Duration::from_micros(at.saturating_sub(self.start))
    }

    fn has(&self, at: u64) -> bool {
        at >= self.start && self.end.is_none_or(|end| at <= end)
    }
}

impl<E: Env<Real>> View<'_, E> {
    /// The present or last shutdown of the group; `None` if none is known.
    pub(crate) fn timeline(&self) -> Result<Option<Timeline>, SegmentError> {
        let (raw, holes, before, _) = self.raw_journal(0);
        let Some(frame) = self.frame(&raw)? else {
            return Ok(None);
        };
        let names = Names::of(&raw);
        let epoch = frame.control.epoch();
        // Marks after the end are of no interest, but for what is about the shutdown itself.
        let within: Vec<Raw> = raw
            .iter()
            .copied()
            .filter(|raw| frame.has(raw.entry.at))
            .collect();
        let runners = self.lines(&frame, &within, &names);
        let outcomes: Vec<_> = runners.iter().map(|line| line.outcome.clone()).collect();
        let outcome = match (frame.was_cancelled, frame.end) {
            (true, _) => ShutdownOutcome::Cancelled,
            (false, None) => ShutdownOutcome::Running,
            (false, Some(_)) => whole(&outcomes),
        };
        let mode = within.iter().map(|raw| &raw.entry.note);
        let mode = mode
            .filter(|note| note.epoch == epoch && note.detail & OWN == 0)
            .filter(|note| matches!(note.kind, Kind::Initiated | Kind::Merged | Kind::Escalated))
            .map(mode_of)
            .fold(frame.control.mode(), Ord::max);
        let oldest = raw.first().map_or(u64::MAX, |raw| raw.entry.at);
        let lost = if oldest > frame.start { before } else { 0 };
        let deadlines = self
            .tables
            .group
            .scope
            .deadlines_from(frame.control, frame.start);
        let end = frame.end.unwrap_or(frame.now);
        let mut timeline = Timeline {
            segment: self.name.into(),
            generation: frame.generation,
            outcome,
            mode,
            reason: self.reason_of(&frame, &raw),
            started: Duration::from_micros(frame.start),
            budget: frame.offset(deadlines.overall),
            total: frame.offset(end),
            phases: self.phases_of(&frame, &within),
            runners,
            marks: self.marks(&frame, &within, &names),
            critical_path: Vec::new(),
            lost: lost + holes.len() as u64,
        };
        timeline.critical_path = super::critical::path(&timeline, &self.dependents());
        Ok(Some(timeline))
    }

    /// The shutdown that is on or over; else the one that was called off, or that the
    /// present generation followed.
    fn frame(&self, raw: &[Raw]) -> Result<Option<Frame>, SegmentError> {
        let scope = &self.tables.group.scope;
        let control = scope.control();
        let phase = control.phase().map_err(corrupt)?;
        let now = self.env.now();
        if phase != Phase::Running {
            let epoch = control.epoch();
            return Ok(Some(Frame {
                control,
                generation: self.tables.group.generation.current(),
                start: scope.entered(Phase::Signaling, epoch).unwrap_or(now),
                end: scope
                    .entered(Phase::Complete, epoch)
                    .filter(|_| phase == Phase::Complete),
                was_cancelled: false,
                now,
            }));
        }
        let of_group = |raw: &&Raw| raw.entry.note.detail & OWN == 0;
        let last = |kind| move |raw: &&Raw| raw.entry.note.kind == kind;
        let all = || raw.iter().rev().filter(of_group);
        let Some(begun) = all().find(last(Kind::Initiated)) else {
            return Ok(None);
        };
        let note = &begun.entry.note;
        let ours = |raw: &&Raw| raw.entry.note.epoch == note.epoch;
        let cancelled = all().filter(ours).find(last(Kind::Cancelled));
        let complete = all().filter(ours).find(|raw| {
            let note = &raw.entry.note;
            note.kind == Kind::Phase && phase_of(note) == Some(Phase::Complete)
        });
        let ask = Ask {
            mode: mode_of(note),
            code: code_of(note),
            budget_millis: u32::try_from(note.argument).unwrap_or(u32::MAX),
        };
        let running = Control::from_raw(u64::from(note.epoch & EPOCH_MASK) << 8);
        let end = cancelled.or(complete).map(|raw| raw.entry.at);
        let stamped = scope.entered(Phase::Signaling, note.epoch);
        Ok(Some(Frame {
            control: running.initiated(ask).in_phase(Phase::Complete),
            generation: begun.entry.generation,
            start: stamped.unwrap_or(begun.entry.at),
            // Over it is: its end may be forgotten, or was never written down.
            end: Some(end.unwrap_or(begun.entry.at)),
            was_cancelled: cancelled.is_some(),
            now,
        }))
    }

    fn reason_of(&self, frame: &Frame, raw: &[Raw]) -> Reason {
        let mut reason = self.reason(Target::All, frame.control);
        let begun = raw.iter().rev().find(|raw| {
            let note = &raw.entry.note;
            let is_it = note.kind == Kind::Initiated && note.epoch == frame.control.epoch();
            is_it && note.detail & OWN == 0
        });
        if let Some(begun) = begun.filter(|_| reason.pid == 0) {
            reason.text = begun.entry.note.text.read();
            reason.pid = begun.entry.pid;
        }
        reason
    }

    fn phases_of(&self, frame: &Frame, within: &[Raw]) -> Vec<TimelinePhase> {
        let scope = &self.tables.group.scope;
        let epoch = frame.control.epoch();
        let noted = |phase: Phase| {
            within.iter().find(|raw| {
                let note = &raw.entry.note;
                let is_it = note.kind == Kind::Phase && phase_of(note) == Some(phase);
                is_it && note.epoch == epoch && note.detail & OWN == 0
            })
        };
        let reached = frame.control.phase().unwrap_or(Phase::Complete);
        let entered = |phase: Phase| {
            let at = match phase {
                Phase::Signaling => Some(frame.start),
                _ => scope
                    .entered(phase, epoch)
                    .or_else(|| Some(noted(phase)?.entry.at)),
            };
            at.filter(|at| phase <= reached && frame.has(*at))
        };
        let mut phases = Vec::new();
        for phase in Phase::ACKNOWLEDGED {
            let Some(from) = entered(phase) else { break };
            let control = frame.control.in_phase(phase);
            let deadline = scope.deadlines_from(control, frame.start).phase;
            let next = noted(phase.next());
            phases.push(TimelinePhase {
                phase,
                from: frame.offset(from),
                until: entered(phase.next())
                    .or(frame.end)
                    .map(|at| frame.offset(at)),
                deadline: frame.offset(deadline),
                forced: next.is_some_and(|raw| raw.entry.note.detail & FORCED != 0),
            });
        }
        phases
    }

    /// One line for each runner that was in it.
    fn lines(&self, frame: &Frame, within: &[Raw], names: &Names) -> Vec<TimelineRunner> {
        let mut lines: BTreeMap<Key, TimelineRunner> = BTreeMap::new();
        let group = &self.tables.group;
        for slot in self.slots(frame.generation, Some(frame.start)) {
            let member = group.member(slot);
            let key = (slot as u16, member.generation());
            let report = self.runner(Target::All, slot, frame.control);
            let stamp = group.runners[slot].ended.get(u32::from(key.1));
            let is_over = matches!(member.state(), Ok(State::Left | State::Dead));
            lines.insert(
                key,
                TimelineRunner {
                    id: report.id,
                    pid: report.pid,
                    outcome: report.outcome,
                    observed: report.observed,
                    acknowledged: report.acknowledged,
                    ended: stamp.filter(|_| is_over).map(|at| frame.offset(at)),
                    alive: report.alive,
                    died: member.state() == Ok(State::Dead),
                    blocked_in: report.blocked_in,
                    spans: Vec::new(),
                },
            );
        }
        for Raw { entry, .. } in within {
            let note = &entry.note;
            let is_told = match note.kind {
                Kind::Left | Kind::Died => true,
                Kind::Acknowledged => note.detail & OWN == 0 && note.epoch == frame.control.epoch(),
                _ => false,
            };
            let Some(key) = note.runner.filter(|_| is_told) else {
                continue;
            };
            let line = lines.entry(key).or_insert_with(|| TimelineRunner {
                id: names.id(self.tables, key),
                pid: names.pid(key),
                outcome: None,
                observed: None,
                acknowledged: [None; 3],
                ended: None,
                alive: false,
                died: false,
                blocked_in: None,
                spans: Vec::new(),
            });
            let at = frame.offset(entry.at);
            match note.kind {
                Kind::Acknowledged => {
                    let index = phase_of(note).and_then(Phase::index);
                    if let Some(acknowledged) = index.map(|index| &mut line.acknowledged[index]) {
                        acknowledged.get_or_insert(at);
                    }
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

    fn marks(&self, frame: &Frame, within: &[Raw], names: &Names) -> Vec<TimelineMark> {
        let is_mark = |kind| {
            matches!(
                kind,
                Kind::Merged
                    | Kind::Escalated
                    | Kind::Cancelled
                    | Kind::Extended
                    | Kind::Died
                    | Kind::OwnerDied
                    | Kind::Deadlock
                    | Kind::LockOrder
            )
        };
        let marked = within.iter().filter(|raw| is_mark(raw.entry.note.kind));
        let mut marks: Vec<_> = marked
            .filter_map(|raw| {
                let note = &raw.entry.note;
                let event = event(self.tables, note)?;
                let runner = note.runner.map(|key| names.id(self.tables, key));
                Some(TimelineMark {
                    at: frame.offset(raw.entry.at),
                    runner,
                    kind: event.name(),
                    text: event.to_string(),
                })
            })
            .collect();
        marks.sort_by_key(|mark| mark.at);
        marks
    }

    /// Which resources (as `runner/name`) each resource had to wait for.
    fn dependents(&self) -> HashMap<String, Vec<String>> {
        let mut dependents: HashMap<String, Vec<String>> = HashMap::new();
        for resource in self.resources(|_, _| true) {
            for on in &resource.depends_on {
                let by = resource.full_name();
                dependents.entry(on.clone()).or_default().push(by);
            }
        }
        dependents
    }
}
