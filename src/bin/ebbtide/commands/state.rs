//! `ebbtide get`, `set`, `del`, `keys`, `watch`: the shared state, for scripts.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use ebbtide::{SegmentOptions, SharedStateManager, StateChange, StateError, limits};

use crate::args::{Del, Get, Set, Status, Watch};
use crate::exit::{Code, Failure};
use crate::output;
use crate::render::state::{Keys, Value, keys as rows, page};

fn open(options: &SegmentOptions, segment: &str) -> Result<SharedStateManager, Failure> {
    Ok(SharedStateManager::open(&options.open(segment)?)?)
}

fn missing(key: &str, segment: &str) -> Failure {
    Failure::new(Code::Missing, format!("no key {key:?} in {segment}"))
}

/// Prints the value as it is, without a line end of its own.
pub fn get(options: &SegmentOptions, args: &Get) -> Result<Code, Failure> {
    let value = open(options, &args.segment)?.get(&args.key)?;
    let value = value.ok_or_else(|| missing(&args.key, &args.segment))?;
    if args.json.json {
        output::emit_json(&Value::of(&args.key, Some(&value)))?;
    } else {
        output::emit_bytes(&value)?;
    }
    Ok(Code::Done)
}

pub fn set(options: &SegmentOptions, args: &Set) -> Result<Code, Failure> {
    let value = match &args.value {
        Some(value) if value != "-" => value.as_bytes().to_vec(),
        _ => input()?,
    };
    let segment = options.open_or_create(&args.segment)?;
    SharedStateManager::open(&segment)?.set(&args.key, value)?;
    Ok(Code::Done)
}

/// Standard input, to one byte beyond what fits.
fn input() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    let most = limits::VALUE_BYTES as u64 + 1;
    io::stdin()
        .take(most)
        .read_to_end(&mut value)
        .map_err(|error| Failure::because("cannot read standard input", &error))?;
    Ok(value)
}

/// All or none: with a key that is missing nothing is deleted.
pub fn del(options: &SegmentOptions, args: &Del) -> Result<Code, Failure> {
    let state = open(options, &args.segment)?;
    let absent = state.transaction(|tx| {
        let mut absent = None;
        for key in &args.keys {
            if tx.get(key)?.is_none() {
                absent = Some(key);
            }
        }
        for key in args.keys.iter().filter(|_| absent.is_none()) {
            tx.delete(key)?;
        }
        Ok::<_, StateError>(absent)
    })?;
    match absent {
        Some(key) => Err(missing(key, &args.segment)),
        None => Ok(Code::Done),
    }
}

pub fn keys(options: &SegmentOptions, args: &Status) -> Result<Code, Failure> {
    let all = options.observe(&args.segment)?.state_keys();
    if args.json.json {
        output::emit_json(&Keys {
            segment: &args.segment,
            keys: rows(&all),
        })?;
    } else if all.is_empty() {
        output::complain("there are no keys");
    } else {
        output::emit(&page(&all))?;
    }
    Ok(Code::Done)
}

/// Prints the value, if there is one, and each change from then on; a line each.
pub fn watch(options: &SegmentOptions, args: &Watch) -> Result<Code, Failure> {
    let state = open(options, &args.segment)?;
    let mut watch = state.watch(&args.key)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    if let Some(now) = watch.current()? {
        if !show(args, &now)? {
            return Ok(Code::Done);
        }
        left -= 1;
    }
    while left > 0 {
        let Some(change) = watch.wait_change(args.timeout)? else {
            return Err(Failure::new(
                Code::Laggards,
                format!("no change of key {:?} in time", args.key),
            ));
        };
        if !show(args, &change)? {
            break;
        }
        left -= 1;
    }
    Ok(Code::Done)
}

/// One line. False when nobody reads any more.
fn show(args: &Watch, change: &StateChange) -> Result<bool, Failure> {
    if args.json {
        return output::emit_line(&json_line(&Value::changed(&args.key, change))?);
    }
    match &change.value {
        Some(value) => output::emit_line(&output::plain(&String::from_utf8_lossy(value))),
        None => {
            output::complain(&format!("{} is deleted", args.key));
            output::emit_line("")
        }
    }
}

fn json_line(document: &Value<'_>) -> Result<String, Failure> {
    serde_json::to_string(document).map_err(|error| Failure::because("cannot write JSON", &error))
}
