//! The segment as its users hold it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::api::core::Core;
use crate::api::journal::Journal;
use crate::api::metrics::Metrics;
use crate::api::observer::Observer;
use crate::api::options::SegmentOptions;
use crate::api::request::Scope;
use crate::api::resource::Reaped;
use crate::api::session::Session;
use crate::api::timeline::Timeline;
use crate::api::view::View;
use crate::error::{CoordinationError, SegmentError};
use crate::segment::{self, Directory, Opened, SegmentName, Token};

use super::core::Tables;

/// A named shared-memory segment that this process is attached to.
///
/// Clones are handles of the same attachment; the process is detached when the last one
/// (and every [`Runner`](crate::Runner), coordinator and lock made from it) is dropped.
/// A thread that took a [`CrossProcessLock`](crate::CrossProcessLock) stays attached until
/// it ends, drops the last handle itself, or first takes a lock through another attachment
/// after the last handle is gone.
///
/// In a forked child every handle answers [`SegmentError::ForkedHandle`]; open again there.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), ebbtide::SegmentError> {
/// use ebbtide::SegmentOptions;
///
/// # let scratch = tempfile::tempdir().unwrap();
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job-7")?;
/// let token = segment.token().to_string();
/// let same = options.open_token(&token.parse()?)?;
/// assert_eq!(same.name(), "job-7");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Segment {
    session: Arc<Session>,
}

impl Segment {
    /// The environment variable that names a segment: a token, or a plain name.
    pub const VARIABLE: &'static str = "EBBTIDE_SEGMENT";

    /// Creates a segment with default options. See [`SegmentOptions::create`].
    ///
    /// # Errors
    /// As [`SegmentOptions::create`].
    pub fn create(name: &str) -> Result<Self, SegmentError> {
        SegmentOptions::new().create(name)
    }

    /// Opens a segment with default options. See [`SegmentOptions::open`].
    ///
    /// # Errors
    /// As [`SegmentOptions::open`].
    pub fn open(name: &str) -> Result<Self, SegmentError> {
        SegmentOptions::new().open(name)
    }

    /// Opens a segment, or creates it. See [`SegmentOptions::open_or_create`].
    ///
    /// # Errors
    /// As [`SegmentOptions::open_or_create`].
    pub fn open_or_create(name: &str) -> Result<Self, SegmentError> {
        SegmentOptions::new().open_or_create(name)
    }

    /// Opens the segment that the environment variable `EBBTIDE_SEGMENT` names.
    ///
    /// # Errors
    /// [`SegmentError::Environment`] when it is not set; else as
    /// [`SegmentOptions::open_token`] or [`SegmentOptions::open`].
    pub fn from_env() -> Result<Self, SegmentError> {
        let value = std::env::var(Self::VARIABLE).map_err(|error| SegmentError::Environment {
            variable: Self::VARIABLE,
            problem: error.to_string(),
        })?;
        match Token::from_str(&value) {
            Ok(token) => SegmentOptions::new().open_token(&token),
            Err(_) => Self::open(&value),
        }
    }

    /// The names of this user's segments, sorted. See [`SegmentOptions::list`].
    ///
    /// # Errors
    /// As [`SegmentOptions::list`].
    pub fn list() -> Result<Vec<String>, SegmentError> {
        SegmentOptions::new().list()
    }

    /// Removes a segment. See [`SegmentOptions::remove`].
    ///
    /// # Errors
    /// As [`SegmentOptions::remove`].
    pub fn remove(name: &str, force: bool) -> Result<(), SegmentError> {
        SegmentOptions::new().remove(name, force)
    }

