//! `ebbtide wait`: waits for the end of a shutdown, whoever began it.

use ebbtide::{SegmentOptions, ShutdownCoordinator};

use super::shutdown::tell;
use crate::args::Wait;
use crate::exit::{Code, Failure};

pub fn run(options: &SegmentOptions, args: &Wait) -> Result<Code, Failure> {
    let segment = options.open(&args.scoped.segment)?;
    let coordinator = ShutdownCoordinator::new(&segment);
    let report = coordinator.wait_for_shutdown_complete(&args.scoped.scope(), args.timeout)?;
    tell(&report, args.json.json)
}
