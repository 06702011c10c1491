//! Saying aloud what could not be tested here, and why.

use std::io::Write;

/// Told past the test runner, which keeps what a test that passes prints.
pub fn untested(test: &str, why: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "NOT TESTED {test}: {why}");
}

/// Whether the environment makes every attachment portable, whatever a test asks for.
pub fn is_portable_forced() -> bool {
    std::env::var_os("EBBTIDE_LIVENESS").is_some_and(|value| value == "portable")
}
