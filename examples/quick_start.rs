//! One process with two runners, shut down in order. `cargo run --example quick_start`

use std::sync::Arc;
use std::time::Duration;

use ebbtide::{Phase, ReasonCode, Runner, Scope, Segment, ShutdownCoordinator, ShutdownRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("quick-start-{}", std::process::id());
    let segment = Segment::create(&name)?;

    let mut workers = Vec::new();
    for id in ["runner-1", "runner-2"] {
        let runner = Arc::new(Runner::join_or_begin(&segment, id, Duration::from_secs(5))?);
        runner.register_shutdown_handler(Phase::Closing, 0, "close-cache", move |_| {
            println!("{id}: cache closed");
        })?;
        workers.push(std::thread::spawn(move || {
            while let Ok(item) = runner.begin() {
                std::thread::sleep(Duration::from_millis(5)); // the work
                drop(item);
                if runner.is_shutting_down() {
                    break;
                }
            }
            runner.set_last_words("all work done")?;
            runner.run_shutdown()
        }));
    }

    let coordinator = ShutdownCoordinator::new(&segment);
    let request = ShutdownRequest::new()
        .timeout(Duration::from_secs(5))
        .reason(ReasonCode::Idle, "the example is over");
    coordinator.initiate_shutdown(&Scope::All, &request)?;
    let report = coordinator.wait_for_shutdown_complete(&Scope::All, Duration::from_secs(6))?;

    println!("{} in {:?}", report.outcome.name(), report.total);
    for runner in &report.runners {
        println!(
            "  {}: {:?}, {:?}",
            runner.id, runner.outcome, runner.last_words
        );
    }
    for worker in workers {
        worker.join().expect("the worker does not panic")?;
    }
    drop((coordinator, segment));
    Segment::remove(&name, false)?;
    Ok(())
}
