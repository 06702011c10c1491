//! `ebbtide begin`: begins the next generation after a shutdown, so that runners may join.

use ebbtide::{CoordinationError, Phase, SegmentOptions, ShutdownCoordinator};

use crate::args::Status;
use crate::exit::{Code, Failure};
use crate::output;

pub fn run(options: &SegmentOptions, args: &Status) -> Result<Code, Failure> {
    let segment = options.open(&args.segment)?;
    let begun = ShutdownCoordinator::new(&segment).begin_generation();
    let (generation, has_begun) = match begun {
        Ok(generation) => (generation, true),
        // Somebody else was quicker, or nobody has shut it down: runners may join.
        Err(CoordinationError::NotComplete {
            generation,
            phase: Phase::Running,
        }) => (generation, false),
        Err(error) => return Err(error.into()),
    };
    if args.json.json {
        output::emit_json(&serde_json::json!({
            "segment": args.segment,
            "generation": generation,
            "begun": has_begun,
        }))?;
    } else {
        let how = if has_begun {
            "has begun"
        } else {
            "is running already"
        };
        output::emit(&format!(
            "generation {generation} of {} {how}\n",
            args.segment
        ))?;
    }
    Ok(Code::Done)
}
