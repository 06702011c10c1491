//! A timeline as a picture: one file, no scripts, no fonts of its own, readable on light and
//! dark backgrounds.

use std::time::Duration;

use ebbtide::Timeline;

use super::scale::Scale;
use super::svg_paper::{CHARACTER, Paper, SMALL, fitted, wrapped};
use super::svg_rows;
use super::{headline, subtitle, verdict};
use crate::render::{budget, time};

const MARGIN: f64 = 20.0;
/// Of the time axis.
const CHART: f64 = 760.0;
const LONGEST_NAME: f64 = 190.0;
/// Longer verdicts go on in further lines.
const WIDEST_VERDICT: f64 = 250.0;
/// Of the lines of a verdict.
pub(super) const LINE: f64 = 14.0;
/// Between the top and the first row: title, budget, axis, bands.
const TOP: f64 = 150.0;

/// Where things are.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) scale: Scale,
    /// What there is for a line of a verdict.
    pub(super) beside: f64,
}

impl Frame {
    pub(super) fn x(&self, at: Duration) -> f64 {
        self.left + self.scale.at(at)
    }
}

pub fn picture(timeline: &Timeline) -> String {
    let widest = |texts: &mut dyn Iterator<Item = usize>, most: f64| {
        (texts.max().unwrap_or(0) as f64 * CHARACTER).clamp(60.0, most)
    };
    let mut names = timeline.runners.iter().map(|r| r.id.chars().count());
    let mut verdicts = timeline.runners.iter().map(|r| verdict(r).chars().count());
    let names = widest(&mut names, LONGEST_NAME);
    let verdicts = widest(&mut verdicts, WIDEST_VERDICT);
    let used = used(timeline);
    let beside = verdicts.max(used.chars().count() as f64 * SMALL);
    let frame = Frame {
        left: MARGIN + names + 12.0,
        right: MARGIN + names + 12.0 + CHART,
        scale: Scale::new(timeline.total, CHART),
        beside,
    };
    let rows = svg_rows::rows(timeline, &frame);
    let below = TOP + rows.iter().map(|row| row.high).sum::<f64>();
    let mut paper = Paper::default();
    let wide = (frame.right + 12.0 + beside + MARGIN).ceil();
    // What is behind comes first.
    let mut y = TOP;
    for (index, row) in rows.iter().enumerate() {
        if index.is_multiple_of(2) {
            paper.rect("row", 0.0, y, wide, row.high, "");
        }
        y += row.high;
    }
    grid(&mut paper, &frame, below);
    deadlines(&mut paper, timeline, &frame, below);
    head(&mut paper, timeline, &frame, wide);
    paper.text("faint", frame.right + 10.0, 76.0, &used);
    bands(&mut paper, timeline, &frame);
    let mut y = TOP;
    for (row, runner) in rows.iter().zip(&timeline.runners) {
        let name = fitted(&runner.id, names, CHARACTER);
        paper.anchored("", "end", frame.left - 10.0, y + 14.0, &name);
        let class = if super::is_good(runner) {
            "faint"
        } else {
            "bad"
        };
        for (line, text) in wrapped(&verdict(runner), beside, CHARACTER)
            .iter()
            .enumerate()
        {
            let y = y + 14.0 + line as f64 * LINE;
            paper.text(class, frame.right + 10.0, y, text);
        }
        svg_rows::draw(&mut paper, timeline, runner, row, &frame, y);
        y += row.high;
    }
    let high = foot(&mut paper, timeline, &frame, below, wide);
    paper.finish(wide, high, &headline(timeline))
}

/// Title, and how much of the budget it took.
fn head(paper: &mut Paper, timeline: &Timeline, frame: &Frame, wide: f64) {
    paper.text("title", MARGIN, 32.0, &headline(timeline));
    let line = fitted(&subtitle(timeline), wide - 2.0 * MARGIN, SMALL);
    paper.text("faint", MARGIN, 51.0, &line);
    let scale = Scale::new(timeline.budget.max(timeline.total), CHART);
    paper.anchored("faint", "end", frame.left - 10.0, 76.0, "budget");
    paper.rect("whole", frame.left, 66.0, CHART, 12.0, "the whole budget");
    // What is below is that part of it, enlarged.
    let (used, foot) = (frame.left + scale.at(timeline.total), 88.0);
    paper.fan((frame.left, used, 79.0), (frame.left, frame.right, foot));
    for phase in &timeline.phases {
        let until = phase.until.unwrap_or(timeline.total);
        let (from, to) = (scale.at(phase.from), scale.at(until));
        let title = format!(
            "{}: {}",
            phase.phase,
            time(until.saturating_sub(phase.from))
        );
        paper.rect(
            phase.phase.name(),
            frame.left + from,
            66.0,
            to - from,
            12.0,
            &title,
        );
        let deadline = frame.left + scale.at(phase.deadline);
        paper.stroke("deadline", (deadline, 63.0), (deadline, 81.0));
    }
}

