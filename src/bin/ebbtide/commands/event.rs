//! `ebbtide event`: sets events, waits for them, and lists them.

use ebbtide::{CrossProcessEvent, SegmentOptions};

use crate::args::Status;
use crate::event_args::{Action, Event, Set, Wait};
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::{events, time};

pub fn run(options: &SegmentOptions, args: &Event) -> Result<Code, Failure> {
    match &args.action {
        Action::Set(args) => set(options, args),
        Action::Wait(args) => wait(options, args),
        Action::List(args) => list(options, args),
    }
}

fn set(options: &SegmentOptions, args: &Set) -> Result<Code, Failure> {
    let segment = options.open(&args.segment)?;
    let event = CrossProcessEvent::open(&segment, &args.name)?;
    let number = event.set_with(args.kind, args.payload.as_bytes())?;
    output::emit(&format!("{number}\n"))?;
    Ok(Code::Done)
}

fn wait(options: &SegmentOptions, args: &Wait) -> Result<Code, Failure> {
    let segment = options.open(&args.segment)?;
    let open = |name| CrossProcessEvent::open(&segment, name);
    let opened: Vec<_> = args
        .names
        .iter()
        .map(|name| open(name))
        .collect::<Result<_, _>>()?;
    let all: Vec<_> = opened.iter().collect();
    let found = CrossProcessEvent::wait_any(&all, Some(args.timeout))?;
    match found.and_then(|index| args.names.get(index)) {
        Some(name) => {
            if args.json.json {
                output::emit_json(&events::Found { event: name })?;
            } else {
                output::emit(&format!("{}\n", output::plain(name)))?;
            }
            Ok(Code::Done)
        }
        None => Err(Failure::new(
            Code::Laggards,
            format!(
                "none of {} was set within {}",
                args.names.join(", "),
                time(args.timeout)
            ),
        )),
    }
}

fn list(options: &SegmentOptions, args: &Status) -> Result<Code, Failure> {
    let seen = options.observe(&args.segment)?.events()?;
    if args.json.json {
        output::emit_json(&events::Document::of(&args.segment, &seen))?;
    } else {
        output::emit(&events::table(&seen))?;
    }
    Ok(Code::Done)
}
