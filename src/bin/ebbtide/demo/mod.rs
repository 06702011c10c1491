//! `ebbtide demo`: real processes with real work, shut down before your eyes.

mod crew;
mod page;
mod round;
pub mod runner;
mod work;

use std::time::Duration;

use ebbtide::{Mode, Segment, SegmentOptions, ShutdownCoordinator, ShutdownRequest, SignalPolicy};

use crate::args::Demo;
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::json;
use round::Round;

/// Worker threads of one runner.
const WORKERS: usize = 3;

/// How much time a Ctrl-C leaves.
const HURRY: Duration = Duration::from_secs(1);

/// How long processes may take to be gone.
const GONE: Duration = Duration::from_secs(10);

pub fn run(options: &SegmentOptions, args: &Demo) -> Result<Code, Failure> {
    let casualties = [args.kill, args.stop, args.hang]
        .iter()
        .map(|k| u32::from(*k))
        .sum::<u32>();
    if casualties > u32::from(args.runners) {
        return Err(Failure::new(
            Code::Usage,
            format!(
                "{casualties} to kill, stop or hang, but only {} runners",
                args.runners
            ),
        ));
    }
    let scratch = Scratch::new(options)?;
    let coordinator = ShutdownCoordinator::new(&scratch.segment);
    // Ctrl-C and SIGTERM shut the demo down like anything else; they leave nothing behind.
    SignalPolicy::for_all(&scratch.segment)
        .request(ShutdownRequest::new().timeout(HURRY).mode(Mode::Fast))
        .install()?;
    if !args.json.json {
        output::emit(&page::heading(args, scratch.segment.name()))?;
    }
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        let round = Round::play(args, &scratch.segment, &coordinator)?;
        let is_interrupted = round.is_interrupted();
        if !args.json.json {
            output::emit(&page::round(args, number, &round))?;
        }
        rounds.push(round);
        if is_interrupted {
            return Err(Failure::other("interrupted; nothing is left behind"));
        }
        if number < args.rounds {
            let generation = coordinator.status()?.generation;
            coordinator.wait_gone(generation, GONE)?;
            coordinator.begin_generation()?;
        }
    }
    drop(coordinator);
    let leftovers = scratch.clear()?;
    if let Some(last) = rounds.last_mut() {
        last.leftovers += leftovers;
        if leftovers > 0 {
            last.complaints.push("the segment is left behind".into());
        }
    }
    finish(args, &rounds)
}

fn finish(args: &Demo, rounds: &[Round]) -> Result<Code, Failure> {
    let complaints: Vec<&str> = rounds
        .iter()
        .flat_map(|round| round.complaints.iter().map(String::as_str))
        .collect();
    if args.json.json {
        let documents: Vec<json::Round> = rounds.iter().map(Round::document).collect();
        match documents.as_slice() {
            [one] => output::emit_json(one)?,
            many => output::emit_json(&json::Rounds { rounds: many })?,
        }
    } else {
        output::emit(&page::verdict(args, &complaints))?;
    }
    if complaints.is_empty() {
        return Ok(Code::Done);
    }
    let mut failure = Failure::other(complaints.join("; "));
    failure.printed = true;
    Err(failure)
}

/// The demo's own segment, removed on every way out.
struct Scratch {
    options: SegmentOptions,
    segment: Segment,
    is_removed: bool,
}

impl Scratch {
    fn new(options: &SegmentOptions) -> Result<Self, Failure> {
        let name = format!("demo-{}-{:06x}", std::process::id(), random()? & 0xff_ffff);
        Ok(Self {
            options: options.clone(),
            segment: options.create(&name)?,
            is_removed: false,
        })
    }

    /// Removes the segment; how many are left behind all the same.
    fn clear(mut self) -> Result<usize, Failure> {
        // By force, as this very process is attached until it ends.
        self.is_removed = true;
        self.options.remove(self.segment.name(), true)?;
        let left = self.options.list()?;
        Ok(left
            .iter()
            .filter(|name| *name == self.segment.name())
            .count())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_removed {
            // There is a failure to be told of already.
            let _ = self.options.remove(self.segment.name(), true);
        }
    }
}

/// A random number from the kernel.
fn random() -> Result<u64, Failure> {
    getrandom::u64().map_err(|error| Failure::other(format!("no random numbers: {error}")))
}
