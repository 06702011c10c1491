//! Typed values of the shared state: types that are nothing but their bytes.

use std::any::type_name;

use bytemuck::{Pod, bytes_of, bytes_of_mut};

use crate::api::state::{SharedStateManager, checked};
use crate::api::transaction::StateTransaction;
use crate::error::StateError;
use crate::table::entry::{Exact, Target};
use crate::table::store::Found;

impl SharedStateManager {
    /// The value of a key as a `T`: any [`bytemuck::Pod`] type, such as numbers, arrays of
    /// them, and `repr(C)` structs that derive it. The size is checked, the meaning is not.
    /// Does not block and does not allocate.
    ///
    /// # Errors
    /// [`StateError::WrongSize`] if the value has another size than `T`; else as
    /// [`get`](Self::get).
    pub fn get_as<T: Pod>(&self, key: &str) -> Result<Option<T>, StateError> {
        let mut value = T::zeroed();
        let wanted = checked(key)?;
        let mut exact = Exact::new(bytes_of_mut(&mut value));
        let found = self.copy(&wanted, &mut exact)?;
        let length = exact.length;
        match found {
            Found::Absent => Ok(None),
            Found::Present(_) => sized(key, length, value).map(Some),
        }
    }

    /// Puts the bytes of a `T`. See [`get_as`](Self::get_as).
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_as<T: Pod>(&self, key: &str, value: &T) -> Result<(), StateError> {
        self.set(key, bytes_of(value))
    }

    /// Puts what `change` makes of the value. No other write comes between: a counter is
    /// `|count: Option<u64>| count.unwrap_or(0) + 1`. Answers the new value.
    ///
    /// `change` runs while all other writers wait: it should be short.
    ///
    /// # Errors
    /// As [`get_as`](Self::get_as) and [`set`](Self::set).
    ///
    /// # Panics
    /// When `change` does; the old value stays.
    pub fn update_as<T: Pod>(
        &self,
        key: &str,
        change: impl FnOnce(Option<T>) -> T,
    ) -> Result<T, StateError> {
        self.transaction(|tx| {
            let new = change(tx.get_as(key)?);
            tx.set_as(key, &new)?;
            Ok(new)
        })
    }
}

impl StateTransaction<'_> {
    /// The value of a key as a `T`. See [`SharedStateManager::get_as`].
    ///
    /// # Errors
    /// [`StateError::WrongSize`]; else as [`get`](Self::get).
    pub fn get_as<T: Pod>(&self, key: &str) -> Result<Option<T>, StateError> {
        let Some(bytes) = self.get(key)? else {
            return Ok(None);
        };
        let mut value = T::zeroed();
        let mut exact = Exact::new(bytes_of_mut(&mut value));
        if let Some(room) = exact.room(bytes.len()) {
            room.copy_from_slice(&bytes);
        }
        sized(key, bytes.len(), value).map(Some)
    }

    /// Puts the bytes of a `T` at the end of the transaction.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_as<T: Pod>(&mut self, key: &str, value: &T) -> Result<(), StateError> {
        self.set(key, bytes_of(value))
    }
}

fn sized<T>(key: &str, found: usize, value: T) -> Result<T, StateError> {
    if found == size_of::<T>() {
        return Ok(value);
    }
    Err(StateError::WrongSize {
        key: key.into(),
        found,
        expected: size_of::<T>(),
        wanted: type_name::<T>(),
    })
}
