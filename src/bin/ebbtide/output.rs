//! Standard output and standard error: documents to one, messages to the other.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use crate::exit::Failure;
pub use ebbtide::text::plain;

use crate::render::json;

/// Writes to standard output. A reader that went away is no failure: whoever closed
/// the pipe has read what it wanted.
pub fn emit(text: &str) -> Result<(), Failure> {
    emit_bytes(text.as_bytes())
}

/// The same for what need not be text.
pub fn emit_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::because("cannot write to standard output", &error))
        }
        _ => Ok(()),
    }
}

/// Writes the one JSON document of a command.
pub fn emit_json(document: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::because("cannot write JSON", &error))?;
    text.push('\n');
    emit(&text)
}

/// Writes one of many lines. False when the reader went away, so that there is nothing
/// left to do.
pub fn emit_line(line: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::because("cannot write to standard output", &error)),
    }
}

/// Writes the JSON document of a command that failed, in one line: it may follow others.
pub fn emit_error(failure: &Failure) {
    // There is nowhere left to complain to.
    let text = serde_json::to_string(&json::Error::of(failure)).unwrap_or_default();
    let _ = emit_line(&text);
}

/// Tells people, on standard error, and never fails.
pub fn complain(message: &str) {
    if !message.is_empty() {
        let _ = writeln!(io::stderr().lock(), "ebbtide: {}", plain(message));
    }
}

/// Whether standard output may be coloured.
pub fn is_coloured() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    wanted && able && io::stdout().is_terminal()
}
