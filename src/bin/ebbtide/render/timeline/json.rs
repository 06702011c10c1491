//! A timeline as a document. Field names are a contract with scripts: add, never rename.

use std::time::Duration;

use ebbtide::text::moment::rfc3339;
use ebbtide::{CriticalStep, Outcome, Timeline, TimelineRunner};
use serde_json::{Value, json};

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub fn document(timeline: &Timeline) -> Value {
    let phases = timeline.phases.iter().map(|phase| {
        json!({
            "phase": phase.phase,
            "from_us": micros(phase.from),
            "until_us": phase.until.map(micros),
            "deadline_us": micros(phase.deadline),
            "forced": phase.forced,
        })
    });
    let marks = timeline.marks.iter().map(|mark| {
        json!({
            "at_us": micros(mark.at),
            "runner": mark.runner,
            "kind": mark.kind,
            "text": mark.text,
        })
    });
    json!({
        "segment": timeline.segment,
        "runner": timeline.runner,
        "generation": timeline.generation,
        "outcome": timeline.outcome,
        "mode": timeline.mode,
        "reason": timeline.reason,
        "started_us": micros(timeline.started),
        "began": rfc3339(timeline.began),
        "ended": timeline.ended.map(rfc3339),
        "shortened": timeline.shortened,
        "budget_us": micros(timeline.budget),
        "total_us": micros(timeline.total),
        "phases": phases.collect::<Vec<_>>(),
        "runners": timeline.runners.iter().map(runner).collect::<Vec<_>>(),
        "predecessors": timeline.predecessors,
        "marks": marks.collect::<Vec<_>>(),
        "critical_path": steps(&timeline.critical_path),
        "lost": timeline.lost,
    })
}

fn runner(runner: &TimelineRunner) -> Value {
    let [signaling, draining, closing] = runner.acknowledged.map(|at| at.map(micros));
    let spans = runner.spans.iter().map(|span| {
        json!({
            "kind": span.kind.name(),
            "name": span.name,
            "from_us": micros(span.from),
            "until_us": span.until.map(micros),
            "end": span.end,
        })
    });
    json!({
        "id": runner.id,
        "pid": runner.pid,
        "outcome": runner.outcome.as_ref().map(Outcome::name),
        "blocked_in": runner.blocked_in,
        "late": runner.late,
        "failures": runner.failures,
        "observed_us": runner.observed.map(micros),
        "ack_us": { "signaling": signaling, "draining": draining, "closing": closing },
        "ended_us": runner.ended.map(micros),
        "last_sign_us": runner.last_sign.map(micros),
        "died": runner.died,
        "spans": spans.collect::<Vec<_>>(),
    })
}

/// The steps of a critical path, here and in `why`.
pub fn steps(steps: &[CriticalStep]) -> Vec<Value> {
    let step = |step: &CriticalStep| {
        json!({
            "phase": step.phase,
            "runner": step.runner,
            "doing": step.doing,
            "from_us": micros(step.from),
            "until_us": micros(step.until),
            "waited_for": step.waited_for,
        })
    };
    steps.iter().map(step).collect()
}
