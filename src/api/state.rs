//! Values that the processes of a segment share, by key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::core::Core;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::state_keys::keys_of;
use crate::api::state_lock::Locked;
use crate::api::state_watch::StateWatch;
use crate::api::transaction::StateTransaction;
use crate::error::StateError;
use crate::layout::ENTRY_WORDS;
use crate::limits::{KEY_BYTES, MAX_KEYS, STATE_LOCK_MICROS, VALUE_BYTES};
use crate::segment::Within;
use crate::sync::Real;
use crate::table::commit::Write;
use crate::table::entry::Target;
use crate::table::key::{Filled, Key};
use crate::table::store::{Found, Mark, Moved, Store};

pub(crate) type StateTable = Store<Real, MAX_KEYS, ENTRY_WORDS>;

/// Values shared by all processes of a segment: up to 256 keys of up to 64 bytes, with
/// values of up to 1024 bytes.
///
/// Reading takes no lock and waits for no writer: a handful of loads and the copy. (Only a
/// reader who meets 64 writes of its very key in a row waits for one writer, at most for
/// the lock timeout.) Writers take turns; a write of one key or of many becomes visible at
/// once, for all processes, and one that is killed at any instruction leaves the old
/// values whole and the store writable.
///
/// Keys and values live until they are deleted or the segment ends; they are nobody's.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{SegmentOptions, SharedStateManager, StateError};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let state = SharedStateManager::open(&segment)?;
/// state.set("model", "v7")?;
/// assert_eq!(state.get("model")?.as_deref(), Some(&b"v7"[..]));
///
/// // Both or neither, for every reader.
/// state.transaction(|tx| {
///     tx.set_as("epoch", &3_u64)?;
///     tx.set_as("loss", &0.25_f64)?;
///     Ok::<_, StateError>(())
/// })?;
/// assert_eq!(state.update_as("epoch", |epoch: Option<u64>| epoch.unwrap_or(0) + 1)?, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedStateManager {
    session: Arc<Session>,
    /// Its table, at hand.
    pub(super) table: Within<Core, StateTable>,
    pub(super) lock_timeout: Duration,
}

/// One key of the shared state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateKey {
    /// The key.
    pub key: String,
    /// Bytes of its value.
    pub length: usize,
    /// Number of the commit that wrote it: grows with every write of the key.
    pub version: u64,
}

