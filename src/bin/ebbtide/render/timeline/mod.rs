//! A timeline as text, document, trace and picture.

pub mod json;
mod scale;
pub mod svg;
mod svg_paper;
mod svg_rows;
pub mod text;
pub mod trace;

use std::time::Duration;

use ebbtide::{Outcome, Phase, ShutdownOutcome, Timeline, TimelineRunner};

use super::time;

/// What a runner was at in one phase: from, until, and whether it did it.
pub(super) struct Work {
    pub phase: Phase,
    pub from: Duration,
    pub until: Duration,
    /// When it was done.
    pub done: Option<Duration>,
}

/// Phase by phase, as far as the runner and the phases came.
pub(super) fn works(timeline: &Timeline, runner: &TimelineRunner) -> Vec<Work> {
    let mut works = Vec::new();
    let mut free = Duration::ZERO;
    for (phase, done) in timeline.phases.iter().zip(runner.acknowledged) {
        let gone = runner.ended.unwrap_or(timeline.total);
        let until = done.unwrap_or(gone).min(timeline.total);
        // The next phase's work begins when that is published and this one's is done.
        let from = phase.from.max(free);
        free = until;
        if from <= until {
            works.push(Work {
                phase: phase.phase,
                from,
                until,
                done: done.filter(|done| *done <= timeline.total),
            });
        }
        if done.is_none() {
            break;
        }
    }
    works
}

/// In a word or two.
pub(super) fn verdict(runner: &TimelineRunner) -> String {
    match (&runner.outcome, runner.blocked_in) {
        (Some(Outcome::Failed { cause }), _) => format!("Failed: {cause}"),
        (Some(Outcome::TimedOut), Some(phase)) => format!("TimedOut in {phase}"),
        (Some(Outcome::Died), Some(phase)) => format!("Died in {phase}"),
        (Some(outcome), _) => outcome.name().into(),
        (None, Some(phase)) => format!("in {phase}"),
        (None, None) if runner.died => "Died".into(),
        (None, None) => "running".into(),
    }
}

pub(super) fn is_good(runner: &TimelineRunner) -> bool {
    !runner.died && matches!(runner.outcome, None | Some(Outcome::Completed))
}

/// How it went, in one line.
pub(super) fn headline(timeline: &Timeline) -> String {
    let how = match timeline.outcome {
        ShutdownOutcome::Running => "shutting down for",
        ShutdownOutcome::Completed => "completed in",
        ShutdownOutcome::Died => "completed by the survivors in",
        ShutdownOutcome::TimedOut => "timed out after",
        ShutdownOutcome::Cancelled => "called off after",
        _ => "ended after",
    };
    format!(
        "{}: {how} {} of {}",
        timeline.segment,
        time(timeline.total),
        super::budget(timeline.budget)
    )
}

/// The rest of what belongs at the top.
pub(super) fn subtitle(timeline: &Timeline) -> String {
    let by = match timeline.reason.pid {
        0 => String::new(),
        pid => format!(", asked by pid {pid}"),
    };
    format!(
        "generation {}, {}, {}{by}",
        timeline.generation, timeline.mode, timeline.reason
    )
}
