//! The page: a scene and what the person has chosen, drawn into a frame of any size. A
//! function of its arguments and nothing else.

use std::fmt::Write;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use ebbtide::Phase;

use super::bars;
use super::keys::{HELP, Ui};
use super::look::Look;
use super::scene::{Runner, Scene, State};
use super::wrap::wrap;
use crate::render::{count, time};

const HINTS: &str = "q quit  ? help  s/S shut down one/all  e harder  c cancel  x extend";

/// What the keys need to know of the page that the person sees.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drawn {
    /// First line of the body that is shown.
    pub offset: usize,
    /// How many lines of it fit.
    pub height: usize,
}

/// A line of the body; of the runner with this place in the scene, if it is one's row.
struct Row {
    line: Line<'static>,
    of: Option<usize>,
}

impl Row {
    fn new(line: impl Into<Line<'static>>) -> Self {
        Self {
            line: line.into(),
            of: None,
        }
    }
}

pub fn draw(frame: &mut Frame<'_>, scene: &Scene, ui: &Ui, look: Look) -> Drawn {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if width == 0 || height == 0 {
        return Drawn::default();
    }
    let mut foot = foot(ui, look, width);
    // A question is more than anything else; hints are less.
    match ui.question {
        Some(_) => foot.truncate(height),
        None => foot.truncate(height.saturating_sub(2).min(2)),
    }
    let mut head = head(scene, look, width, height);
    head.truncate(height - foot.len());
    let rows = match ui.is_help {
        true => HELP.iter().map(|line| Row::new(*line)).collect(),
        false => body(scene, ui, look, width, height),
    };
    let room = height - head.len() - foot.len();
    let drawn = Drawn {
        offset: offset(&rows, ui, room),
        height: room,
    };
    let (first, below) = (drawn.offset, head.len());
    let shown = rows.into_iter().skip(first).take(room);
    let rest = height - foot.len();
    let foot = foot.into_iter().enumerate();
    let head = head.into_iter().enumerate();
    let body = shown.enumerate().map(|(at, row)| (below + at, row.line));
    for (at, line) in head
        .chain(body)
        .chain(foot.map(|(at, line)| (rest + at, line)))
    {
        // The frame has at most as many lines as a u16 counts.
        let y = area.y.saturating_add(u16::try_from(at).unwrap_or(u16::MAX));
        let place = Rect::new(area.x, y, area.width, 1).intersection(area);
        frame.render_widget(line, place);
    }
    drawn
}

/// The first line of the body to be shown: where it was scrolled to, moved by as little as
/// keeps the chosen runner in sight (unless the person has scrolled away from it).
fn offset(rows: &[Row], ui: &Ui, room: usize) -> usize {
    let last = rows.len().saturating_sub(room);
    let mut offset = ui.offset.min(last);
    let chosen = rows.iter().position(|row| row.of == Some(ui.cursor));
    if let (Some(at), true, false) = (chosen, ui.follows, ui.is_help) {
        offset = offset.min(at).max((at + 1).saturating_sub(room));
        // The blockers are above the first runner.
        if ui.cursor == 0 && at < room {
            offset = 0;
        }
    }
    offset.min(last)
}

fn foot(ui: &Ui, look: Look, width: usize) -> Vec<Line<'static>> {
    let (text, style) = match (&ui.question, &ui.message) {
        (Some(action), _) => (format!("{} [y/N]", action.question()), look.reversed()),
        (None, Some((message, true))) => (message.clone(), look.bad()),
        (None, Some((message, false))) => (message.clone(), look.heading()),
        (None, None) => (HINTS.into(), look.faint()),
    };
    let mut lines = wrap(&text, width, 0);
    if ui.question.is_none() && ui.message.is_none() {
        lines.truncate(1);
    }
    lines
        .into_iter()
        .map(|line| Line::styled(line, style))
        .collect()
}

fn head(scene: &Scene, look: Look, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut lines = vec![title(scene, look, width)];
    if !scene.reason.is_empty() && height >= 8 {
        lines.push(Line::raw(format!("{}, {}", scene.mode, scene.reason)));
    }
    if scene.phase != Phase::Running && height >= 6 && width >= 10 {
        lines.push(bars::phases(scene, look, width));
        if height >= 7 {
            lines.push(bars::legend(scene, look));
        }
    }
    if height >= 12 {
        lines.push(Line::default());
    }
    lines
}

fn title(scene: &Scene, look: Look, width: usize) -> Line<'static> {
    let mut rest = String::new();
    // Writing to a string cannot fail.
    let _ = match scene.phase {
        Phase::Running => Ok(()),
        Phase::Complete => write!(rest, " after {}", time(scene.elapsed)),
        _ => write!(
            rest,
            ", {} of {}",
            time(scene.elapsed),
            time(scene.length())
        ),
    };
    let runners = count(scene.runners.len(), "runner");
    let _ = write!(rest, ", {runners} of generation {}", scene.generation);
    let _ = write!(rest, ", {} attached", scene.attached);
    Line::from(vec![
        // A long name must not hide the phase.
        Span::styled(
            format!("{}: ", cut(&scene.segment, (width / 3).max(1))),
            look.heading(),
        ),
        Span::styled(
            scene.phase.to_string(),
            look.phase(scene.phase).patch(look.heading()),
        ),
        Span::raw(rest),
    ])
}

