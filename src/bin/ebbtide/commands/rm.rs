//! `ebbtide rm`: removes segments.

use ebbtide::SegmentOptions;

use crate::args::Rm;
use crate::exit::{Code, Failure};
use crate::output;

/// Removes all that can be removed; the highest code of those that cannot.
pub fn run(options: &SegmentOptions, args: &Rm) -> Result<Code, Failure> {
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
