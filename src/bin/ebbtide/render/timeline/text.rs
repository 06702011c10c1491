//! A timeline as bars of characters.

use std::fmt::Write;
use std::time::Duration;

use ebbtide::text::{Style, history};
use ebbtide::{CriticalStep, Phase, Timeline, TimelineRunner, TimelineSpan};

use super::scale::Scale;
use super::{headline, is_good, silence, subtitle, verdict, works};
use crate::output::plain;
use crate::render::{clock, time};

/// Characters of a bar.
const WIDTH: usize = 60;
/// Characters of the longest name shown.
const NAME: usize = 24;
/// Spans shown of a runner: the longest ones, each of at least a twentieth of the whole.
const SPANS: usize = 4;
const WAITING: char = '·';
const LATE: char = '!';
const DEAD: char = 'x';
const SILENT: char = '?';

const fn mark(phase: Phase) -> char {
    match phase {
        Phase::Signaling => '░',
        Phase::Draining => '▒',
        _ => '█',
    }
}

/// A line of cells.
struct Bar {
    cells: Vec<char>,
    scale: Scale,
}

impl Bar {
    fn new(timeline: &Timeline) -> Self {
        Self {
            cells: vec![' '; WIDTH],
            scale: Scale::new(timeline.total, WIDTH as f64),
        }
    }

    fn cell(&self, at: Duration) -> usize {
        (self.scale.at(at) as usize).min(WIDTH - 1)
    }

    /// From one time to another, one cell at least.
    fn fill(&mut self, from: Duration, until: Duration, with: char) {
        let (first, last) = (self.cell(from), self.scale.at(until).ceil() as usize);
        let last = last.clamp(first + 1, WIDTH);
        self.cells[first..last].fill(with);
    }

    fn set(&mut self, at: Duration, with: char) {
        let cell = self.cell(at);
        self.cells[cell] = with;
    }

    fn text(&self) -> String {
        self.cells.iter().collect()
    }
}

pub fn page(timeline: &Timeline, coloured: bool) -> String {
    let paint = |style: Style, text: &str| match coloured {
        true => style.paint(text),
        false => text.into(),
    };
    let names = timeline.runners.iter().map(|runner| width(&runner.id));
    let wide = names.max().unwrap_or(0).clamp("phases".len(), NAME) + 2;
    let mut page = format!(
        "{}\n  {}\n\n",
        paint(Style::Heading, &plain(&headline(timeline))),
        plain(&subtitle(timeline))
    );
    // Writing to a string cannot fail; so also below.
    let _ = writeln!(page, "  {}{}", " ".repeat(wide), axis(timeline).trim_end());
    let _ = writeln!(page, "  {:wide$}{}", "phases", phases(timeline).trim_end());
    for runner in &timeline.runners {
        let style = if is_good(runner) {
            Style::Plain
        } else {
            Style::Bad
        };
        let bar = bar_of(timeline, runner);
        let verdict = plain(&verdict(runner));
        let _ = writeln!(
            page,
            "  {}{bar} {}",
            padded(&plain(&runner.id), wide),
            paint(style, &verdict)
        );
        for failure in &runner.failures {
            let line = format!("  {}! {}", " ".repeat(wide), plain(&failure.to_string()));
            let _ = writeln!(page, "{}", paint(Style::Bad, &line));
        }
        for span in notable(timeline, runner) {
            let until = span.until.or(runner.ended).unwrap_or(timeline.total);
            let mut bar = Bar::new(timeline);
            bar.fill(span.from, until, '─');
            let end = match span.end {
                Some(end) => end.to_lowercase(),
                None => "not ended".into(),
            };
            let about = format!(
                "{} {}, {} ({end})",
                span.kind.name(),
                plain(&span.name),
                time(until.saturating_sub(span.from))
            );
            let style = if span.is_good() {
                Style::Faint
            } else {
                Style::Bad
            };
            let line = format!("  {}{} {about}", " ".repeat(wide), bar.text());
            let _ = writeln!(page, "{}", paint(style, &line));
        }
    }
    let mut legend = format!(
        "{} signaling  {} draining  {} closing  {WAITING} done, others are not  {LATE} late",
        mark(Phase::Signaling),
        mark(Phase::Draining),
        mark(Phase::Closing)
    );
    if timeline.runners.iter().any(|runner| runner.died) {
        let _ = write!(
            legend,
            "\n  {SILENT} no sign of life: it died somewhere here  {DEAD} found dead"
        );
    }
    let _ = writeln!(page, "\n  {}", paint(Style::Faint, &legend));
    let marks: Vec<_> = timeline.marks.iter().collect();
    if !marks.is_empty() {
        let _ = writeln!(page, "\n{}", paint(Style::Heading, "Besides"));
        for mark in marks {
            let who = mark.runner.as_deref().unwrap_or("the group");
            let _ = writeln!(
                page,
                "  {:>8}  {} {}",
                time(mark.at),
                plain(who),
                plain(&mark.text)
            );
        }
    }
    page.push_str(&history::section(&timeline.predecessors, clock::local));
    page.push_str(&spent(timeline, &paint));
    if timeline.lost > 0 {
        let _ = writeln!(
            page,
            "\nThe journal has lost {} records; handlers and resources may be missing.",
            timeline.lost
        );
    }
    page
}

