//! The named mapping: a header and one typed body. Knows nothing of shutdown.

pub(crate) mod create;
pub(crate) mod directory;
mod fault;
pub(crate) mod header;
pub(crate) mod inode;
pub(crate) mod locks;
#[allow(unsafe_code)]
pub(crate) mod map;
pub(crate) mod name;
pub(crate) mod open;
pub(crate) mod remove;
#[allow(unsafe_code)]
pub(crate) mod shared;
pub(crate) mod temporary;
pub(crate) mod token;

#[cfg(test)]
mod tests;

pub(crate) use create::{create, open_or_create};
pub(crate) use directory::Directory;
pub(crate) use header::{Body, Identity, fingerprint};
pub(crate) use locks::Void;
pub(crate) use map::Within;
pub(crate) use name::SegmentName;
pub(crate) use open::{Observed, Opened, Options, observe, observe_token, open, open_token};
pub(crate) use remove::{remove, take_back};
pub(crate) use shared::{Shared, shared};
pub use token::Token;

use std::io;
use std::path::Path;

use crate::error::SegmentError;

/// A failure of the system as an error that names the operation and the file.
pub(crate) fn refused(
    operation: &'static str,
    path: &Path,
    source: impl Into<io::Error>,
) -> SegmentError {
    let (path, source) = (path.to_path_buf(), source.into());
    match source.kind() {
        io::ErrorKind::PermissionDenied => SegmentError::Permission {
            operation,
            path,
            source,
        },
        _ => SegmentError::Io {
            operation,
            path,
            source,
        },
    }
}