/// How much of the budget it took.
fn used(timeline: &Timeline) -> String {
    let share = timeline.total.as_secs_f64() / timeline.budget.as_secs_f64().max(1e-6) * 100.0;
    let used = match share {
        share if share < 0.1 => "under 0.1 %".into(),
        share if share < 10.0 => format!("{share:.1} %"),
        share => format!("{share:.0} %"),
    };
    format!("{} ({used} used)", budget(timeline.budget))
}

/// The phases: named above the rows.
fn bands(paper: &mut Paper, timeline: &Timeline, frame: &Frame) {
    paper.anchored("faint", "end", frame.left - 10.0, 137.0, "phases");
    for phase in &timeline.phases {
        let until = phase.until.unwrap_or(timeline.total);
        let (from, to) = (frame.x(phase.from), frame.x(until));
        let took = time(until.saturating_sub(phase.from));
        let forced = if phase.forced { ", forced" } else { "" };
        let title = format!("{}: {took}{forced}", phase.phase);
        paper.rect(phase.phase.name(), from, 127.0, to - from, 14.0, &title);
        // Above its band: it may be as narrow as it likes there, but not run into the next.
        let name = format!("{} {took}{forced}", phase.phase);
        let next = timeline.phases.iter().find(|one| one.from > phase.from);
        let room = next.map_or(frame.right, |next| frame.x(next.from)) - from;
        let fits = name.chars().count() as f64 * SMALL <= room;
        if fits {
            paper.text("faint", from, 122.0, &name);
        }
    }
}

fn grid(paper: &mut Paper, frame: &Frame, below: f64) {
    for (at, label) in frame.scale.ticks(8) {
        let x = frame.x(at);
        paper.stroke("grid", (x, 104.0), (x, below));
        paper.anchored("faint", "middle", x, 100.0, &label);
    }
}

/// Where phases were over their time, if they lasted that long.
fn deadlines(paper: &mut Paper, timeline: &Timeline, frame: &Frame, below: f64) {
    for phase in timeline
        .phases
        .iter()
        .filter(|phase| phase.deadline <= phase.until.unwrap_or(timeline.total))
    {
        let x = frame.x(phase.deadline);
        paper.stroke("deadline", (x, 124.0), (x, below));
    }
}

/// The legend, and what the time was spent on; answers how high all is.
fn foot(paper: &mut Paper, timeline: &Timeline, frame: &Frame, below: f64, wide: f64) -> f64 {
    let mut y = below + 26.0;
    let mut x = frame.left;
    for (class, text) in [
        ("signaling", "signaling"),
        ("draining", "draining"),
        ("closing", "closing"),
        ("late", "late"),
        ("silent", "no sign of life: it died somewhere here"),
        ("span", "handler"),
        ("resource", "closing a resource"),
        ("pending", "a resource that waits to be closed"),
    ] {
        if class == "silent" && !timeline.runners.iter().any(|runner| runner.died) {
            continue;
        }
        let long = 17.0 + text.chars().count() as f64 * SMALL;
        if x + long > wide - MARGIN {
            (x, y) = (frame.left, y + 17.0);
        }
        paper.rect(class, x, y - 9.0, 12.0, 10.0, "");
        paper.text("faint", x + 17.0, y, text);
        x += long + 18.0;
    }
    if x + 19.0 + 9.0 * SMALL > wide - MARGIN {
        (x, y) = (frame.left, y + 17.0);
    }
    paper.stroke("deadline", (x, y - 4.0), (x + 14.0, y - 4.0));
    paper.text("faint", x + 19.0, y, "deadline");
    x += 19.0 + 9.0 * SMALL + 14.0;
    if timeline.runners.iter().any(|runner| runner.died) {
        if x + 15.0 + 11.0 * SMALL > wide - MARGIN {
            (x, y) = (frame.left, y + 17.0);
        }
        paper.cross(x + 5.0, y - 4.0);
        paper.text("faint", x + 15.0, y, "found dead");
    }
    let room = wide - frame.left - MARGIN;
    let mut lines = Vec::new();
    let mut steps: Vec<_> = timeline.critical_path.iter().collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.took()));
    steps.truncate(5);
    steps.sort_by_key(|step| step.from);
    for step in steps
        .iter()
        .filter(|step| step.took() * 50 >= timeline.total)
    {
        lines.push(format!(
            "{} of {}: {}",
            time(step.took()),
            time(timeline.total),
            step
        ));
    }
    if timeline.lost > 0 {
        lines.push(format!("{} records of the journal are lost", timeline.lost));
    }
    y += 12.0;
    for line in lines {
        y += 17.0;
        paper.text("", frame.left, y, &fitted(&line, room, CHARACTER));
    }
    y + MARGIN
}
