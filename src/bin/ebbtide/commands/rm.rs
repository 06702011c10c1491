//! `ebbtide rm`: removes segments.

use ebbtide::text::size;
use ebbtide::{SegmentError, SegmentOptions};

use crate::exit::{Code, Failure};
use crate::output::{self, plain};
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
            Err(error) => worst = complain(name, error, worst),
        }
    }
    Ok(worst)
}

/// Removes every segment that no living process uses.
fn unused(options: &SegmentOptions) -> Result<Code, Failure> {
    let report = options.remove_unused()?;
    let (count, freed) = (report.removed.len(), size::bytes(report.bytes()));
    let mut text = String::new();
    for removed in &report.removed {
        let bytes = size::bytes(removed.bytes);
        text += &format!("{}: removed, {bytes} freed\n", plain(&removed.name));
    }
    text += &match count {
        0 => "nothing to remove\n".to_owned(),
        1 => format!("1 removed, {freed} freed\n"),
        _ => format!("{count} removed, {freed} freed\n"),
    };
    let mut worst = Code::Done;
    for (name, error) in report.refused {
        worst = complain(&name, error, worst);
    }
    output::emit(&text)?;
    Ok(worst)
}

/// Reports what could not be removed; the higher of its code and `worst`.
fn complain(name: &str, error: SegmentError, worst: Code) -> Code {
    let failure = Failure::from(error);
    output::complain(&format!("{}: {}", plain(name), failure.message));
    if failure.code as u8 > worst as u8 {
        failure.code
    } else {
        worst
    }
}
