//! The directory that holds a user's segments.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use crate::error::SegmentError;
use crate::segment::name::SegmentName;
use crate::segment::refused;

/// The variable that overrides the default directory.
pub(crate) const VARIABLE: &str = "EBBTIDE_DIR";

/// The directory to use, absolute: the option, else `EBBTIDE_DIR`, else
/// `/dev/shm/ebbtide-<uid>` (elsewhere than on Linux: below the temporary directory).
///
/// # Errors
/// [`SegmentError::Environment`] for an empty `EBBTIDE_DIR`, [`SegmentError::Directory`]
/// for a relative path without a current directory.
pub(crate) fn directory(option: Option<&Path>) -> Result<PathBuf, SegmentError> {
    let chosen = match (option, std::env::var_os(VARIABLE)) {
        (Some(path), _) => path.to_path_buf(),
        (None, Some(value)) if value.is_empty() => {
            return Err(SegmentError::Environment {
                variable: VARIABLE,
                problem: "is empty; unset it or name a directory".to_owned(),
            });
        }
        (None, Some(value)) => PathBuf::from(value),
        (None, None) => default_directory(),
    };
    match std::path::absolute(&chosen) {
        // Without a trailing slash, which would make the kernel follow a link.
        Ok(path) => Ok(path.components().collect()),
        Err(error) => Err(SegmentError::Directory {
            path: chosen,
            problem: error.to_string(),
        }),
    }
}

fn default_directory() -> PathBuf {
    let name = format!("ebbtide-{}", geteuid());
    if cfg!(target_os = "linux") {
        Path::new("/dev/shm").join(name)
    } else {
        std::env::temp_dir().join(name)
    }
}

/// A directory that has been checked, held open: renaming it does not mislead us.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    handle: File,
}

impl Directory {
    /// Opens and checks the directory, and makes it first (mode 0700) if missing.
    ///
    /// # Errors
    /// [`SegmentError::Directory`] with the problem and its remedy.
    pub(crate) fn prepare(path: &Path) -> Result<Self, SegmentError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            // Made by whomever; the check decides.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(problem(
                    path,
                    "its parent does not exist; make it first".to_owned(),
                ));
            }
            // A read-only parent says so even where the directory exists.
            Err(_) if path.symlink_metadata().is_ok() => {}
            Err(error) => return Err(problem(path, format!("it cannot be made: {error}"))),
        }
        Self::existing(path)?
            .ok_or_else(|| problem(path, "it was removed as soon as it was made".to_owned()))
    }

    /// Opens and checks the directory; `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub(crate) fn existing(path: &Path) -> Result<Option<Self>, SegmentError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let handle = match open(path, flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let kind = match path.symlink_metadata() {
                    Ok(found) if found.is_symlink() => "it is a symbolic link",
                    _ => "it is not a directory",
                };
                return Err(problem(
                    path,
                    format!("{kind}; name a directory of your own"),
                ));
            }
            Err(error) => return Err(problem(path, io::Error::from(error).to_string())),
        };
        let found = handle
            .metadata()
            .map_err(|error| refused("examine", path, error))?;
        let (owner, expected) = (found.uid(), geteuid().as_raw());
        if owner != expected {
            let text = format!(
                "it belongs to uid {owner}, not to uid {expected}; set {VARIABLE} to a directory of your own"
            );
            return Err(problem(path, text));
        }
        let mode = found.mode() & 0o7777;
        if mode & 0o022 != 0 {
            let text = format!("others may write to it (mode {mode:04o}); run chmod go-w on it");
            return Err(problem(path, text));
        }
        Ok(Some(Self {
            path: path.to_path_buf(),
            handle,
        }))
    }

    /// The path it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a segment in it.
    pub(crate) fn path_of(&self, name: &SegmentName) -> PathBuf {
        self.path.join(name.as_str())
    }

    /// Names of the regular files in it that could be segments, sorted.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn names(&self) -> Result<Vec<SegmentName>, SegmentError> {
        let fail = |error| refused("list", &self.path, error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // An entry that vanishes meanwhile is no regular file.
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let name = entry.file_name();
            names.extend(name.to_str().and_then(|name| SegmentName::new(name).ok()));
        }
        names.sort();
        Ok(names)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

fn problem(path: &Path, problem: String) -> SegmentError {
    SegmentError::Directory {
        path: path.to_path_buf(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_a_private_directory_of_ones_own_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("segments");
        assert!(Directory::existing(&path).unwrap().is_none());
        let made = Directory::prepare(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o700);
        Directory::prepare(&path).unwrap();

        for name in ["b", "a", ".hidden", "not a name"] {
            std::fs::write(path.join(name), "").unwrap();
        }
        std::fs::create_dir(path.join("c")).unwrap();
        symlink("a", path.join("d")).unwrap();
        let names: Vec<_> = made
            .names()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["a", "b"]);

        let refuse = |path: &Path, word: &str| match Directory::prepare(path) {
            Err(SegmentError::Directory { problem, .. }) => {
                assert!(problem.contains(word), "{problem}")
            }
            other => panic!("{path:?}: {other:?}"),
        };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o770)).unwrap();
        refuse(&path, "0770");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&path, root.path().join("link")).unwrap();
        refuse(&root.path().join("link"), "symbolic link");
        std::fs::write(root.path().join("file"), "").unwrap();
        refuse(&root.path().join("file"), "not a directory");
        refuse(&root.path().join("no/parent"), "parent");
        if geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
            refuse(&path, "65534");
        } else {
            println!("foreign owner not tested: only root can make one");
        }
    }

    #[test]
    fn option_wins_and_paths_become_absolute() {
        assert_eq!(
            directory(Some(Path::new("/x/y/"))).unwrap().as_os_str(),
            "/x/y"
        );
        assert!(directory(Some(Path::new("x"))).unwrap().is_absolute());
    }
}
