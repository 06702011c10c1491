//! `ebbtide timeline`: the present or last shutdown, drawn.

use std::fs;

use ebbtide::SegmentOptions;

use crate::exit::{Code, Failure};
use crate::output;
use crate::render::timeline::{json, svg, text, trace};
use crate::seeing_args::{Format, Timeline};

pub fn run(options: &SegmentOptions, args: &Timeline) -> Result<Code, Failure> {
    let segment = &args.scoped.segment;
    let observer = options.observe(segment)?;
    let Some(timeline) = observer.timeline_of(&args.scoped.scope())? else {
        let message = match &args.scoped.runner {
            None => format!("{segment}: no shutdown is known yet"),
            Some(runner) => format!(
                "{segment}: no shutdown of {runner:?} alone is known; without --runner it is \
                 about that of all"
            ),
        };
        return Err(Failure::new(Code::TooLate, message));
    };
    let pretty = |value: &serde_json::Value| {
        let text = serde_json::to_string_pretty(value);
        text.map(|text| text + "\n")
            .map_err(|error| Failure::because("cannot write JSON", &error))
    };
    let coloured = args.out.is_none() && output::is_coloured();
    let page = match args.format {
        Format::Text => text::page(&timeline, coloured),
        Format::Json => pretty(&json::document(&timeline))?,
        Format::Trace => pretty(&trace::document(&timeline))?,
        Format::Svg => svg::picture(&timeline),
    };
    match &args.out {
        None => output::emit(&page)?,
        Some(path) => fs::write(path, page).map_err(|error| {
            Failure::because(&format!("cannot write {}", path.display()), &error)
        })?,
    }
    Ok(Code::Done)
}