    /// The segment's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.core().opened().name().as_str()
    }

    /// Path of the segment's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.core().opened().path()
    }

    /// A printable word by which another process of this user opens this very segment.
    #[must_use]
    pub fn token(&self) -> Token {
        self.core().opened().token()
    }

    /// Frees the slots of processes that are gone; returns how many there were. Whoever
    /// needs a slot and finds none does this by itself, and phases count the dead out
    /// without it; it is for people who want a tidy table now. System resources of the
    /// dead are reclaimed, too: see [`reclaim`](Self::reclaim).
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn reap(&self) -> Result<usize, SegmentError> {
        self.core().check()?;
        Ok(self.core().reap())
    }

    /// Reaps, and takes away what gone processes had registered as
    /// [`SystemResource`](crate::SystemResource)s: files, sockets, shared memory and child
    /// processes, each exactly once whoever else does this, and only what was registered.
    /// Tells what this call did; a reaper that dies over one leaves it to the next.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn reclaim(&self) -> Result<Reaped, SegmentError> {
        self.core().check()?;
        let (processes, taken) = self.core().reap_all();
        self.core().deaths.tell(self.core().tables());
        let view = self.view();
        Ok(Reaped {
            processes,
            resources: taken
                .into_iter()
                .filter_map(|key| view.resource(key))
                .collect(),
        })
    }

    /// What happened lately: the latest records of the journal. Never blocks.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`].
    pub fn journal(&self) -> Result<Journal, SegmentError> {
        self.core().check()?;
        Ok(self.view().journal(0))
    }

    /// The group's present or last shutdown from its start to its end; `None` if the
    /// segment and its journal know of none. Never blocks.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn timeline(&self) -> Result<Option<Timeline>, SegmentError> {
        self.core().check()?;
        self.view().timeline()
    }

    /// The same of a scope; see [`Observer::timeline_of`](crate::Observer::timeline_of).
    ///
    /// # Errors
    /// [`CoordinationError::NoSuchRunner`], [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn timeline_of(&self, scope: &Scope) -> Result<Option<Timeline>, CoordinationError> {
        self.core().check()?;
        self.view().timeline_of(scope)
    }

    /// Numbers for monitors, of this moment. Never blocks.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`], `Corrupt`.
    pub fn metrics(&self) -> Result<Metrics, SegmentError> {
        self.core().check()?;
        self.view().metrics()
    }

    pub(crate) fn view(&self) -> View<'_, Core> {
        View {
            name: self.name(),
            tables: self.core().tables(),
            env: self.core().as_ref(),
        }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    fn core(&self) -> &Arc<Core> {
        self.session.core()
    }

    fn attach(opened: Opened<Tables>, options: &SegmentOptions) -> Result<Self, SegmentError> {
        let core = Core::attach(opened, options.liveness)?;
        let session = Session::start(core)?;
        Ok(Self { session })
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("name", &self.name())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// How often opening and creating are tried when others remove and create meanwhile.
const TRIES: usize = 64;

impl SegmentOptions {
    /// Creates a segment and attaches to it. It appears under its name complete or not
    /// at all; a creator killed at any instruction leaves no name behind.
    ///
    /// # Errors
    /// [`SegmentError::Exists`], `InvalidName`, `Directory`, `NoSpace` (the whole
    /// segment is allocated now, so that no access fails later), `InUse` (another process
    /// is removing the old segment of this name and does not finish), `Permission`, `Clock`.
    pub fn create(&self, name: &str) -> Result<Segment, SegmentError> {
        let name = SegmentName::new(name)?;
        let mut last = None;
        for _ in 0..TRIES {
            let created = segment::create(&name, &self.files)?;
            let made = created.identity();
            match Segment::attach(created, self) {
                // Removed as unused before this process was attached.
                Err(error @ SegmentError::Stale { .. }) => last = Some(error),
                Err(error) => {
                    segment::take_back(&name, &self.files, made);
                    return Err(error);
                }
                attached => return attached,
            }
        }
        Err(last.unwrap_or(SegmentError::Stale {
            name: name.to_string(),
        }))
    }

    /// Opens a segment and attaches to it. Instead of a name it accepts the text of a
    /// [`Token`], as do [`open_or_create`](Self::open_or_create), which never creates then,
    /// and [`observe`](Self::observe); a directory of these options must be the token's.
    ///
    /// Owner, mode, kind, size, magic number, layout and boot are checked before any
    /// other byte is used.
    ///
    /// # Errors
    /// [`SegmentError::NotFound`], `ForeignOwner`, `NotRegular`, `Mode`, `Size`, `Magic`,
    /// `Layout`, `Boot`, `Stale` (removed meanwhile), `Full` (too many processes), `InUse`
    /// (another process is removing it and does not finish), `InvalidName`, `Directory`,
    /// `Permission`, `Clock`.
    pub fn open(&self, name: &str) -> Result<Segment, SegmentError> {
        if let Some(token) = self.token_in(name)? {
            return self.open_token(&token);
        }
        let name = SegmentName::new(name)?;
        Segment::attach(segment::open(&name, &self.files)?, self)
    }

    /// Opens a segment, or creates it if there is none. Of many who call this at once
    /// one creates and all attach to the same segment.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`open`](Self::open), without `Exists` and `NotFound`.
    pub fn open_or_create(&self, name: &str) -> Result<Segment, SegmentError> {
        if let Some(token) = self.token_in(name)? {
            return self.open_token(&token);
        }
        let name = SegmentName::new(name)?;
        let mut last = None;
        for _ in 0..TRIES {
            let opened = segment::open_or_create(&name, &self.files)?;
            match Segment::attach(opened, self) {
                Err(error @ SegmentError::Stale { .. }) => last = Some(error),
                result => return result,
            }
        }
        Err(last.unwrap_or(SegmentError::Stale {
            name: name.to_string(),
        }))
    }

    /// Opens the very segment that a token names, in the token's directory.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`SegmentError::Stale`] when that segment is gone, also
    /// when another one has its name now.
    pub fn open_token(&self, token: &Token) -> Result<Segment, SegmentError> {
        Segment::attach(segment::open_token(token, &self.files)?, self)
    }

    /// Opens a segment for looking only: nothing is written, nobody is disturbed.
    ///
    /// # Errors
    /// As [`open`](Self::open), without `Full` and `Stale`.
    pub fn observe(&self, name: &str) -> Result<Observer, SegmentError> {
        if let Some(token) = self.token_in(name)? {
            return Ok(Observer::new(segment::observe_token(&token, &self.files)?));
        }
        let name = SegmentName::new(name)?;
        self.observer(&name)
    }

    /// The names of the segments in the directory, sorted; none if there is no directory.
    ///
    /// # Errors
    /// [`SegmentError::Directory`] when it cannot be trusted, `Permission`, `Io`.
    pub fn list(&self) -> Result<Vec<String>, SegmentError> {
        let path = self.files.path()?;
        match Directory::existing(&path)? {
            Some(directory) => Ok(directory.names()?.iter().map(ToString::to_string).collect()),
            None => Ok(Vec::new()),
        }
    }

    /// The token that stands in place of a name; no name has a token's colons.
    pub(super) fn token_in(&self, text: &str) -> Result<Option<Token>, SegmentError> {
        if !Token::is_meant(text) {
            return Ok(None);
        }
        let token: Token = text.parse()?;
        if self.files.directory.is_some() && self.files.path()? != token.directory() {
            return Err(SegmentError::InvalidToken {
                token: text.chars().take(128).collect(),
                problem: "its directory is not the one of the options",
            });
        }
        Ok(Some(token))
    }

    pub(super) fn observer(&self, name: &SegmentName) -> Result<Observer, SegmentError> {
        Ok(Observer::new(segment::observe(name, &self.files)?))
    }
}
