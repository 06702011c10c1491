//! The report as text that can be quoted.

use std::fmt::Write;

use crate::outcome::{Aim, Case, Contender, Item, Role, Target, Unit};
use crate::stats::Ratio;

use super::Report;
use super::plot::Plot;
use super::summary;

pub fn report(report: &Report, plots: &[Plot]) -> String {
    let mut text = String::from("# ebbtide, measured\n\n");
    let _ = writeln!(text, "{}", report.machine.line());
    let _ = writeln!(text, "\n{} run of {:.0} s.", report.effort, report.seconds);
    text.push_str("\n## What the numbers do not mean\n\n");
    for caveat in report.caveats {
        let _ = writeln!(text, "- {caveat}");
    }
    for failed in &report.failed {
        let _ = writeln!(text, "\n**Failed**: {failed}.");
    }
    text.push_str("\n## Summary\n\n");
    text.push_str(&summary::table(report));
    for item in &report.items {
        section(&mut text, item, plots);
    }
    text
}

fn section(text: &mut String, item: &Item, plots: &[Plot]) {
    let _ = writeln!(text, "\n## {}\n\n{}", item.title, item.about);
    for missing in &item.missing {
        let _ = writeln!(text, "\nNot measured: {missing}.");
    }
    for plot in plots.iter().filter(|plot| plot.item == item.name) {
        let _ = writeln!(text, "\n![{}]({})", plot.title, plot.file);
    }
    for case in &item.cases {
        table(text, case);
    }
}

fn table(text: &mut String, case: &Case) {
    let pinned = if case.pinned { "pinned" } else { "not pinned" };
    let unit = match case.unit {
        Unit::Nanoseconds => "",
        Unit::PerSecond => ", per second: more is better",
        Unit::Bytes => ", bytes",
        Unit::Fairness => ", a share to an equal share: 1 is fair",
        Unit::Count => ", number",
    };
    let _ = writeln!(text, "\n### {} ({pinned}{unit})\n", case.label);
    if case.unit == Unit::Bytes {
        text.push_str("| what | bytes |\n|---|---|\n");
        for one in &case.contenders {
            let _ = writeln!(text, "| {} | {:.0} |", one.name, one.summary.median);
        }
        return;
    }
    let base = match case.first(Role::Limit) {
        Some(limit) => limit.name.as_str(),
        None => "ours",
    };
    let _ = writeln!(
        text,
        "| contender | | rounds | median | p99 | min | to {base} | ours to this |"
    );
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for one in &case.contenders {
        row(text, case.unit, one);
    }
    if let (Some(target), Some(verdict)) = (&case.target, case.verdict()) {
        let _ = writeln!(
            text,
            "\nAim: {}. {}: {}{}.",
            aim(case.unit, target),
            if verdict.is_met { "Met" } else { "Missed" },
            match target.of {
                Aim::Absolute => value(case.unit, verdict.value),
                _ => format!("{:.2}", verdict.value),
            },
            match verdict.behind.as_slice() {
                [] => String::new(),
                behind => format!("; ahead of ours: {}", behind.join(", ")),
            }
        );
    }
}

fn row(text: &mut String, unit: Unit, one: &Contender) {
    let role = match one.role {
        Role::Ours => "**ours**",
        Role::Limit => "limit",
        Role::Peer => "peer",
        Role::Aside => "",
    };
    let [median, p99, min] =
        [one.summary.median, one.summary.p99, one.summary.min].map(|number| value(unit, number));
    let _ = writeln!(
        text,
        "| {} | {role} | {} | {median} | {p99} | {min} | {} | {} |",
        one.name,
        one.summary.rounds,
        ratio(one.to_limit.as_ref()),
        ratio(one.ours_to_this.as_ref()),
    );
}

pub fn aim(unit: Unit, target: &Target) -> String {
    let most = target.most;
    let first = match &target.of {
        _ if most.is_infinite() => return "ahead of every peer".into(),
        Aim::Limit => format!("at most {most} times the limit"),
        Aim::Named(name) => format!("at most {most} times {name}"),
        Aim::BestPeer => format!("within {most} times of the best peer"),
        Aim::Absolute => format!("at most {}", value(unit, most)),
    };
    match target.ahead {
        true => format!("{first}, ahead of every peer"),
        false => first,
    }
}

fn ratio(ratio: Option<&Ratio>) -> String {
    match ratio {
        Some(Ratio { median, p10, p90 }) => format!("{median:.2} ({p10:.2}–{p90:.2})"),
        None => "–".into(),
    }
}

/// A number with its unit, three digits or so.
pub fn value(unit: Unit, number: f64) -> String {
    match unit {
        Unit::Nanoseconds => match number {
            ..1e3 => format!("{} ns", digits(number)),
            1e3..1e6 => format!("{} µs", digits(number / 1e3)),
            1e6..1e9 => format!("{} ms", digits(number / 1e6)),
            _ => format!("{} s", digits(number / 1e9)),
        },
        Unit::PerSecond => match number {
            ..1e6 => format!("{} k", digits(number / 1e3)),
            _ => format!("{} M", digits(number / 1e6)),
        },
        Unit::Bytes => format!("{number:.0} B"),
        Unit::Fairness => format!("{number:.2}"),
        Unit::Count => format!("{number:.0}"),
    }
}

fn digits(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}
