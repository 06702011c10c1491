//! `ebbtide why`: who blocks, doing what, waiting for whom, in sentences.

use ebbtide::SegmentOptions;
use serde_json::json;

use crate::exit::{Code, Failure};
use crate::output;
use crate::render::timeline::json::steps;
use crate::seeing_args::Why;

pub fn run(options: &SegmentOptions, args: &Why) -> Result<Code, Failure> {
    let why = options
        .observe(&args.segment)?
        .why(args.runner.as_deref())?;
    if args.json.json {
        output::emit_json(&json!({
            "segment": why.segment,
            "phase": why.phase,
            "blockers": why.blockers,
            "sentences": why.sentences,
            "critical_path": steps(&why.critical_path),
        }))?;
    } else {
        output::emit(&why.to_string())?;
    }
    Ok(Code::Done)
}
