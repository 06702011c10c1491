//! One runner's row of the picture: its phases, and below them lanes for its handlers and
//! resources.

use std::time::Duration;

use ebbtide::{SpanKind, Timeline, TimelineRunner, TimelineSpan};

use super::svg::{Frame, LINE};
use super::svg_paper::{CHARACTER, Paper, SMALL, fitted, wrapped};
use super::{silence, verdict, works};
use crate::render::time;

/// Of the phases of a row, with what is around them.
const PHASES: f64 = 22.0;
const LANE: f64 = 15.0;
const BAR: f64 = 10.0;
/// Spans that are this narrow are not worth a lane.
const NARROW: f64 = 2.0;
/// Of more runners only what took a twentieth of the whole, or ended badly, is shown.
const MANY: usize = 16;
/// Lanes of one row.
const MOST_LANES: usize = 12;

/// What a row has below its phases.
pub(super) struct Row {
    pub(super) high: f64,
    /// Index of the span, lane, and whether its label is to its left.
    placed: Vec<Placed>,
}

struct Placed {
    span: usize,
    lane: usize,
    label: String,
    label_at: f64,
}

pub(super) fn rows(timeline: &Timeline, frame: &Frame) -> Vec<Row> {
    timeline
        .runners
        .iter()
        .map(|runner| row(timeline, runner, frame))
        .collect()
}

/// Gives each span a lane in which neither it nor its label meets another.
fn row(timeline: &Timeline, runner: &TimelineRunner, frame: &Frame) -> Row {
    let mut lanes: Vec<f64> = Vec::new();
    let mut placed = Vec::new();
    for (index, span) in runner.spans.iter().enumerate() {
        let until = end(timeline, runner, span);
        let (from, to) = (frame.x(span.from), frame.x(until));
        let took = until.saturating_sub(span.from);
        let is_small = match timeline.runners.len() > MANY {
            true => span.kind == SpanKind::Draining || took * 20 < timeline.total,
            false => to - from < NARROW,
        };
        if is_small && span.is_good() {
            continue;
        }
        let text = label(span, until);
        let wide = text.chars().count() as f64 * SMALL;
        let inside = to - from - 8.0;
        // Within its box, else to the right of it, else to the left.
        let (label, label_at, first, last) = if wide <= inside {
            (text, from + 4.0, from, to)
        } else if to + 4.0 + wide <= frame.right {
            (text, to + 4.0, from, to + 4.0 + wide)
        } else if from - 4.0 - wide >= frame.left {
            (text, from - 4.0 - wide, from - 4.0 - wide, to)
        } else {
            (fitted(&text, inside, SMALL), from + 4.0, from, to)
        };
        let free = lanes.iter().position(|end| *end + 4.0 <= first);
        let lane = match free {
            Some(lane) => lane,
            None if lanes.len() < MOST_LANES => {
                lanes.push(0.0);
                lanes.len() - 1
            }
            None => continue,
        };
        lanes[lane] = last;
        placed.push(Placed {
            span: index,
            lane,
            label,
            label_at,
        });
    }
    let spare = if lanes.is_empty() { 0.0 } else { 4.0 };
    let verdict = wrapped(&verdict(runner), frame.beside, CHARACTER);
    let beside = verdict.len() as f64 * LINE + PHASES - LINE;
    Row {
        high: beside.max(PHASES + lanes.len() as f64 * LANE + spare),
        placed,
    }
}

fn end(timeline: &Timeline, runner: &TimelineRunner, span: &TimelineSpan) -> Duration {
    let last = runner.ended.unwrap_or(timeline.total).min(timeline.total);
    span.until.unwrap_or(last)
}

fn label(span: &TimelineSpan, until: Duration) -> String {
    let took = time(until.saturating_sub(span.from));
    let what = match span.kind {
        SpanKind::Handler => span.name.clone(),
        kind => format!("{} {}", kind.name(), span.name),
    };
    match span.end {
        Some(end) if !span.is_good() => format!("{what} {took}, {}", end.to_lowercase()),
        None => format!("{what} {took}, not ended"),
        Some(_) => format!("{what} {took}"),
    }
}

pub(super) fn draw(
    paper: &mut Paper,
    timeline: &Timeline,
    runner: &TimelineRunner,
    row: &Row,
    frame: &Frame,
    y: f64,
) {
    let middle = y + PHASES / 2.0;
    let works = works(timeline, runner);
    if let Some(first) = works.first() {
        let last = match silence(timeline, runner) {
            Some((from, _)) => from,
            None => runner.ended.unwrap_or(timeline.total).min(timeline.total),
        };
        paper.stroke(
            "wait",
            (frame.x(first.from), middle),
            (frame.x(last), middle),
        );
    }
    for work in &works {
        let phase = timeline.phases.iter().find(|one| one.phase == work.phase);
        let over = phase.and_then(|phase| phase.until).unwrap_or(work.until);
        let in_time = work.until.min(over);
        let (from, to) = (frame.x(work.from), frame.x(in_time));
        let title = match work.done {
            Some(done) => format!(
                "{} acknowledged {} after {}",
                runner.id,
                work.phase,
                time(done)
            ),
            None => format!("{} has not acknowledged {}", runner.id, work.phase),
        };
        let top = middle - BAR / 2.0;
        paper.rect(work.phase.name(), from, top, to - from, BAR, &title);
        if over < work.until {
            let late = (frame.x(over), frame.x(work.until));
            paper.rect("late", late.0, top, late.1 - late.0, BAR, &title);
        }
        if let Some(done) = work.done {
            let x = frame.x(done);
            paper.stroke("tick", (x, middle - 7.0), (x, middle + 7.0));
        }
    }
    let marks = timeline.marks.iter();
    for mark in marks.filter(|mark| mark.runner.as_ref() == Some(&runner.id)) {
        if mark.kind != "died" {
            let title = format!("{}: {}", time(mark.at), mark.text);
            paper.diamond(frame.x(mark.at), middle, &title);
        }
    }
    if let Some((from, until)) = silence(timeline, runner) {
        let title = match runner.ended {
            Some(at) => format!("{} was found dead at {}", runner.id, time(at)),
            None => format!("{} is dead; nobody has counted it out", runner.id),
        };
        let (from, to) = (frame.x(from), frame.x(until));
        let top = middle - BAR / 2.0;
        if to > from {
            paper.rect("silent", from, top, to - from, BAR, &title);
        }
        paper.cross(to, middle);
    }
    for place in &row.placed {
        let span = &runner.spans[place.span];
        let until = end(timeline, runner, span);
        let class = match span.kind {
            _ if !span.is_good() => "wrong",
            SpanKind::Handler => "span",
            SpanKind::Draining => "pending",
            _ => "resource",
        };
        let top = y + PHASES - 2.0 + place.lane as f64 * LANE;
        let (from, to) = (frame.x(span.from), frame.x(until));
        let title = label(span, until);
        paper.rect(class, from, top, to - from, LANE - 2.0, &title);
        if !place.label.is_empty() {
            paper.text("small", place.label_at, top + LANE - 5.0, &place.label);
        }
    }
}
