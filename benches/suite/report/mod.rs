//! The report: data, text and plots.

mod machine;
mod markdown;
mod plot;
mod summary;

use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::Fallible;
use crate::outcome::Item;
use crate::plan::Plan;
use crate::stats::SHARES;

use machine::Machine;

/// What the numbers do not mean: on top of every report.
const CAVEATS: [&str; 7] = [
    "Absolute times are those of this machine, at that hour, with its other load. Compare \
     contenders of one case; do not compare cases of different reports.",
    "The ratio is the median of the ratios of neighbouring rounds, which noise meets alike; in \
     brackets the 10th and 90th percentile of those ratios. A range that spans 1 says that \
     neither is faster.",
    "Operations of less than about ten microseconds are timed in batches; their p99 is that of \
     batch means and says nothing of the slowest single operation.",
    "The p99 of wake-ups on a shared machine is mostly other people's work.",
    "With more processes than cores most of a broadcast is the scheduler running one after the \
     other: it says little of a machine with a core for each.",
    "The limits know of no deaths, deadlines, reports or names: they say how much the machine \
     takes for the mere wake-ups, not that a usable thing could be that fast.",
    "Nothing here is measured under memory pressure, in real-time classes, across NUMA nodes, \
     or with thousands of waiters.",
];

#[derive(Serialize)]
struct Report {
    machine: Machine,
    effort: &'static str,
    seconds: f64,
    caveats: [&'static str; 7],
    /// At which shares the distributions are given.
    shares: [f64; 12],
    items: Vec<Item>,
}

/// Writes everything, and prints the report.
pub fn write(plan: &Plan, items: Vec<Item>, took: Duration) -> Fallible {
    let report = Report {
        machine: Machine::look(),
        effort: plan.pick("test", "quick", "whole"),
        seconds: took.as_secs_f64(),
        caveats: CAVEATS,
        shares: SHARES,
        items,
    };
    fs::create_dir_all(&plan.out)?;
    let plots = plot::all(&report, &plan.out)?;
    let text = markdown::report(&report, &plots);
    let json = serde_json::to_string_pretty(&report)?;
    fs::write(plan.out.join("report.md"), &text)?;
    fs::write(plan.out.join("summary.md"), summary::table(&report))?;
    fs::write(plan.out.join("report.json"), &json)?;
    println!("{}", if plan.json { &json } else { &text });
    eprintln!("written to {}", plan.out.display());
    Ok(())
}
