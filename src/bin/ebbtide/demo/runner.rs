//! One process of the demo.

use std::io::Read;
use std::sync::Arc;
use std::thread;

use ebbtide::{
    CoordinationError, Phase, Runner, Segment, SegmentOptions, ShutdownOutcome, SignalPolicy, Token,
};

use super::work::{self, Tally};
use crate::args::DemoRunner;
use crate::exit::{Code, Failure};
use crate::output;

/// What this process tells its supervisor once it works.
pub const READY: &str = "ready\n";

pub fn run(options: &SegmentOptions, args: &DemoRunner) -> Result<Code, Failure> {
    thread::spawn(end_with_the_supervisor);
    let segment = open(options, &args.segment)?;
    let runner = Arc::new(Runner::join(&segment, &args.runner)?);
    // Ctrl-C goes to the whole process group; the supervisor answers it for all.
    SignalPolicy::for_runner(&runner)
        .ignore_interrupt()
        .install()?;
    let tally = Arc::new(Tally::default());
    {
        // Had Draining been acknowledged too early, these counts would differ.
        let (tally, of) = (Arc::clone(&tally), Arc::downgrade(&runner));
        runner.register_shutdown_handler(Phase::Closing, 0, "tell the tally", move |_| {
            if let Some(runner) = of.upgrade() {
                tally.publish(&runner);
            }
        })?;
    }
    let held = args.hold.then(|| runner.begin()).transpose()?;
    if held.is_some() {
        tally.begin();
        runner.set_activity("an item that never ends");
    }
    let seed = super::random()?;
    thread::scope(|scope| {
        let first_done = work::start(scope, &runner, &tally, args.workers, seed);
        let result = serve(&runner, args, || {
            // An error: a shutdown came before the first item was done.
            let _ = first_done.recv();
        });
        // So that the workers end, also after an error.
        runner.leave();
        result
    })?;
    Ok(Code::Done)
}

fn open(options: &SegmentOptions, token: &str) -> Result<Segment, Failure> {
    Ok(options.open_token(&token.parse::<Token>()?)?)
}

fn serve(runner: &Runner, args: &DemoRunner, wait_for_work: impl FnOnce()) -> Result<(), Failure> {
    wait_for_work();
    output::emit(READY)?;
    loop {
        runner.wait_for_shutdown(None)?;
        if args.hang {
            // Hears of it, and then is never seen to do anything again.
            runner.acknowledge(Phase::Signaling)?;
            loop {
                thread::park();
            }
        }
        match runner.run_shutdown() {
            Ok(report) if report.outcome == ShutdownOutcome::Cancelled => {}
            // Called off between two lines.
            Err(CoordinationError::NotShuttingDown) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// The supervisor holds the other end of standard input, and says nothing: an end of it
/// means that the supervisor is gone.
fn end_with_the_supervisor() {
    let mut byte = [0];
    while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
    std::process::exit(i32::from(Code::Other as u8));
}
