//! Plots: how a case's contenders are distributed, and what N costs.

use std::path::Path;

use plotters::prelude::*;

use crate::Fallible;
use crate::outcome::{Case, Item, Role};
use crate::stats::SHARES;

use super::Report;

/// One that was drawn.
pub struct Plot {
    pub item: &'static str,
    pub title: String,
    /// In the report's folder.
    pub file: String,
}

/// A line with its name.
struct Line {
    name: String,
    role: Role,
    points: Vec<(f64, f64)>,
}

pub fn all(report: &Report, out: &Path) -> Fallible<Vec<Plot>> {
    let facts = format!(
        "{} cores, {}, {}, commit {}",
        report.machine.cores, report.machine.kernel, report.machine.date, report.machine.commit
    );
    let mut plots = Vec::new();
    for item in &report.items {
        for pinned in [true, false] {
            let tied = if pinned { "pinned" } else { "free" };
            let of_kind = |case: &&Case| case.pinned == pinned && case.unit.is_time();
            let cases: Vec<&Case> = item.cases.iter().filter(of_kind).collect();
            if let Some(chart) = by_size(item, &cases) {
                let plot = Plot {
                    item: item.name,
                    title: format!("{}: cost against N, {tied}", item.name),
                    file: format!("{}-{tied}-size.svg", item.name),
                };
                chart.draw(&plot, &facts, out)?;
                plots.push(plot);
            }
            if let Some(case) = cases.first() {
                let plot = Plot {
                    item: item.name,
                    title: format!("{}, {}: distribution, {tied}", item.name, case.label),
                    file: format!("{}-{tied}-distribution.svg", item.name),
                };
                distribution(case).draw(&plot, &facts, out)?;
                plots.push(plot);
            }
        }
    }
    Ok(plots)
}

struct Chart {
    x: &'static str,
    is_logarithmic: bool,
    lines: Vec<Line>,
}

/// Medians against the number of processes, of the first case of each number.
fn by_size(item: &Item, cases: &[&Case]) -> Option<Chart> {
    let mut lines: Vec<Line> = Vec::new();
    let mut seen = Vec::new();
    for case in cases {
        let Some(size) = case.size.filter(|size| !seen.contains(size)) else {
            continue;
        };
        seen.push(size);
        for one in &case.contenders {
            let point = (size as f64, one.summary.median / 1e3);
            match lines.iter_mut().find(|line| line.name == one.name) {
                Some(line) => line.points.push(point),
                None => lines.push(Line {
                    name: one.name.clone(),
                    role: one.role,
                    points: vec![point],
                }),
            }
        }
    }
    let _ = item;
    (seen.len() > 1).then_some(Chart {
        x: "N, number of processes (logarithmic)",
        is_logarithmic: true,
        lines,
    })
}

fn distribution(case: &Case) -> Chart {
    let lines = case.contenders.iter().map(|one| Line {
        name: one.name.clone(),
        role: one.role,
        points: SHARES
            .iter()
            .zip(&one.distribution)
            .map(|(share, value)| (share * 100.0, value / 1e3))
            .collect(),
    });
    Chart {
        x: "share of the rounds that took at most so long, in per cent",
        is_logarithmic: false,
        lines: lines.collect(),
    }
}

impl Chart {
    fn draw(&self, plot: &Plot, facts: &str, out: &Path) -> Fallible {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let range = |of: fn(&(f64, f64)) -> f64| {
            let values = || points().map(of).filter(|value| *value > 0.0);
            let least = values().fold(f64::INFINITY, f64::min);
            let most = values().fold(0.0, f64::max);
            (least, most)
        };
        let ((left, right), (bottom, top)) = (range(|point| point.0), range(|point| point.1));
        if !(left < right && bottom <= top) {
            return Ok(());
        }
        let y = (bottom * 0.8..top * 1.5).log_scale();
        let path = out.join(&plot.file);
        let root = SVGBackend::new(&path, (960, 540)).into_drawing_area();
        root.fill(&WHITE)?;
        let titled = root.titled(&plot.title, ("sans-serif", 18))?;
        let titled = titled.titled(facts, ("sans-serif", 11))?;
        let mut builder = ChartBuilder::on(&titled);
        builder
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(84);
        macro_rules! chart {
            ($x:expr) => {{
                let mut chart = builder.build_cartesian_2d($x, y)?;
                chart
                    .configure_mesh()
                    .x_desc(self.x)
                    .y_desc("microseconds (logarithmic)")
                    .light_line_style(WHITE.mix(0.0))
                    .x_label_formatter(&|x| format!("{x:.0}"))
                    .y_label_formatter(&|y| label(*y))
                    .draw()?;
                for (place, line) in self.lines.iter().enumerate() {
                    let style = style(line.role, place);
                    chart
                        .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                        .label(line.name.clone())
                        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
                }
                chart
                    .configure_series_labels()
                    .position(SeriesLabelPosition::UpperLeft)
                    .background_style(WHITE.mix(0.8))
                    .border_style(BLACK.mix(0.3))
                    .draw()?;
            }};
        }
        if self.is_logarithmic {
            chart!((left..right).log_scale());
        } else {
            chart!(0.0..100.0);
        }
        titled.present()?;
        Ok(())
    }
}

fn label(micros: f64) -> String {
    match micros {
        ..1.0 => format!("{micros:.3}"),
        _ => format!("{micros:.0}"),
    }
}

fn style(role: Role, place: usize) -> ShapeStyle {
    match role {
        Role::Ours => RED.stroke_width(3),
        Role::Limit => BLACK.stroke_width(3),
        _ => Palette99::pick(place).stroke_width(1),
    }
}
