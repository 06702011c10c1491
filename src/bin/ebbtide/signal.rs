//! Signals by name or number, as `kill` takes them.

use std::str::FromStr;

use nix::sys::signal::Signal;

/// Reads `TERM`, `SIGTERM`, `term` or `15`.
pub fn parse(text: &str) -> Result<Signal, String> {
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).map_err(|_| format!("there is no signal {number}"));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    Signal::from_str(&format!("SIG{name}"))
        .map_err(|_| "expected a signal by name or number, as TERM, SIGINT or 15".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(parse(text), Ok(Signal::SIGTERM));
        }
        for text in ["", "SIG", "0", "-1", "999", "TERMS", "15 ", "SIGSIGTERM"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
