//! What a shutdown's time was spent on: from the end of each phase backwards, always at
//! whoever was waited for at that moment.
//!
//! A phase ends when the last runner resolves it; what that runner did until then is a
//! step. A resource is closed when nothing depends on it any more: if what it waited for
//! was another runner's, the way goes on there. Every step ends at or before the one
//! after it, so the walk ends.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use crate::api::timeline::{
    CriticalStep, SpanKind, Timeline, TimelinePhase, TimelineRunner, TimelineSpan,
};
use crate::phase::Phase;

/// Steps of one phase; more are told as one.
const MOST_STEPS: usize = 64;

pub(super) fn path(
    timeline: &Timeline,
    dependents: &HashMap<String, Vec<String>>,
) -> Vec<CriticalStep> {
    let mut steps = Vec::new();
    for phase in &timeline.phases {
        let end = phase.until.unwrap_or(timeline.total);
        let late = late(timeline, phase, end);
        let mut walk = Walk {
            is_present: phase.until.is_none(),
            late: late.map(|runner| runner.id.clone()).collect(),
            timeline,
            dependents,
            phase: phase.phase,
            from: phase.from,
            steps: Vec::new(),
        };
        match gate(timeline, phase, end) {
            Some(runner) => walk.back(runner, end),
            None => walk.step(None, "nobody to wait for".into(), phase.from, end),
        }
        steps.extend(walk.steps.into_iter().rev());
    }
    steps.retain(|step| !step.took().is_zero());
    steps
}

/// Whom a phase waited for last.
fn gate<'t>(
    timeline: &'t Timeline,
    phase: &TimelinePhase,
    end: Duration,
) -> Option<&'t TimelineRunner> {
    let index = phase.phase.index()?;
    let resolved = |runner: &TimelineRunner| runner.acknowledged[index].or(runner.ended);
    if phase.until.is_none() || phase.forced {
        let busy = |runner: &TimelineRunner| {
            let spans = &runner.spans;
            spans
                .iter()
                .any(|span| is_work(span) && overlaps(span, phase.from, end))
        };
        // Who lives before who is dead, and who is known to be busy before others.
        return late(timeline, phase, end).max_by_key(|runner| {
            let first = std::cmp::Reverse(&runner.id);
            (runner.alive, busy(runner), first)
        });
    }
    timeline
        .runners
        .iter()
        .filter(|runner| resolved(runner).is_some_and(|at| at >= phase.from && at <= end))
        .max_by_key(|runner| resolved(runner))
}

/// Who a phase that is on, or was forced, has not been resolved by.
fn late<'t>(
    timeline: &'t Timeline,
    phase: &TimelinePhase,
    end: Duration,
) -> impl Iterator<Item = &'t TimelineRunner> {
    let index = phase.phase.index();
    let counts = phase.until.is_none() || phase.forced;
    timeline.runners.iter().filter(move |runner| {
        let done = index.and_then(|index| runner.acknowledged[index]);
        counts && done.or(runner.ended).is_none_or(|at| at > end)
    })
}

/// Spans of waiting are no work.
fn is_work(span: &TimelineSpan) -> bool {
    span.kind != SpanKind::Draining
}

fn overlaps(span: &TimelineSpan, from: Duration, until: Duration) -> bool {
    span.from < until && span.until.is_none_or(|end| end > from)
}

struct Walk<'t> {
    timeline: &'t Timeline,
    dependents: &'t HashMap<String, Vec<String>>,
    phase: Phase,
    from: Duration,
    is_present: bool,
    /// Ids of those that the phase waits for, or went on without.
    late: Vec<String>,
    /// The last one first.
    steps: Vec<CriticalStep>,
}

impl<'t> Walk<'t> {
    fn back(&mut self, mut runner: &'t TimelineRunner, mut until: Duration) {
        while until > self.from && self.steps.len() < MOST_STEPS {
            let work = runner.spans.iter().filter(|span| is_work(span));
            let before = work.filter(|span| overlaps(span, self.from, until));
            let last =
                before.max_by_key(|span| (span.until.unwrap_or(until).min(until), span.from));
            let Some(span) = last else { break };
            let end = span.until.unwrap_or(until).min(until);
            self.step(Some(runner), self.rest(runner, until), end, until);
            self.step(Some(runner), describe(span, self.phase), span.from, end);
            until = span.from;
            if let Some((other, ended, name)) = self.awaited(runner, span) {
                let last = self.steps.last_mut();
                if let Some(step) = last.filter(|step| step.runner.as_ref() == Some(&runner.id)) {
                    step.waited_for = Some(name);
                }
                (runner, until) = (other, ended.min(until));
            }
        }
        self.step(Some(runner), self.rest(runner, until), self.from, until);
    }

    /// The other runner's resource that this one had to wait for, if that was what it
    /// waited for last.
    fn awaited(
        &self,
        runner: &TimelineRunner,
        span: &TimelineSpan,
    ) -> Option<(&'t TimelineRunner, Duration, String)> {
        if span.kind != SpanKind::Closing {
            return None;
        }
        let by = self
            .dependents
            .get(&format!("{}/{}", runner.id, span.name))?;
        let all = self.timeline.runners.iter();
        let closed = all.flat_map(|other| other.spans.iter().map(move |span| (other, span)));
        let awaited = closed
            .filter(|(other, of)| {
                other.id != runner.id
                    && of.kind == SpanKind::Closing
                    && by.contains(&format!("{}/{}", other.id, of.name))
            })
            .filter_map(|(other, of)| Some((other, of.until?, of)))
            .filter(|(_, ended, _)| *ended <= span.from && *ended > self.from)
            .max_by_key(|(_, ended, _)| *ended)?;
        let own = runner.spans.iter().filter(|own| is_work(own));
        let own = own.filter_map(|own| own.until.filter(|until| *until <= span.from));
        let (other, ended, of) = awaited;
        let is_last = own.max().is_none_or(|own| own <= ended);
        is_last.then(|| (other, ended, format!("{}/{}", other.id, of.name)))
    }

    /// What a runner did when nothing is known of it; and who was late beside it.
    fn rest(&self, runner: &TimelineRunner, until: Duration) -> String {
        let is_before = |at: &Option<Duration>| at.is_some_and(|at| at <= until);
        let was_seen = is_before(&runner.observed) || runner.acknowledged.iter().any(is_before);
        let doing = if self.is_present && !runner.alive && runner.ended.is_none() {
            "is dead, not counted out yet"
        } else if !was_seen {
            "had not seen the shutdown"
        } else {
            match self.phase {
                Phase::Signaling => "seeing the shutdown",
                Phase::Draining => "finishing what was in flight",
                _ => "getting done",
            }
        };
        let others: Vec<_> = self.late.iter().filter(|id| **id != runner.id).collect();
        if others.is_empty() {
            return doing.into();
        }
        let names: Vec<&str> = others.iter().take(2).map(|id| id.as_str()).collect();
        let more = match others.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{doing} (late, too: {}{more})", names.join(", "))
    }

    fn step(
        &mut self,
        runner: Option<&TimelineRunner>,
        doing: String,
        from: Duration,
        until: Duration,
    ) {
        let from = from.max(self.from);
        if until > from {
            self.steps.push(CriticalStep {
                phase: self.phase,
                runner: runner.map(|runner| runner.id.clone()),
                doing,
                from,
                until,
                waited_for: None,
            });
        }
    }
}

fn describe(span: &TimelineSpan, phase: Phase) -> String {
    match span.kind {
        SpanKind::Handler => format!("in {phase} handler {}", span.name),
        _ => format!("closing {}", span.name),
    }
}