impl SharedStateManager {
    /// The shared state of a segment. Every handle of the segment sees the same.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn open(segment: &Segment) -> Result<Self, StateError> {
        let session = Arc::clone(segment.session());
        session.core().check()?;
        Ok(Self {
            table: Within::new(session.core(), |core| &core.tables().store),
            session,
            lock_timeout: Duration::from_micros(STATE_LOCK_MICROS),
        })
    }

    /// How long a write waits for other writers before it gives
    /// [`StateError::TimedOut`]. Default: 5 s.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// The value of a key, if there is one. Takes no lock, so no writer that is slow,
    /// stopped or dead makes it wait. Only when commits overtake its copy again and again
    /// it takes the writers' lock, which it waits for as a write does.
    ///
    /// # Errors
    /// [`StateError::InvalidKey`], [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`; of that lock
    /// [`StateError::TimedOut`] and [`SegmentError::Full`](crate::SegmentError::Full) (threads).
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        let mut value = Vec::new();
        Ok(self.get_into(key, &mut value)?.then_some(value))
    }

    /// Copies the value of a key into `value`, whose room is used again. False, and
    /// `value` empty, if there is none. Blocks no more than [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_into(&self, key: &str, value: &mut Vec<u8>) -> Result<bool, StateError> {
        let mut wanted = Key::EMPTY;
        fill(&mut wanted, key)?;
        match self.copy(&wanted, value)? {
            Found::Present(_) => Ok(true),
            Found::Absent => {
                value.clear();
                Ok(false)
            }
        }
    }

    /// Puts a value (up to 1024 bytes), whether or not there was one. Waits for other
    /// writers at most for the lock timeout; so do all methods that write.
    ///
    /// # Errors
    /// [`StateError::InvalidKey`], [`StateError::TooLong`], [`StateError::Full`] (256
    /// keys), [`StateError::TimedOut`], [`StateError::Nested`], [`SegmentError::Full`](crate::SegmentError::Full)
    /// (threads), [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), StateError> {
        let value = value.as_ref();
        check_value(key, value)?;
        let write = Write {
            key: checked(key)?,
            value: Some(value),
        };
        Locked::take(self)?.commit_one(key, &write)
    }

    /// Deletes a key. Answers whether it was there.
    ///
    /// # Errors
    /// As [`set`](Self::set), but never `Full`.
    pub fn delete(&self, key: &str) -> Result<bool, StateError> {
        self.transaction(|tx| tx.delete(key))
    }

    /// Deletes all keys at once. Answers how many there were.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn clear(&self) -> Result<usize, StateError> {
        self.transaction(|tx| tx.clear())
    }

    /// Puts what `change` makes of the value, or deletes the key if it makes nothing.
    /// No other write comes between. Answers the value before.
    ///
    /// `change` runs while all other writers wait: it should be short.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Panics
    /// When `change` does; the old value stays.
    pub fn update(
        &self,
        key: &str,
        change: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, StateError> {
        self.transaction(|tx| {
            let before = tx.get(key)?;
            match change(before.as_deref()) {
                Some(value) => tx.set(key, value)?,
                None => drop(tx.delete(key)?),
            }
            Ok(before)
        })
    }

    /// Puts `new` (or deletes the key, for `None`) if the value is `expected` (`None`: if
    /// there is none). Otherwise changes nothing and answers the value found.
    ///
    /// # Errors
    /// As [`set`](Self::set). That the value is another one is no error of the call: it is
    /// the inner result.
    pub fn compare_exchange(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Result<(), Option<Vec<u8>>>, StateError> {
        self.transaction(|tx| {
            let found = tx.get(key)?;
            if found.as_deref() != expected {
                return Ok(Err(found));
            }
            match new {
                Some(value) => tx.set(key, value)?,
                None => drop(tx.delete(key)?),
            }
            Ok(Ok(()))
        })
    }

    /// All that the closure writes becomes visible at once, or nothing if it gives an
    /// error, panics, or its process dies. It reads the newest values, its own writes
    /// included, and no other write comes between.
    ///
    /// The closure runs while all other writers wait: it should be short. Readers do not
    /// wait.
    ///
    /// # Errors
    /// Whatever the closure gives, and as [`set`](Self::set).
    ///
    /// # Panics
    /// When the closure does; nothing is written.
    pub fn transaction<T, E: From<StateError>>(
        &self,
        write: impl FnOnce(&mut StateTransaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let locked = Locked::take(self)?;
        let mut transaction = StateTransaction::begin(&locked);
        let answer = write(&mut transaction)?;
        transaction.commit()?;
        Ok(answer)
    }

    /// The values of some keys as they were together at one moment. Blocks no more than
    /// [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn snapshot(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        let keys: Vec<Key> = keys
            .iter()
            .map(|key| checked(key))
            .collect::<Result<_, _>>()?;
        let table = self.table();
        self.read(|mark| {
            let one = |key: &Key| {
                let mut value = Vec::new();
                let found = table.read_at(mark, key, &mut value)?;
                Ok((found != Found::Absent).then_some(value))
            };
            keys.iter().map(one).collect()
        })
    }

    /// All keys of one moment, sorted. Blocks no more than [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn keys(&self) -> Result<Vec<String>, StateError> {
        Ok(self.list()?.into_iter().map(|one| one.key).collect())
    }

    /// All keys of one moment with the lengths and versions of their values, sorted by
    /// key. Does not block.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn list(&self) -> Result<Vec<StateKey>, StateError> {
        let listed = self.read(|mark| self.table().list_at(mark))?;
        Ok(keys_of(listed))
    }

    /// Watches a key: changes from now on are told.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn watch(&self, key: &str) -> Result<StateWatch, StateError> {
        StateWatch::new(self.clone(), key)
    }

    /// Copies a value.
    #[inline]
    pub(crate) fn copy(&self, key: &Key, into: &mut impl Target) -> Result<Found, StateError> {
        let table = self.table();
        self.read(|mark| table.read_at(mark, key, into))
    }

    /// Reads without a lock, or else, so that it ends, with it.
    #[inline]
    pub(super) fn read<T>(
        &self,
        mut read: impl FnMut(Mark) -> Result<T, Moved>,
    ) -> Result<T, StateError> {
        self.table.whole().check()?;
        match self.table.attempt(&mut read) {
            Some(done) => Ok(done),
            None => self.read_locked(read),
        }
    }

    #[cold]
    fn read_locked<T>(&self, read: impl FnMut(Mark) -> Result<T, Moved>) -> Result<T, StateError> {
        Locked::take(self)?.read(read)
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
    #[inline]
    pub(crate) fn table(&self) -> &StateTable {
        &self.table
    }
}

impl fmt::Debug for SharedStateManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStateManager")
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}

/// The rule for keys.
pub(crate) fn checked(key: &str) -> Result<Key, StateError> {
    let mut made = Key::EMPTY;
    fill(&mut made, key)?;
    Ok(made)
}

/// The same where the key stands.
#[inline]
fn fill(made: &mut Key, key: &str) -> Result<(), StateError> {
    match made.fill(key.as_bytes()) {
        Filled::Plain => Ok(()),
        filled => odd(key, filled),
    }
}

#[cold]
fn odd(key: &str, filled: Filled) -> Result<(), StateError> {
    let problem = match filled {
        Filled::Not if key.is_empty() => "it is empty",
        Filled::Not => "it is too long",
        _ if key.chars().any(char::is_control) => "it has a control character",
        _ => return Ok(()),
    };
    Err(StateError::InvalidKey {
        key: key.chars().take(KEY_BYTES).collect(),
        problem,
    })
}

pub(crate) fn check_value(key: &str, value: &[u8]) -> Result<(), StateError> {
    if value.len() <= VALUE_BYTES {
        return Ok(());
    }
    Err(StateError::TooLong {
        key: key.into(),
        length: value.len(),
    })
}
