//! `ebbtide rm`: removes segments.

use ebbtide::{SegmentError, SegmentOptions};

use crate::exit::{Code, Failure};
use crate::output;
use crate::rm_args::Rm;

/// Removes all that can be removed; the highest code of those that cannot.
pub fn run(options: &SegmentOptions, args: &Rm) -> Result<Code, Failure> {
    if args.unused {
        return unused(options);
    }
    if let [name] = args.segments.as_slice() {
        options.remove(name, args.force)?;
        output::emit(&format!("{name}: removed\n"))?;
        return Ok(Code::Done);
    }
    let mut worst = Code::Done;
    for name in &args.segments {
        match options.remove(name, args.force) {
            Ok(()) => output::emit(&format!("{name}: removed\n"))?,
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

/// Removes every segment that no living process uses. Each removal takes the life bytes, so
/// a process that attaches meanwhile keeps its segment.
fn unused(options: &SegmentOptions) -> Result<Code, Failure> {
    let mut worst = Code::Done;
    let mut removed = 0;
    for name in options.list()? {
        match options.remove(&name, false) {
            Ok(()) => {
                removed += 1;
                output::emit(&format!("{name}: removed\n"))?;
            }
            // In use, or removed since it was listed.
            Err(SegmentError::InUse { remover: None, .. } | SegmentError::NotFound { .. }) => {}
            Err(error) => {
                let failure = Failure::from(error);
                output::complain(&format!("{name}: {}", failure.message));
                if failure.code as u8 > worst as u8 {
                    worst = failure.code;
                }
            }
        }
    }
    output::emit(&format!("removed {removed} unused\n"))?;
    Ok(worst)
}
