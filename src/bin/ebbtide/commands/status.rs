//! `ebbtide status`: a look from outside that disturbs nobody.

use ebbtide::SegmentOptions;

use crate::args::Status;
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::{json, status};

pub fn run(options: &SegmentOptions, args: &Status) -> Result<Code, Failure> {
    let seen = options.observe(&args.segment)?.status()?;
    if args.json.json {
        output::emit_json(&json::Status::of(&seen))?;
    } else {
        output::emit(&status::page(&seen))?;
    }
    Ok(Code::Done)
}
