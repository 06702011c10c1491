//! Two processes; one is killed in the middle, the other completes all the same.
//! `cargo run --example two_processes`

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ebbtide::{
    Phase, Runner, Scope, Segment, SegmentOptions, ShutdownCoordinator, ShutdownRequest, Token,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(token), Some(id)) => runner(&token.parse()?, &id),
        _ => supervisor(),
    }
}

/// A runner process: registers, says so, waits to be told, and goes in order.
fn runner(token: &Token, id: &str) -> Result<(), Box<dyn std::error::Error>> {
    let segment = SegmentOptions::new().open_token(token)?;
    let runner = Runner::join(&segment, id)?;
    let stubborn = id == "stubborn";
    runner.register_shutdown_handler(Phase::Draining, 0, "flush", move |_| {
        if stubborn {
            println!("flushing"); // and never done
            loop {
                std::thread::park();
            }
        }
    })?;
    println!("ready");
    runner.wait_for_shutdown(None)?;
    let report = runner.run_shutdown()?;
    println!("{id} sees: {}", report.outcome.name());
    Ok(())
}

fn supervisor() -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("two-processes-{}", std::process::id());
    let segment = Segment::create(&name)?;
    let (mut good, mut good_says) = start(&segment, "good")?;
    let (mut stubborn, mut stubborn_says) = start(&segment, "stubborn")?;
    let coordinator = ShutdownCoordinator::new(&segment);
    coordinator.initiate_shutdown(
        &Scope::All,
        &ShutdownRequest::new().timeout(Duration::from_secs(30)),
    )?;

    expect(&mut stubborn_says, "flushing")?;
    for laggard in coordinator.status()?.laggards {
        println!("waiting for {laggard}");
    }
    println!("killing it");
    stubborn.kill()?;
    let report = coordinator.wait_for_shutdown_complete(&Scope::All, Duration::from_secs(31))?;
    println!("{} in {:?}", report.outcome.name(), report.total);
    for runner in &report.runners {
        println!("  {}: {:?}", runner.id, runner.outcome);
    }

    expect(&mut good_says, "good sees: Died")?;
    good.wait()?;
    stubborn.wait()?;
    drop((coordinator, segment));
    Segment::remove(&name, false)?;
    Ok(())
}

type Says = std::io::Lines<BufReader<std::process::ChildStdout>>;

fn start(segment: &Segment, id: &str) -> Result<(Child, Says), Box<dyn std::error::Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([segment.token().to_string().as_str(), id])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().expect("it is piped");
    let mut says = BufReader::new(output).lines();
    expect(&mut says, "ready")?;
    Ok((child, says))
}

fn expect(says: &mut Says, line: &str) -> Result<(), Box<dyn std::error::Error>> {
    match says.next() {
        Some(Ok(said)) if said == line => Ok(()),
        other => Err(format!("expected {line:?}, got {other:?}").into()),
    }
}
