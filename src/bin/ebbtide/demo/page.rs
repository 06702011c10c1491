//! What the demo shows to people.

use std::fmt::Write;
use std::time::Duration;

use super::WORKERS;
use super::round::Round;
use crate::args::Demo;
use crate::render::{budget, count, report, table, time};

/// What is going to happen.
pub fn heading(args: &Demo, segment: &str) -> String {
    let mut text = format!(
        "{} pass items of work round {} threads each; then they are shut down together.\n",
        count(args.runners.into(), "process"),
        WORKERS
    );
    let mut fates = Vec::new();
    for (number, fate) in [
        (args.kill, "killed (SIGKILL)"),
        (args.stop, "frozen (SIGSTOP)"),
        (args.hang, "made to hang"),
    ] {
        if number > 0 {
            fates.push(format!("{number} {fate}"));
        }
    }
    if !fates.is_empty() {
        let _ = writeln!(text, "During the shutdown: {}.", fates.join(", "));
    }
    let _ = writeln!(text, "Segment {segment}, budget {}.", budget(args.timeout));
    let mut lines = text.lines();
    let first = table::heading(lines.next().unwrap_or_default());
    let rest: Vec<&str> = lines.collect();
    format!("{first}\n{}\n", rest.join("\n"))
}

/// What happened in one round.
pub fn round(args: &Demo, number: u16, round: &Round) -> String {
    let mut text = String::from("\n");
    if args.rounds > 1 {
        let title = format!(
            "Round {number} of {}, generation {}",
            args.rounds, round.report.generation
        );
        let _ = writeln!(text, "{}\n", table::heading(&title));
    }
    let _ = writeln!(text, "{}", table::heading("Phases"));
    text.push_str(&report::phases(&round.report));
    let title =
        "Runners: when each observed the shutdown and acknowledged each phase, and its items";
    let _ = writeln!(text, "\n{}", table::heading(title));
    text.push_str(&report::runners(&round.report.runners, &round.extras));
    let title = "Broadcast: from the start until a runner has observed it";
    let _ = writeln!(text, "\n{}", table::heading(title));
    let us = |value: Option<u64>| value.map_or("-".into(), |us| time(Duration::from_micros(us)));
    let spread = round.broadcast;
    let _ = writeln!(
        text,
        "  min {}, median {}, p99 {}, max {}",
        us(spread.min),
        us(spread.p50),
        us(spread.p99),
        us(spread.max)
    );
    text
}

/// Whether all went as it must.
pub fn verdict(args: &Demo, complaints: &[&str]) -> String {
    let casualties = args.kill + args.stop + args.hang;
    if !complaints.is_empty() {
        let lines: Vec<String> = complaints.iter().map(|c| format!("  {c}\n")).collect();
        return format!(
            "\n{}\n{}",
            table::verdict("Not as it must be:", false),
            lines.concat()
        );
    }
    let survivors = usize::from(args.runners - casualties);
    let mut parts = Vec::new();
    parts.push(match (survivors, casualties) {
        (0, _) => "nobody was meant to survive".into(),
        (1, 0) => "the one runner completed".into(),
        (1, _) => "the one survivor completed".into(),
        (_, 0) => format!("all {survivors} runners completed"),
        _ => format!("all {survivors} survivors completed"),
    });
    if args.kill > 0 {
        parts.push("every killed one was reported as died".into());
    }
    if args.stop + args.hang > 0 {
        parts.push("every frozen or hung one was named with its phase".into());
    }
    parts.push(if casualties == 0 {
        "no item was lost".into()
    } else {
        "no survivor lost an item".into()
    });
    parts.push("nothing is left behind".into());
    format!(
        "\n{}\n",
        table::verdict(&format!("All is well: {}.", parts.join(", ")), true)
    )
}
