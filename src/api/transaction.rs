//! What a transaction on the shared state reads and writes.

use std::fmt;

use crate::api::state::{check_value, checked};
use crate::api::state_lock::Locked;
use crate::error::StateError;
use crate::table::commit::{NotCommitted, Write};
use crate::table::key::Key;
use crate::table::store::Found;

/// Writes that become visible together; given to the closure of
/// [`SharedStateManager::transaction`](crate::SharedStateManager::transaction).
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use ebbtide::{SegmentOptions, SharedStateManager, StateError};
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// # let segment = options.create("job")?;
/// let state = SharedStateManager::open(&segment)?;
/// state.set_as("left", &10_u32)?;
/// let moved = state.transaction(|tx| {
///     let left = tx.get_as::<u32>("left")?.unwrap_or(0);
///     tx.set_as("left", &(left - 1))?;
///     tx.set_as("right", &1_u32)?;
///     Ok::<_, StateError>(left)
/// })?;
/// assert_eq!(moved, 10);
/// # Ok(())
/// # }
/// ```
pub struct StateTransaction<'a> {
    locked: &'a Locked<'a>,
    /// Each key once.
    writes: Vec<Buffered>,
}

struct Buffered {
    name: String,
    key: Key,
    value: Option<Vec<u8>>,
}

impl<'a> StateTransaction<'a> {
    pub(crate) fn begin(locked: &'a Locked<'a>) -> Self {
        Self {
            locked,
            writes: Vec::new(),
        }
    }

    /// The value of a key as this transaction leaves it so far.
    ///
    /// # Errors
    /// [`StateError::InvalidKey`], `Corrupt`.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        let wanted = checked(key)?;
        if let Some(written) = self.writes.iter().find(|write| write.key == wanted) {
            return Ok(written.value.clone());
        }
        let mut value = Vec::new();
        let table = self.locked.table();
        let found = self
            .locked
            .read(|mark| table.read_at(mark, &wanted, &mut value))?;
        Ok((found != Found::Absent).then_some(value))
    }

    /// Puts a value at the end of the transaction.
    ///
    /// # Errors
    /// [`StateError::InvalidKey`], [`StateError::TooLong`].
    pub fn set(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<(), StateError> {
        let value = value.as_ref();
        check_value(key, value)?;
        self.write(key, Some(value.to_vec()))
    }

    /// Deletes a key at the end of the transaction. Answers whether it was there.
    ///
    /// # Errors
    /// [`StateError::InvalidKey`], `Corrupt`.
    pub fn delete(&mut self, key: &str) -> Result<bool, StateError> {
        let was_there = self.get(key)?.is_some();
        self.write(key, None)?;
        Ok(was_there)
    }

    /// Deletes every key, those of this transaction included.
    pub(crate) fn clear(&mut self) -> Result<usize, StateError> {
        let table = self.locked.table();
        let all = self.locked.read(|mark| table.list_at(mark))?;
        self.writes.clear();
        for listed in &all {
            if let Some(key) = Key::new(&listed.key) {
                self.writes.push(Buffered {
                    name: String::new(),
                    key,
                    value: None,
                });
            }
        }
        Ok(all.len())
    }

    fn write(&mut self, key: &str, value: Option<Vec<u8>>) -> Result<(), StateError> {
        let wanted = checked(key)?;
        match self.writes.iter_mut().find(|write| write.key == wanted) {
            Some(written) => written.value = value,
            None => self.writes.push(Buffered {
                name: key.into(),
                key: wanted,
                value,
            }),
        }
        Ok(())
    }

    pub(crate) fn commit(self) -> Result<(), StateError> {
        self.locked.check()?;
        let writes: Vec<Write<'_>> = self
            .writes
            .iter()
            .map(|write| Write {
                key: write.key,
                value: write.value.as_deref(),
            })
            .collect();
        match self.locked.table().commit(&writes) {
            Ok(_) => Ok(()),
            Err(NotCommitted::Corrupt(corrupt)) => Err(self.locked.corrupt(corrupt)),
            Err(NotCommitted::Full) => {
                let written = self.writes.iter().filter(|write| write.value.is_some());
                Err(StateError::Full {
                    keys: written.map(|write| write.name.clone()).collect(),
                })
            }
        }
    }
}

impl fmt::Debug for StateTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self
            .writes
            .iter()
            .map(|write| write.name.as_str())
            .collect();
        f.debug_struct("StateTransaction")
            .field("writes", &keys)
            .finish_non_exhaustive()
    }
}
