//! Series of measurements, and the table of them (Markdown, so that it can be quoted).

/// Nanoseconds of one contender, round by round.
#[derive(Default)]
pub struct Series(Vec<u64>);

impl Series {
    pub fn push(&mut self, nanos: u64) {
        self.0.push(nanos);
    }

    /// `median / 99 % / least` in microseconds.
    fn cell(&self) -> String {
        let mut sorted: Vec<f64> = self.0.iter().map(|nanos| *nanos as f64 / 1_000.0).collect();
        sorted.sort_by(f64::total_cmp);
        let [median, p99, least] = [0.5, 0.99, 0.0].map(|share| at(&sorted, share));
        format!("{median:.0} / {p99:.0} / {least:.0}")
    }

    /// `median (first quartile–third)` of the ratios to another contender's rounds.
    fn ratio_to(&self, base: &Self) -> String {
        let pairs = self.0.iter().zip(&base.0);
        let mut ratios: Vec<f64> = pairs
            .map(|(ours, base)| *ours as f64 / (*base).max(1) as f64)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let [median, first, third] = [0.5, 0.25, 0.75].map(|share| at(&ratios, share));
        format!("{median:.2} ({first:.2}–{third:.2})")
    }
}

/// The value below which a share of all lies (nearest rank).
fn at(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted
        .get(rank.round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

/// One row per size and thing measured; the first contender is the base of the ratios.
pub struct Table {
    title: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &'static str, contenders: &[&str]) -> Self {
        let mut head = vec!["N".into(), "until".into(), "rounds".into()];
        head.extend(
            contenders
                .iter()
                .map(|name| format!("{name}: median / p99 / min")),
        );
        let (base, others) = contenders.split_first().expect("there is a base");
        head.extend(others.iter().map(|name| format!("{name} : {base}")));
        Self {
            title,
            rows: vec![head],
        }
    }

    pub fn row(&mut self, size: usize, until: &str, series: &[Series]) {
        let Some((base, others)) = series.split_first() else {
            return;
        };
        let until = if until.is_empty() {
            "all have seen it"
        } else {
            until
        };
        let mut row = vec![size.to_string(), until.into(), base.0.len().to_string()];
        row.extend(series.iter().map(Series::cell));
        row.extend(others.iter().map(|other| other.ratio_to(base)));
        self.rows.push(row);
    }

    pub fn print(&self, note: &str) {
        println!("\n### {}\n", self.title);
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths);
            let cells: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            println!("| {} |", cells.join(" | "));
            if index == 0 {
                let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
                println!("| {} |", rules.join(" | "));
            }
        }
        println!("\n{note}\n");
    }
}
