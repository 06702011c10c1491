//! Putting a timeline together: the tables first, the journal where they have forgotten
//! or never knew.

use std::collections::HashMap;
use std::time::Duration;

use crate::api::history::History;
use crate::api::journal::{Names, Raw, code_of, event, has_scope, mode_of, phase_of};
use crate::api::outcome::whole;
use crate::api::report::{Reason, ShutdownOutcome};
use crate::api::request::Scope;
use crate::api::timeline::{Timeline, TimelineMark, TimelinePhase};
use crate::api::view::{Target, View, corrupt};
use crate::error::{CoordinationError, SegmentError};
use crate::note::{FORCED, Kind, Note, OWN, RunnerKey, epoch_before, kept_epoch, runner_key};
use crate::os::clock;
use crate::phase::Phase;
use crate::sync::{Env, Real};
use crate::table::control::{Ask, Control};
use crate::table::scope::Scope as Record;

/// Which shutdown it is about.
pub(super) struct Frame {
    pub(super) target: Target,
    /// The runner, if it is the shutdown of one alone.
    pub(super) alone: Option<RunnerKey>,
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

    /// Whether a note is about the shutdown of the same scope, of whatever epoch.
    pub(super) fn is_of_scope(&self, note: &Note) -> bool {
        is_of(self.alone, note)
    }

    /// Whether it is about this very shutdown.
    pub(super) fn is_of_it(&self, note: &Note) -> bool {
        kept_epoch(note.epoch) == kept_epoch(self.control.epoch()) && self.is_of_scope(note)
    }
}

fn is_of(alone: Option<RunnerKey>, note: &Note) -> bool {
    match alone {
        None => note.detail & OWN == 0,
        Some(_) => note.detail & OWN != 0 && note.runner == alone,
    }
}

