//! Saying aloud what could not be tested here, and why.

use std::io::Write;

/// Told past the test runner, which keeps what a test that passes prints.
pub fn untested(test: &str, why: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "NOT TESTED {test}: {why}");
}
