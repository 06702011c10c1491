//! `ebbtide reap`: frees what dead processes have left in the tables.

use ebbtide::{Reclaim, Segment, SegmentError, SegmentOptions};

use crate::args::Reap;
use crate::exit::{Code, Failure};
use crate::output::{self, plain};

pub fn run(options: &SegmentOptions, args: &Reap) -> Result<Code, Failure> {
    if let Some(name) = &args.segment {
        output::emit(&reap(&options.open(name)?)?)?;
        return Ok(Code::Done);
    }
    let mut worst = Code::Done;
    for name in options.list()? {
        match options.open(&name).and_then(|segment| reap(&segment)) {
            Ok(text) => output::emit(&text)?,
            // Removed since it was listed.
            Err(SegmentError::NotFound { .. } | SegmentError::Stale { .. }) => {}
            Err(error) => {
                let failure = Failure::from(error);
                output::complain(&format!("{name}: {}", failure.message));
                if failure.code as u8 > worst as u8 {
                    worst = failure.code;
                }
            }
        }
    }
    Ok(worst)
}

fn reap(segment: &Segment) -> Result<String, SegmentError> {
    let reaped = segment.reclaim()?;
    let mut text = line(segment.name(), reaped.processes);
    for resource in &reaped.resources {
        let what = resource.system.as_deref().unwrap_or_default();
        let fate = resource.reclaimed.map_or("", Reclaim::name);
        text += &format!(
            "  {} of {}: {fate}\n",
            plain(what),
            plain(&resource.full_name())
        );
    }
    Ok(text)
}

fn line(name: &str, reaped: usize) -> String {
    match reaped {
        0 => format!("{name}: nothing to reap\n"),
        1 => format!("{name}: reaped 1 dead process\n"),
        many => format!("{name}: reaped {many} dead processes\n"),
    }
}