impl<E: Env<Real>> View<'_, E> {
    /// The present or last shutdown of the group; `None` if none is known.
    pub(crate) fn timeline(&self) -> Result<Option<Timeline>, SegmentError> {
        self.timeline_of_target(Target::All)
    }

    /// The same of a scope: of a runner the shutdown of it alone.
    pub(crate) fn timeline_of(&self, scope: &Scope) -> Result<Option<Timeline>, CoordinationError> {
        let Scope::Runner(id) = scope else {
            return Ok(self.timeline()?);
        };
        let holders = self.find_all(id);
        if holders.is_empty() {
            return Err(CoordinationError::NoSuchRunner { id: id.clone() });
        }
        // One that was shut down alone may have been started again since.
        for (slot, _) in holders {
            if let Some(timeline) = self.timeline_of_target(Target::Slot(slot))? {
                return Ok(Some(timeline));
            }
        }
        Ok(None)
    }

    pub(crate) fn timeline_of_target(
        &self,
        target: Target,
    ) -> Result<Option<Timeline>, SegmentError> {
        let (raw, holes, before, _) = self.raw_journal(0);
        let Some(scope) = self.scope_of(target) else {
            return Ok(None);
        };
        let Some(frame) = self.frame(target, scope, &raw)? else {
            return Ok(None);
        };
        let names = Names::of(&raw);
        // Marks after the end are of no interest, but for what is about the shutdown itself.
        let within: Vec<Raw> = raw
            .iter()
            .copied()
            .filter(|raw| frame.has(raw.entry.at))
            .collect();
        let history = match frame.target {
            Target::All => self.history(frame.generation, Some(frame.start)),
            Target::Slot(_) => History::default(),
        };
        let runners = self.lines(&frame, &within, &names, &history);
        let outcomes: Vec<_> = runners.iter().map(|line| line.outcome.clone()).collect();
        let outcome = match (frame.was_cancelled, frame.end) {
            (true, _) => ShutdownOutcome::Cancelled,
            (false, None) => ShutdownOutcome::Running,
            (false, Some(_)) => whole(&outcomes),
        };
        let mode = within.iter().map(|raw| &raw.entry.note);
        let mode = mode
            .filter(|note| frame.is_of_it(note))
            .filter(|note| matches!(note.kind, Kind::Initiated | Kind::Merged | Kind::Escalated))
            .map(mode_of)
            .fold(frame.control.mode(), Ord::max);
        let oldest = raw.first().map_or(u64::MAX, |raw| raw.entry.at);
        let lost = if oldest > frame.start { before } else { 0 };
        let deadlines = scope.deadlines_from(frame.control, frame.start);
        let end = frame.end.unwrap_or(frame.now);
        let mut timeline = Timeline {
            segment: self.name.into(),
            runner: frame.alone.map(|key| names.id(self.tables, key)),
            generation: frame.generation,
            outcome,
            mode,
            reason: self.reason_of(&frame, &raw),
            started: Duration::from_micros(frame.start),
            began: clock::wall(frame.start),
            ended: frame.end.map(clock::wall),
            shortened: self.shortening(frame.target, frame.control),
            budget: frame.offset(deadlines.overall),
            total: frame.offset(end),
            phases: phases_of(scope, &frame, &within),
            runners,
            predecessors: history.predecessors,
            marks: self.marks(&frame, &within, &names),
            critical_path: Vec::new(),
            lost: lost + holes_within(&frame, &raw, &holes),
        };
        timeline.critical_path = super::critical::path(&timeline, &self.dependents());
        Ok(Some(timeline))
    }

    /// The shutdown that is on or over; else the one that was called off, or that the
    /// present generation followed.
    fn frame(
        &self,
        target: Target,
        scope: &Record<Real>,
        raw: &[Raw],
    ) -> Result<Option<Frame>, SegmentError> {
        let control = scope.control();
        let phase = control.phase().map_err(corrupt)?;
        let now = self.env.now();
        let group = &self.tables.group;
        let (alone, generation, gone) = match target {
            Target::All => (None, group.generation.current(), None),
            Target::Slot(slot) => {
                let member = group.member(slot);
                let key = runner_key(slot, member.generation());
                // Nobody has to go on with the shutdown of one who is gone.
                let gone = self.ended(slot, member);
                (Some(key), group.joined(slot), gone)
            }
        };
        if phase != Phase::Running {
            let epoch = control.epoch();
            let complete = scope.entered(Phase::Complete, epoch);
            return Ok(Some(Frame {
                target,
                alone,
                control,
                generation,
                start: scope.entered(Phase::Signaling, epoch).unwrap_or(now),
                end: match phase {
                    // Without a time, nobody has looked since its publisher died.
                    Phase::Complete => complete.or(gone).or(Some(now)),
                    _ => gone,
                },
                was_cancelled: false,
                now,
            }));
        }
        let last = |kind| move |raw: &&Raw| raw.entry.note.kind == kind;
        let all = || raw.iter().rev().filter(|raw| is_of(alone, &raw.entry.note));
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
        let epoch = epoch_before(note.epoch, control.epoch());
        let end = cancelled.or(complete).map(|raw| raw.entry.at);
        let stamped = scope.entered(Phase::Signaling, epoch);
        Ok(Some(Frame {
            target,
            alone,
            control: Control::running(epoch)
                .initiated(ask)
                .in_phase(Phase::Complete),
            generation: begun.entry.generation,
            start: stamped.unwrap_or(begun.entry.at),
            // Over it is: its end may be forgotten, or was never written down.
            end: Some(end.unwrap_or(begun.entry.at)),
            was_cancelled: cancelled.is_some(),
            now,
        }))
    }

    fn reason_of(&self, frame: &Frame, raw: &[Raw]) -> Reason {
        let mut reason = self.reason(frame.target, frame.control);
        let begun = raw.iter().rev().find(|raw| {
            let note = &raw.entry.note;
            note.kind == Kind::Initiated && frame.is_of_it(note)
        });
        if let Some(begun) = begun.filter(|_| reason.pid == 0) {
            reason.text = begun.entry.note.text.read();
            reason.pid = begun.entry.pid;
        }
        reason
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
        let marked = within.iter().filter(|raw| {
            let note = &raw.entry.note;
            let is_ours = match has_scope(note.kind) {
                true => frame.is_of_it(note),
                false => frame.alone.is_none_or(|key| note.runner == Some(key)),
            };
            is_mark(note.kind) && is_ours
        });
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

fn phases_of(scope: &Record<Real>, frame: &Frame, within: &[Raw]) -> Vec<TimelinePhase> {
    let epoch = frame.control.epoch();
    let noted = |phase: Phase| {
        within.iter().find(|raw| {
            let note = &raw.entry.note;
            let is_it = note.kind == Kind::Phase && phase_of(note) == Some(phase);
            is_it && frame.is_of_it(note)
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

/// The holes between what came before a shutdown and what came after it: their records
/// may have been of it.
fn holes_within(frame: &Frame, raw: &[Raw], holes: &[u64]) -> u64 {
    // The first of it and the last of it: a few records may be out of the order of their times.
    let first = raw.iter().position(|raw| raw.entry.at >= frame.start);
    let last = raw
        .iter()
        .rposition(|raw| frame.end.is_none_or(|end| raw.entry.at <= end));
    let before = match first {
        Some(first) => raw[..first].last(),
        None => raw.last(),
    };
    let after = match last {
        Some(last) => raw.get(last + 1),
        None => raw.first(),
    };
    let before = before.map_or(0, |raw| raw.sequence);
    let after = after.map_or(u64::MAX, |raw| raw.sequence);
    let within = holes
        .iter()
        .filter(|hole| before < **hole && **hole < after);
    within.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::journal_record::Entry;

    fn raw(sequence: u64, at: u64) -> Raw {
        let entry = Entry {
            at,
            pid: 1,
            generation: 1,
            note: Note::new(Kind::Joined),
        };
        Raw { sequence, entry }
    }

    #[test]
    fn only_holes_of_its_time_are_lost_of_a_shutdown() {
        let frame = |end| Frame {
            target: Target::All,
            alone: None,
            control: Control::from_raw(0),
            generation: 1,
            start: 100,
            end,
            was_cancelled: false,
            now: 900,
        };
        let all = [raw(2, 50), raw(5, 101), raw(8, 200), raw(11, 300)];
        let holes = [1, 3, 4, 6, 7, 9, 10, 12];
        let lost = |end, all: &[Raw]| holes_within(&frame(end), all, &holes);
        // 3, 4, 6, 7, 9 and 10 stand between what was before it and what was after it.
        assert_eq!(lost(Some(200), &all), 6);
        assert_eq!(lost(None, &all), 7);
        // A record of before that came late hides nothing.
        assert_eq!(
            lost(
                Some(200),
                &[raw(2, 50), raw(5, 101), raw(8, 99), raw(11, 300)]
            ),
            6
        );
        // All were before it, or after it: what follows them, or is before them.
        assert_eq!(lost(None, &[raw(8, 50)]), 3);
        assert_eq!(lost(Some(200), &[raw(5, 300)]), 3);
        assert_eq!(lost(None, &[]), 8);
    }
}
