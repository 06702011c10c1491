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

use super::{clock, time};

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
    // One that died is known to have worked until its last sign of life, and no longer.
    let gone = match silence(timeline, runner) {
        Some((from, _)) => from,
        None => runner.ended.unwrap_or(timeline.total),
    };
    for (phase, done) in timeline.phases.iter().zip(runner.acknowledged) {
        let until = done.unwrap_or(gone).min(timeline.total);
        // The next phase's work begins when that is published and this one's is done.
        let from = phase.from.max(free);
        free = until;
        if from < until || from == until && done.is_some() {
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

/// From the last sign of life of one that died to when it was found dead, or to now if
/// nobody has counted it out: it died in between, and nobody knows when.
pub(super) fn silence(
    timeline: &Timeline,
    runner: &TimelineRunner,
) -> Option<(Duration, Duration)> {
    let until = runner.ended.unwrap_or(timeline.total).min(timeline.total);
    let from = runner.last_sign.unwrap_or_default().min(until);
    runner.died.then_some((from, until))
}

/// In a word or two.
pub(super) fn verdict(runner: &TimelineRunner) -> String {
    let verdict = how(runner);
    match (runner.died, runner.ended) {
        (false, _) => verdict,
        (true, None) => format!("{verdict}, not counted out"),
        // It was found before anything began.
        (true, Some(Duration::ZERO)) => "Died before it began".into(),
        (true, Some(at)) => format!("{verdict}, found at {}", time(at)),
    }
}

fn how(runner: &TimelineRunner) -> String {
    match (&runner.outcome, runner.blocked_in) {
        (Some(Outcome::Failed { cause }), _) => format!("Failed: {cause}"),
        (Some(Outcome::TimedOut), Some(phase)) => format!("TimedOut in {phase}"),
        (Some(Outcome::Died), Some(phase)) => format!("Died in {phase}"),
        (Some(outcome), _) => match runner.late {
            Some(phase) => format!("{}, late in {phase}", outcome.name()),
            None => outcome.name().into(),
        },
        (None, Some(phase)) if runner.died => format!("dead in {phase}"),
        (None, None) if runner.died => "dead".into(),
        (None, Some(phase)) => format!("in {phase}"),
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
        ShutdownOutcome::CompletedWithFailures => "completed with failures in",
        ShutdownOutcome::Abandoned => "abandoned by somebody, ended in",
        ShutdownOutcome::Died => "completed by the survivors in",
        ShutdownOutcome::TimedOut => "timed out after",
        ShutdownOutcome::Cancelled => "called off after",
        _ => "ended after",
    };
    let alone = match &timeline.runner {
        Some(runner) => format!(", {runner} alone"),
        None => String::new(),
    };
    format!(
        "{}{alone}: {how} {} of {}",
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
    // No age: a picture is kept.
    let ended = timeline.ended.map(clock::local);
    let ended = ended.map_or(String::new(), |ended| format!(", ended {ended}"));
    let began = clock::local(timeline.began);
    let by = match &timeline.shortened {
        Some(shortened) => format!("{by}, {shortened}"),
        None => by,
    };
    format!(
        "generation {}, {}, {}{by}, began {began}{ended}",
        timeline.generation, timeline.mode, timeline.reason
    )
}
