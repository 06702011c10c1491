//! What a shutdown costs, beside the least that the kernel could do it for.
//!
//! - `check`: one look at whether a shutdown is on, beside an acquire load and raw_sync's event.
//! - `broadcast`: initiate → the last of N processes has seen it, beside one futex word.
//! - `full`: the whole shutdown of N idle runners, beside three raw barrier rounds.
//!
//! ```text
//! cargo bench --bench shutdown                      all, about a minute
//! cargo bench --bench shutdown -- --quick           all, about ten seconds
//! cargo bench --bench shutdown -- broadcast         one part: check, broadcast or full
//! cargo bench --bench shutdown -- --test            does it run?
//! EBBTIDE_BENCH_N=8,32 EBBTIDE_BENCH_ROUNDS=100     other sizes, other number of rounds
//! ```
//!
//! The N processes are this binary run again. They stay for all rounds and take part in
//! both contenders' rounds, which alternate, so that noise of the machine meets both.
#![deny(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

#[path = "shutdown/check.rs"]
mod check;
#[path = "shutdown/futex.rs"]
mod futex;
#[path = "shutdown/page.rs"]
mod page;
#[path = "shutdown/plan.rs"]
mod plan;
#[path = "shutdown/resident.rs"]
mod resident;
#[path = "shutdown/rounds.rs"]
mod rounds;
#[path = "shutdown/stats.rs"]
mod stats;
#[path = "shutdown/troop.rs"]
mod troop;

use std::error::Error;

use plan::Plan;

type Fallible<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Fallible {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = resident::Place::parse(&arguments)? {
        return resident::run(&place);
    }
    let plan = Plan::parse(&arguments)?;
    if plan.wants("check") {
        check::run()?;
    }
    if plan.lists_only {
        return Ok(());
    }
    if plan.wants("broadcast") {
        rounds::broadcast(&plan)?;
    }
    if plan.wants("full") {
        rounds::full(&plan)?;
    }
    Ok(())
}