fn body(scene: &Scene, ui: &Ui, look: Look, width: usize, height: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    if scene.is_on() {
        blockers(scene, look, width, height, &mut rows);
        rows.push(Row::new(""));
    }
    runners(scene, ui, look, width, &mut rows);
    if !scene.resources.is_empty() {
        rows.push(Row::new(""));
        let heading = count(scene.resources.len(), "resource");
        rows.push(Row::new(Line::styled(heading, look.heading())));
        let widest = scene.resources.iter().map(|r| r.name.chars().count());
        let names = widest.max().unwrap_or(0).min(width / 3);
        for one in &scene.resources {
            let style = if one.is_bad { look.bad() } else { Style::new() };
            let line = vec![
                Span::raw(format!("  {}  ", fit(&one.name, names))),
                Span::styled(format!("{:8}", one.state), style),
                Span::raw(format!("  {}", one.note)),
            ];
            rows.push(Row::new(line));
        }
    }
    if !scene.locks.is_empty() {
        rows.push(Row::new(""));
        let heading = format!("{} held or wanted", count(scene.locks.len(), "lock"));
        rows.push(Row::new(Line::styled(heading, look.heading())));
        for lock in &scene.locks {
            let mut text = format!("  {}", lock.name);
            if !lock.held_by.is_empty() {
                let _ = write!(text, "  held by {}", lock.held_by.join(", "));
            }
            let style = match lock.wanted_by.is_empty() {
                true => Style::new(),
                false => look.bad(),
            };
            if !lock.wanted_by.is_empty() {
                let _ = write!(text, "  wanted by {}", lock.wanted_by.join(", "));
            }
            rows.push(Row::new(Line::styled(text, style)));
        }
    }
    rows
}

fn blockers(scene: &Scene, look: Look, width: usize, height: usize, rows: &mut Vec<Row>) {
    if scene.blockers.is_empty() {
        rows.push(Row::new(Line::styled("Nobody blocks", look.good())));
        return;
    }
    if height >= 8 {
        let heading = Line::styled(" Blocked by ", look.bad().patch(look.reversed()));
        rows.push(Row::new(heading));
    }
    // The rows of all runners are below, so a few are enough.
    let most = (height / 4).max(3);
    for blocker in scene.blockers.iter().take(most) {
        for line in wrap(&format!("  {blocker}"), width, 4) {
            rows.push(Row::new(Line::styled(line, look.bad())));
        }
    }
    let more = scene.blockers.len().saturating_sub(most);
    if more > 0 {
        let text = format!("  and {}", count(more, "other"));
        rows.push(Row::new(Line::styled(text, look.bad())));
    }
}

fn runners(scene: &Scene, ui: &Ui, look: Look, width: usize, rows: &mut Vec<Row>) {
    if scene.runners.is_empty() {
        rows.push(Row::new("No runners"));
        return;
    }
    let widest = scene.runners.iter().map(|r| r.id.chars().count());
    let ids = widest.max().unwrap_or(0).min((width / 4).max(6));
    let has_bar = scene.phase != Phase::Running || scene.runners.iter().any(Runner::is_going_alone);
    let bar = match has_bar && width >= 40 {
        true => (width / 3).clamp(8, 80),
        false => 0,
    };
    for (place, runner) in scene.runners.iter().enumerate() {
        let is_chosen = place == ui.cursor;
        let cursor = if is_chosen { look.cursor() } else { ' ' };
        let style = match runner.state {
            State::Completed => look.good(),
            state if state.is_bad() => look.bad(),
            _ => Style::new(),
        };
        let mut spans = vec![
            Span::raw(format!("{cursor} ")),
            Span::styled(fit(&runner.id, ids), style),
            Span::styled(format!(" {:6} ", runner.state.name()), style),
        ];
        if bar > 0 {
            spans.extend(bars::runner(scene, runner, look, bar).spans);
            spans.push(Span::raw(" "));
        }
        spans.push(Span::raw(format!("pid {:<7} {}", runner.pid, runner.note)));
        let line = Line::from(spans);
        rows.push(Row {
            line: match is_chosen {
                true => line.style(look.heading()),
                false => line,
            },
            of: Some(place),
        });
    }
}

/// A text cut or filled up to so many columns.
fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    let used = Span::raw(&fitted).width();
    fitted.push_str(&" ".repeat(columns.saturating_sub(used)));
    fitted
}

/// What of a text is within so many columns.
fn cut(text: &str, columns: usize) -> String {
    let mut kept = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let mut buffer = [0; 4];
        let wide = Span::raw(&*letter.encode_utf8(&mut buffer)).width();
        if used + wide > columns {
            break;
        }
        used += wide;
        kept.push(letter);
    }
    kept
}
