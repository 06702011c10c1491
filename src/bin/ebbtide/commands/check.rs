//! `ebbtide check`: every invariant of a segment, from outside unless it is to be repaired.

use ebbtide::{CheckReport, Gravity, SegmentOptions};

use crate::args::Check;
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::check;

pub fn run(options: &SegmentOptions, args: &Check) -> Result<Code, Failure> {
    let report = if args.repair {
        options.open(&args.segment)?.repair()?
    } else {
        options.observe(&args.segment)?.check()?
    };
    if args.json.json {
        output::emit_json(&check::document(&args.segment, &report))?;
    } else {
        output::emit(&check::page(&args.segment, &report))?;
    }
    Ok(code_of(&report))
}

/// 0 for a sound segment, 5 for what the dead left, 6 for a broken one.
fn code_of(report: &CheckReport) -> Code {
    match report.worst() {
        None => Code::Done,
        Some(Gravity::Left) => Code::Died,
        Some(_) => Code::Refused,
    }
}
