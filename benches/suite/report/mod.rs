//! The report: data, text and plots.

mod machine;
mod markdown;
mod plot;
mod summary;

use std::fs;
use std::sync::OnceLock;
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

const TEXT: &str = "report.md";
const DATA: &str = "report.json";

/// As it was when it was first looked at.
static MACHINE: OnceLock<Machine> = OnceLock::new();

/// Looks at the machine, before it is busy with the benchmarks.
pub fn begin() {
    MACHINE.get_or_init(Machine::look);
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    effort: &'static str,
    seconds: f64,
    caveats: [&'static str; 7],
    /// At which shares the distributions are given.
    shares: [f64; 12],
    /// What could not be measured at all, and why.
    failed: Vec<String>,
    items: Vec<Item>,
}

/// Writes everything that there is so far; gives the items back.
pub fn write(
    plan: &Plan,
    items: Vec<Item>,
    failed: &[String],
    took: Duration,
) -> Fallible<Vec<Item>> {
    let report = Report {
        machine: MACHINE.get_or_init(Machine::look).clone(),
        effort: plan.pick("test", "quick", "whole"),
        seconds: took.as_secs_f64(),
        caveats: CAVEATS,
        shares: SHARES,
        failed: failed.to_vec(),
        items,
    };
    fs::create_dir_all(&plan.out)?;
    let plots = plot::all(&report, &plan.out).unwrap_or_else(|why| {
        eprintln!("no plots: {why}");
        Vec::new()
    });
    let json = serde_json::to_string_pretty(&report)?;
    fs::write(plan.out.join(TEXT), markdown::report(&report, &plots))?;
    fs::write(plan.out.join("summary.md"), summary::table(&report))?;
    fs::write(plan.out.join(DATA), json)?;
    Ok(report.items)
}

/// Prints what was written last.
pub fn print(plan: &Plan) -> Fallible {
    let file = if plan.json { DATA } else { TEXT };
    println!("{}", fs::read_to_string(plan.out.join(file))?);
    eprintln!("written to {}", plan.out.display());
    Ok(())
}
