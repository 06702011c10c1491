//! How many instructions the hot paths take, beside a stated budget for each.
//!
//! Counts do not depend on the machine's mood: each operation is run N and 2N times under
//! callgrind, and the difference, less that of an empty loop, is divided by N. They depend
//! on the compiler, so budgets have some room (see `budget.txt`).
//!
//! ```text
//! cargo bench --bench instructions                    counts, and fails over budget
//! cargo bench --bench instructions -- lock-unlock     one operation
//! cargo bench --bench instructions -- --halve         budgets are halved: must fail
//! cargo bench --bench instructions -- --test          does every operation run? (no valgrind)
//! ```
//! Without valgrind it says so and succeeds.

mod budget;
mod operation;

use std::error::Error;
use std::process::{Command, ExitCode};

use budget::Budget;
use operation::Operation;

type Fallible<T = ()> = Result<T, Box<dyn Error>>;

/// The argument by which this binary knows that it is counted.
const ROLE: &str = "counted-operation";

/// The N of N and 2N: so large that what differs between two starts of a process (threads,
/// random names) is below half an instruction per operation.
const TIMES: u64 = 20_000;

fn main() -> Fallible<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name, times] = arguments.as_slice()
        && role == ROLE
    {
        operation::run(Operation::named(name)?, times.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        return Ok(ExitCode::SUCCESS);
    }
    // `cargo bench` passes --bench, `cargo test --benches` does not.
    if has("--test") || !has("--bench") {
        for operation in Operation::ALL {
            operation::run(operation, 3)?;
        }
        println!("{} operations run", Operation::ALL.len());
        return Ok(ExitCode::SUCCESS);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: skipped, as there is no valgrind (apt-get install valgrind)");
        return Ok(ExitCode::SUCCESS);
    }
    let named: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    for name in &named {
        Operation::named(name)?;
    }
    let wanted = |operation: &Operation| {
        named.is_empty() || named.iter().any(|name| *name == operation.name())
    };
    compare(wanted, has("--halve"))
}

fn compare(wanted: impl Fn(&Operation) -> bool, halve: bool) -> Fallible<ExitCode> {
    let budgets = budget::all()?;
    let loop_alone = per_operation(Operation::Nothing)?;
    let mut over = Vec::new();
    println!("| operation | instructions | budget | why that many |");
    println!("|---|---|---|---|");
    for operation in Operation::ALL.into_iter().filter(wanted) {
        if operation == Operation::Nothing {
            continue;
        }
        let name = operation.name();
        let count = (per_operation(operation)? - loop_alone).max(0.0);
        let Some(Budget { most, why, .. }) = budgets.iter().find(|budget| budget.name == name)
        else {
            return Err(format!("{name} has no budget in benches/instructions/budget.txt").into());
        };
        let most = if halve { most / 2 } else { *most };
        println!("| {name} | {count:.0} | {most} | {why} |");
        if count.round() > f64::from(most) {
            over.push(format!(
                "{name}: {count:.0} instructions, of {most} allowed"
            ));
        }
    }
    if over.is_empty() {
        println!("instructions: all within budget");
        return Ok(ExitCode::SUCCESS);
    }
    println!("instructions: over budget:\n{}", over.join("\n"));
    Ok(ExitCode::FAILURE)
}

fn per_operation(operation: Operation) -> Fallible<f64> {
    let (once, twice) = (counted(operation, TIMES)?, counted(operation, 2 * TIMES)?);
    Ok((twice as f64 - once as f64) / TIMES as f64)
}

/// The instructions of a whole process that runs the operation so many times.
fn counted(operation: Operation, times: u64) -> Fallible<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([ROLE, operation.name(), &times.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse().ok());
    match count {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("callgrind of {} failed:\n{text}", operation.name()).into()),
    }
}
