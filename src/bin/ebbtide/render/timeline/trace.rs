//! A timeline in the trace event format that Perfetto and `chrome://tracing` read: one
//! process for the group and one for each runner, with a track for its phases and as many
//! for its handlers and resources as ran at once.

use std::time::Duration;

use ebbtide::{Timeline, TimelineRunner};
use serde_json::{Value, json};

use super::json::micros;
use super::{silence, verdict, works};

/// The trace's number of the group.
const GROUP: usize = 1;

pub fn document(timeline: &Timeline) -> Value {
    let mut events = Vec::new();
    let title = match &timeline.runner {
        Some(runner) => format!("{}: {runner} alone", timeline.segment),
        None => timeline.segment.clone(),
    };
    name(&mut events, GROUP, "process_name", 0, &title);
    name(&mut events, GROUP, "thread_name", 1, "phases");
    for phase in &timeline.phases {
        let until = phase.until.unwrap_or(timeline.total);
        let args = json!({
            "deadline_us": micros(phase.deadline),
            "forced": phase.forced,
        });
        let what = (phase.phase.name(), "phase");
        events.push(span(what, (phase.from, until), (GROUP, 1), args));
    }
    for (index, runner) in timeline.runners.iter().enumerate() {
        of_runner(&mut events, timeline, runner, GROUP + 1 + index);
    }
    for mark in &timeline.marks {
        let index = timeline
            .runners
            .iter()
            .position(|runner| Some(&runner.id) == mark.runner.as_ref());
        events.push(json!({
            "name": mark.kind,
            "cat": "mark",
            "ph": "i",
            "s": "p",
            "ts": micros(mark.at),
            "pid": index.map_or(GROUP, |index| GROUP + 1 + index),
            "tid": 1,
            "args": { "text": mark.text },
        }));
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "segment": timeline.segment,
            "generation": timeline.generation.to_string(),
            "outcome": timeline.outcome,
            "started_us": micros(timeline.started).to_string(),
        },
    })
}

fn of_runner(
    events: &mut Vec<Value>,
    timeline: &Timeline,
    runner: &TimelineRunner,
    process: usize,
) {
    let title = format!("{} (pid {}): {}", runner.id, runner.pid, verdict(runner));
    name(events, process, "process_name", 0, &title);
    events.push(json!({
        "name": "process_sort_index",
        "ph": "M",
        "pid": process,
        "tid": 0,
        "args": { "sort_index": process },
    }));
    name(events, process, "thread_name", 1, "phases");
    for work in works(timeline, runner) {
        let args = json!({ "acknowledged": work.done.is_some() });
        let what = (work.phase.name(), "runner");
        events.push(span(what, (work.from, work.until), (process, 1), args));
    }
    if let Some(silent) = silence(timeline, runner).filter(|(from, until)| from < until) {
        let args = json!({ "found_us": runner.ended.map(micros) });
        let what = ("no sign of life", "runner");
        events.push(span(what, silent, (process, 1), args));
    }
    // Events of one track must not overlap: each goes to the first track that is free.
    let mut tracks: Vec<Duration> = Vec::new();
    for one in &runner.spans {
        let until = one.until.or(runner.ended).unwrap_or(timeline.total);
        let free = tracks.iter().position(|end| *end <= one.from);
        let track = free.unwrap_or_else(|| {
            tracks.push(Duration::ZERO);
            let track = tracks.len() - 1;
            let title = format!("work {}", track + 1);
            name(events, process, "thread_name", 2 + track, &title);
            track
        });
        tracks[track] = until.max(one.from);
        let what = format!("{} {}", one.kind.name(), one.name);
        let args = json!({ "end": one.end });
        let place = (process, 2 + track);
        events.push(span(
            (&what, one.kind.name()),
            (one.from, until),
            place,
            args,
        ));
    }
}

fn name(events: &mut Vec<Value>, process: usize, what: &str, track: usize, name: &str) {
    events.push(json!({
        "name": what,
        "ph": "M",
        "pid": process,
        "tid": track,
        "args": { "name": name },
    }));
}

fn span(
    (name, category): (&str, &str),
    (from, until): (Duration, Duration),
    (process, track): (usize, usize),
    args: Value,
) -> Value {
    json!({
        "name": name,
        "cat": category,
        "ph": "X",
        "ts": micros(from),
        "dur": micros(until.saturating_sub(from)),
        "pid": process,
        "tid": track,
        "args": args,
    })
}
