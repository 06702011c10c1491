//! The rule for names that users give.

use crate::error::CoordinationError;
use crate::limits;

/// The rule for runner ids, handler names and lock names.
pub(crate) fn check_name(name: &str) -> Result<(), CoordinationError> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > limits::ID_BYTES {
        "it is longer than 64 bytes"
    } else if name.chars().any(char::is_control) {
        "it has a control character"
    } else if name.contains('/') {
        "it has a '/'"
    } else {
        return Ok(());
    };
    Err(CoordinationError::InvalidName {
        name: name.chars().take(limits::ID_BYTES).collect(),
        problem,
    })
}