/// Times above the bars.
fn axis(timeline: &Timeline) -> String {
    let scale = Scale::new(timeline.total, WIDTH as f64);
    let mut line: Vec<char> = vec![' '; WIDTH + 12];
    let mut free = 0;
    for (at, label) in scale.ticks(5) {
        let place = (scale.at(at) as usize).min(WIDTH - 1);
        if place < free {
            continue;
        }
        for (cell, c) in line[place..].iter_mut().zip(label.chars()) {
            *cell = c;
        }
        free = place + label.chars().count() + 1;
    }
    line.iter().collect()
}

fn phases(timeline: &Timeline) -> String {
    let mut bar = Bar::new(timeline);
    for phase in &timeline.phases {
        let until = phase.until.unwrap_or(timeline.total);
        bar.fill(phase.from, until, mark(phase.phase));
    }
    bar.text()
}

fn bar_of(timeline: &Timeline, runner: &TimelineRunner) -> String {
    let mut bar = Bar::new(timeline);
    let works = works(timeline, runner);
    if let Some(first) = works.first() {
        let end = runner.ended.unwrap_or(timeline.total);
        bar.fill(first.from, end.min(timeline.total), WAITING);
    }
    for work in works {
        bar.fill(work.from, work.until, mark(work.phase));
        let phase = timeline.phases.iter().find(|one| one.phase == work.phase);
        let over = phase.and_then(|phase| phase.until);
        if let Some(over) = over.filter(|over| *over < work.until) {
            bar.fill(over, work.until, LATE);
        }
    }
    if let Some((from, until)) = silence(timeline, runner) {
        if from < until {
            bar.fill(from, until, SILENT);
        }
        bar.set(until, DEAD);
    }
    bar.text()
}

/// Those that took long, or ended badly.
fn notable<'t>(timeline: &Timeline, runner: &'t TimelineRunner) -> Vec<&'t TimelineSpan> {
    let took = |span: &TimelineSpan| {
        let until = span.until.or(runner.ended).unwrap_or(timeline.total);
        until.saturating_sub(span.from)
    };
    let mut spans: Vec<_> = runner
        .spans
        .iter()
        .filter(|span| took(span) * 20 >= timeline.total || !span.is_good())
        .collect();
    spans.sort_by_key(|span| std::cmp::Reverse(took(span)));
    spans.truncate(SPANS);
    spans.sort_by_key(|span| span.from);
    spans
}

fn spent(timeline: &Timeline, paint: &impl Fn(Style, &str) -> String) -> String {
    let worth = |step: &&CriticalStep| step.took() * 50 >= timeline.total;
    let steps: Vec<_> = timeline.critical_path.iter().filter(worth).collect();
    if steps.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n{}\n",
        paint(Style::Heading, "What the time was spent on")
    );
    for step in steps {
        let _ = writeln!(
            text,
            "  {:>8}  {}: {}",
            time(step.took()),
            step.phase,
            plain(&step.to_string())
        );
    }
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Cut or filled to a width.
fn padded(text: &str, wide: usize) -> String {
    let mut shown: String = text.chars().take(NAME).collect();
    if width(text) > NAME {
        shown.pop();
        shown.push('…');
    }
    format!("{shown:wide$}")
}
