//! Segment names.

use core::fmt;

use crate::error::SegmentError;
use crate::limits::SEGMENT_NAME_BYTES;

/// A name that has been checked: 1 to 64 of `A-Z a-z 0-9 . _ -`, no leading dot.
/// It is one path component and never `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentName(String);

impl SegmentName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`SegmentError::InvalidName`] with what is wrong.
    pub(crate) fn new(name: &str) -> Result<Self, SegmentError> {
        match problem(name) {
            None => Ok(Self(name.to_owned())),
            Some(problem) => Err(SegmentError::InvalidName {
                // A hostile name may be of any length; the message need not be.
                name: name.chars().take(2 * SEGMENT_NAME_BYTES).collect(),
                problem,
            }),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn problem(name: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > SEGMENT_NAME_BYTES {
        Some("it is too long")
    } else if name.starts_with('.') {
        Some("it starts with a dot")
    } else if !name.bytes().all(allowed) {
        Some("it has a character that is not allowed")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_harmless_path_component() {
        for good in ["a", "A-z_0.9", "-rf", &"x".repeat(64)] {
            assert_eq!(SegmentName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "a b",
            "a\0",
            "ä",
            "a\n",
            &"x".repeat(65),
        ] {
            assert!(
                matches!(SegmentName::new(bad), Err(SegmentError::InvalidName { .. })),
                "{bad:?}"
            );
        }
    }
}
