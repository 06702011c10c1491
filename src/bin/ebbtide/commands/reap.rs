//! `ebbtide reap`: frees what dead processes have left in the tables.

use ebbtide::{SegmentError, SegmentOptions};

use crate::args::Reap;
use crate::exit::{Code, Failure};
use crate::output;

pub fn run(options: &SegmentOptions, args: &Reap) -> Result<Code, Failure> {
    if let Some(name) = &args.segment {
        let reaped = options.open(name)?.reap()?;
        output::emit(&line(name, reaped))?;
        return Ok(Code::Done);
    }
    let mut worst = Code::Done;
    for name in options.list()? {
        match options.open(&name).and_then(|segment| segment.reap()) {
            Ok(reaped) => output::emit(&line(&name, reaped))?,
            // Removed since it was listed.
            Err(SegmentError::NotFound { .. } | SegmentError::Stale { .. }) => {}
            Err(error) => {
                let failure = Failure::from(error);
                output::complain(&format!("{name}: {}", failure.message));
                worst = failure.code;
            }
        }
    }
    Ok(worst)
}

fn line(name: &str, reaped: usize) -> String {
    match reaped {
        0 => format!("{name}: nothing to reap\n"),
        1 => format!("{name}: reaped 1 dead process\n"),
        many => format!("{name}: reaped {many} dead processes\n"),
    }
}
