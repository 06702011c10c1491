//! `Debug` of errors: what `main` prints when it returns one.
//!
//! The name of the variant, its message, and the messages of its sources. A transparent
//! variant prints what it wraps.

use std::error::Error;
use std::fmt;

/// Writes `Name: message: source: …`.
pub(super) fn write(f: &mut fmt::Formatter<'_>, name: &str, error: &dyn Error) -> fmt::Result {
    write!(f, "{name}: {error}")?;
    let mut next = error.source();
    while let Some(source) = next {
        write!(f, ": {source}")?;
        next = source.source();
    }
    Ok(())
}

/// Implements `Debug` for an error by its variants; the transparent ones come last.
macro_rules! debug_as_display {
    ($error:ident {} wraps { $($wrapped:ident),* $(,)? }) => {
        impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self {
                    $(Self::$wrapped(inner) => ::std::fmt::Debug::fmt(inner, f),)*
                }
            }
        }
    };
    ($error:ident { $($variant:ident),* $(,)? } $(wraps { $($wrapped:ident),* $(,)? })?) => {
        impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let name = match self {
                    $(Self::$variant { .. } => stringify!($variant),)*
                    $($(Self::$wrapped(inner) => return ::std::fmt::Debug::fmt(inner, f),)*)?
                };
                $crate::error::debug::write(f, name, self)
            }
        }
    };
}

pub(super) use debug_as_display;

#[cfg(test)]
mod tests {
    use std::io;

    use crate::error::{CoordinationError, Error, LockError, SegmentError};

    #[test]
    fn debug_of_an_error_is_its_name_its_message_and_its_sources() {
        let error = CoordinationError::NotShuttingDown;
        let text = "NotShuttingDown: no shutdown is under way";
        assert_eq!(format!("{error:?}"), text);
        // What it is wrapped in adds nothing.
        assert_eq!(format!("{:?}", LockError::from(error)), text);
        let source = io::Error::from_raw_os_error(1);
        let error = CoordinationError::System {
            operation: "wait",
            source,
        };
        let text = "System: cannot wait: Operation not permitted (os error 1)";
        assert_eq!(format!("{:?}", Error::from(error)), text);
        let forked = CoordinationError::from(SegmentError::ForkedHandle);
        assert!(format!("{forked:?}").starts_with("ForkedHandle: "));
    }
}
