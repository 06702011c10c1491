//! `ebbtide cancel`: calls a shutdown off.

use ebbtide::{SegmentOptions, ShutdownCoordinator};

use crate::args::Scoped;
use crate::exit::{Code, Failure};
use crate::output;

pub fn run(options: &SegmentOptions, args: &Scoped) -> Result<Code, Failure> {
    let segment = options.open(&args.segment)?;
    ShutdownCoordinator::new(&segment).cancel_shutdown(&args.scope())?;
    let whose = args.runner.as_deref().unwrap_or("all runners");
    output::emit(&format!(
        "the shutdown of {whose} in {} is called off\n",
        args.segment
    ))?;
    Ok(Code::Done)
}
