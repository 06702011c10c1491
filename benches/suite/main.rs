//! What ebbtide costs, beside the least that the machine could do it for, and beside what
//! one would otherwise take: all in one run, in turn, with real resident processes.
//!
//! ```text
//! cargo bench --bench suite                      everything, in less than 25 minutes
//! cargo bench --bench suite -- --quick           less of everything, in less than three
//! cargo bench --bench suite -- --test            does it run?
//! cargo bench --bench suite -- broadcast lock    some items (-- --help names them)
//! ```
//! Writes `report.md`, `report.json` and plots; see `docs/performance.md`.
//!
//! The processes are this binary run again. They stay for all rounds and take part in all
//! contenders' rounds, which alternate, so that noise of the machine meets them alike. That
//! is also why no benchmark framework times them: those run one contender after the other.
#![deny(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

mod item;
mod outcome;
mod peer;
mod plan;
mod raw;
mod report;
mod stats;
mod timing;
mod troop;

use std::error::Error;
use std::sync::OnceLock;
use std::time::Instant;

use plan::Plan;
use raw::kernel;

type Fallible<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Fallible {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = troop::Place::parse(&arguments)? {
        return troop::run(&place);
    }
    let Some(plan) = Plan::parse(&arguments)? else {
        return Ok(());
    };
    if plan.lists_only {
        return Ok(());
    }
    kernel::more_descriptors();
    cores();
    report::begin();
    let began = Instant::now();
    let (mut items, mut failed) = (Vec::new(), Vec::new());
    for subject in &plan.subjects {
        let (name, own) = (subject.name(), Instant::now());
        match subject.measure(&plan) {
            Ok(item) => items.push(item),
            Err(why) => {
                eprintln!("{name}: {why}");
                failed.push(format!("{name}: {why}"));
            }
        }
        pin(false)?;
        eprintln!("{name}: {:.1} s", own.elapsed().as_secs_f64());
        // After each, so that what is done is not lost with what fails.
        items = report::write(&plan, items, &failed, began.elapsed())?;
    }
    report::print(&plan)?;
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("not everything was measured: {}", failed.join("; ")).into()),
    }
}

/// The cores that this process could run on when it started.
pub fn cores() -> &'static [usize] {
    static CORES: OnceLock<Vec<usize>> = OnceLock::new();
    CORES.get_or_init(kernel::cores)
}

/// Ties the calling thread to the first core, or frees it.
pub fn pin(pinned: bool) -> Fallible {
    let cores = match pinned {
        true => &cores()[..1],
        false => cores(),
    };
    Ok(kernel::run_on(cores)?)
}
