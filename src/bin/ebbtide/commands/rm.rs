//! `ebbtide rm`: removes a segment.

use ebbtide::SegmentOptions;

use crate::args::Rm;
use crate::exit::{Code, Failure};
use crate::output;

pub fn run(options: &SegmentOptions, args: &Rm) -> Result<Code, Failure> {
    options.remove(&args.segment, args.force)?;
    output::emit(&format!("{}: removed\n", args.segment))?;
    Ok(Code::Done)
}
