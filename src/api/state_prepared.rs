//! A key of the shared state that is read often.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::state::{SharedStateManager, checked};
use crate::error::StateError;
use crate::table::entry::{Front, Target};
use crate::table::key::Key;
use crate::table::place::Place;

/// A key of the shared state, checked and hashed once, that remembers where its value is.
///
/// Reading through it finds the value without a search as long as the key stays in its
/// place: until it is deleted and its room is used for another key. Then the next read
/// searches once; while the key is not there, each read does. It sees what [`SharedStateManager::get`] sees, whether or not the key is
/// there, and may be shared by threads.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{SegmentOptions, SharedStateManager};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let state = SharedStateManager::open(&segment)?;
/// let rate = state.prepare("rate")?;
/// let mut room = [0; 64];
/// assert_eq!(rate.read(&mut room)?, None);
///
/// state.set("rate", "0.25")?;
/// assert_eq!(rate.read(&mut room)?, Some(&b"0.25"[..]));
/// # Ok(())
/// # }
/// ```
pub struct PreparedKey {
    state: SharedStateManager,
    key: Key,
    /// Of the key.
    words: usize,
    /// Where it was found last: a hint, so any order of the threads is good enough.
    place: AtomicU64,
    /// As it was given.
    name: Box<str>,
}

impl SharedStateManager {
    /// Prepares a key for being read often. The key need not be there. Takes no lock and
    /// changes nothing.
    ///
    /// # Errors
    /// [`StateError::InvalidKey`].
    pub fn prepare(&self, key: &str) -> Result<PreparedKey, StateError> {
        let made = checked(key)?;
        Ok(PreparedKey {
            key: made,
            words: made.word_count(),
            state: self.clone(),
            place: AtomicU64::new(Place::NOWHERE.raw()),
            name: key.into(),
        })
    }
}

impl PreparedKey {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.name
    }

    /// Copies the value into the front of `room` and gives that part of it; `None` if the
    /// key is not there. What else is in `room` may be overwritten. Allocates nothing, and
    /// blocks no more than [`SharedStateManager::get`].
    ///
    /// # Errors
    /// [`StateError::NoRoom`] if the value is longer than `room`; else as
    /// [`SharedStateManager::get`].
    #[inline]
    pub fn read<'a>(&self, room: &'a mut [u8]) -> Result<Option<&'a [u8]>, StateError> {
        let mut front = Front::new(room);
        if !self.copy(&mut front)? {
            return Ok(None);
        }
        match front.into_filled() {
            Ok(filled) => Ok(Some(filled)),
            Err((length, room)) => Err(self.no_room(length, room)),
        }
    }

    /// Copies the value into `value`, whose room is used again. False, and `value` empty,
    /// if the key is not there. Blocks no more than [`SharedStateManager::get`].
    ///
    /// # Errors
    /// As [`SharedStateManager::get`]. What is in `value` then has no meaning.
    #[inline]
    pub fn get_into(&self, value: &mut Vec<u8>) -> Result<bool, StateError> {
        let found = self.copy(value)?;
        if !found {
            value.clear();
        }
        Ok(found)
    }

    /// Copies the value, if there is one.
    #[inline]
    fn copy(&self, into: &mut impl Target) -> Result<bool, StateError> {
        self.state.table.whole().check()?;
        let place = Place::from_raw(self.place.load(Ordering::Relaxed));
        match self.state.table().read_seen(place, self.words, into) {
            true => Ok(true),
            false => self.look(place, into),
        }
    }

    /// The same when another value was seen last, or none: in that slot, or else anywhere.
    #[inline(never)]
    fn look(&self, place: Place, into: &mut impl Target) -> Result<bool, StateError> {
        let table = self.state.table();
        let found = match table.read_in(place, &self.key, into) {
            Some(found) => Some(found),
            None => {
                let search = |mark| table.locate_at(mark, &self.key, into);
                self.state.read(search)?
            }
        };
        let known = found.unwrap_or(Place::NOWHERE);
        self.place.store(known.raw(), Ordering::Relaxed);
        Ok(found.is_some())
    }

    #[cold]
    fn no_room(&self, length: usize, room: usize) -> StateError {
        StateError::NoRoom {
            key: self.name.to_string(),
            length,
            room,
        }
    }
}

impl Clone for PreparedKey {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            key: self.key,
            words: self.words,
            place: AtomicU64::new(self.place.load(Ordering::Relaxed)),
            name: self.name.clone(),
        }
    }
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedKey")
            .field("key", &self.name)
            .finish_non_exhaustive()
    }
}
