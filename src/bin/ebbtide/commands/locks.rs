//! `ebbtide locks`: who holds and wants which lock, from outside.

use ebbtide::{DeadlockDetector, SegmentOptions};

use crate::args::Locks;
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::locks::{self, Seen};

pub fn run(options: &SegmentOptions, args: &Locks) -> Result<Code, Failure> {
    let detector = DeadlockDetector::observing(options.observe(&args.segment)?);
    let seen = Seen {
        segment: &args.segment,
        owners: detector.owners()?,
        inconsistent: detector.inconsistent()?,
        waiters: detector.waiters()?,
        graph: detector.wait_for_graph()?,
        deadlocks: detector.cycles()?,
        violations: detector.violations()?,
        order: detector.acquisition_order()?,
    };
    if args.json.json {
        output::emit_json(&locks::document(&seen))?;
    } else if args.dot {
        output::emit(&locks::dot(&seen))?;
    } else {
        output::emit(&locks::page(&seen))?;
    }
    Ok(Code::Done)
}
