//! Time lines: the phases against the budget, and each runner against the phases.

use std::time::Duration;

use ratatui::text::{Line, Span};

use ebbtide::Phase;

use super::look::Look;
use super::scene::{Runner, Scene, State};
use crate::render::time;

/// The middle of a cell's stretch of time.
fn middle(cell: usize, width: usize, length: Duration) -> Duration {
    let part = (cell as f64 + 0.5) / width.max(1) as f64;
    length.mul_f64(part)
}

/// The cell an instant is in, if it is within the line.
fn cell_of(after: Duration, width: usize, length: Duration) -> Option<usize> {
    if length.is_zero() || width == 0 {
        return None;
    }
    let cell = after.as_secs_f64() / length.as_secs_f64() * width as f64;
    let cell = cell as usize;
    (cell < width).then_some(cell)
}

/// The phases so far, and what is left of the budget.
pub fn phases(scene: &Scene, look: Look, width: usize) -> Line<'static> {
    let length = scene.length();
    let end = scene.elapsed.saturating_add(scene.phase_remaining);
    let end = cell_of(end, width, length).filter(|_| scene.is_on());
    let cells = (0..width).map(|cell| {
        let at = middle(cell, width, length);
        if at < scene.elapsed {
            let phase = scene.phase_at(at);
            (look.sign(phase), look.phase(phase))
        } else if end == Some(cell) {
            (look.end_of_phase(), look.heading())
        } else {
            (look.ahead(), look.faint())
        }
    });
    join(cells)
}

/// What the line above means, with times.
pub fn legend(scene: &Scene, look: Look) -> Line<'static> {
    let mut spans = Vec::new();
    for phase in Phase::ACKNOWLEDGED {
        let took = scene.phases.iter().find(|(of, _)| *of == phase);
        let mut text = match took {
            Some((_, took)) => format!("{phase} {}", time(*took)),
            None => format!("{phase} -"),
        };
        if phase == scene.phase {
            text.push_str(&match scene.overdue {
                Some(overdue) => format!(", overdue by {}", time(overdue)),
                None => format!(", {} left", time(scene.phase_remaining)),
            });
        }
        let style = match took {
            Some(_) => look.phase(phase),
            None => look.faint(),
        };
        let style = match phase == scene.phase {
            true => style.patch(look.heading()),
            false => style,
        };
        spans.push(Span::styled(
            format!("{} ", look.sign(phase)),
            look.phase(phase),
        ));
        spans.push(Span::styled(text, style));
        spans.push(Span::raw("  "));
    }
    Line::from(spans)
}

/// A runner on the same line: what of each phase it was busy with, and how long it waited.
pub fn runner(scene: &Scene, runner: &Runner, look: Look, width: usize) -> Line<'static> {
    if scene.phase == Phase::Running {
        return steps(runner, look, width);
    }
    let length = scene.length();
    let cells = (0..width).map(|cell| {
        let at = middle(cell, width, length);
        if at >= scene.elapsed {
            return (look.ahead(), look.faint());
        }
        match runner.silent {
            Some((_, until)) if Some(cell) == cell_of(until, width, length) => {
                return (look.found_dead(), look.bad());
            }
            Some((_, until)) if at >= until => return (' ', look.faint()),
            Some((from, _)) if at >= from => return (look.silent(), look.bad()),
            _ => {}
        }
        let phase = scene.phase_at(at);
        let index = Phase::ACKNOWLEDGED.iter().position(|of| *of == phase);
        let done = index.and_then(|index| runner.done[index]);
        match done {
            Some(done) if done <= at => (look.waiting(), look.good()),
            Some(_) => (look.sign(phase), look.phase(phase)),
            None if runner.state.is_bad() => (look.sign(phase), look.bad()),
            // It left before that phase, in order.
            None if runner.state == State::Completed => (look.waiting(), look.good()),
            None => (look.sign(phase), look.phase(phase)),
        }
    });
    join(cells)
}

/// One that is shut down alone has no times here, so: how many of the phases it has behind
/// it. Empty for the others.
fn steps(runner: &Runner, look: Look, width: usize) -> Line<'static> {
    let behind = Phase::ACKNOWLEDGED
        .iter()
        .filter(|phase| **phase < runner.own_phase)
        .count();
    if runner.own_phase == Phase::Running {
        return Line::from(" ".repeat(width));
    }
    let cells = (0..width).map(|cell| {
        let step = cell * Phase::ACKNOWLEDGED.len() / width.max(1);
        let phase = Phase::ACKNOWLEDGED[step.min(2)];
        match step.cmp(&behind) {
            std::cmp::Ordering::Less => (look.waiting(), look.good()),
            std::cmp::Ordering::Equal => (look.sign(phase), look.phase(phase)),
            std::cmp::Ordering::Greater => (look.ahead(), look.faint()),
        }
    });
    join(cells)
}

/// Cells as spans, equal neighbours together.
fn join(cells: impl Iterator<Item = (char, ratatui::style::Style)>) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (sign, style) in cells {
        match spans.last_mut() {
            Some(last) if last.style == style => last.content.to_mut().push(sign),
            _ => spans.push(Span::styled(sign.to_string(), style)),
        }
    }
    Line::from(spans)
}
