//! Keys and values of the shared state. In JSON a value is a string if it is text, and
//! its bytes as hexadecimal digits always.

use ebbtide::{StateChange, StateKey};
use serde::Serialize;

use super::count;
use super::table::{Cell, Column, Table};

/// One key, in `keys` and `status`.
#[derive(Debug, Serialize)]
pub struct Key<'a> {
    key: &'a str,
    bytes: usize,
    version: u64,
}

pub fn keys(keys: &[StateKey]) -> Vec<Key<'_>> {
    let all = keys.iter().map(|one| Key {
        key: &one.key,
        bytes: one.length,
        version: one.version,
    });
    all.collect()
}

/// `keys`.
#[derive(Debug, Serialize)]
pub struct Keys<'a> {
    pub segment: &'a str,
    pub keys: Vec<Key<'a>>,
}

/// The section of `status`; nothing without a key.
pub fn section(keys: &[StateKey]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let bytes = keys.iter().map(|key| key.length).sum();
    let (count_of_keys, bytes) = (count(keys.len(), "key"), count(bytes, "byte"));
    let table = table(keys, 2);
    format!("\n{count_of_keys} in the shared state, {bytes}\n{table}")
}

/// The table of `keys`.
pub fn page(keys: &[StateKey]) -> String {
    table(keys, 0)
}

fn table(keys: &[StateKey], indent: usize) -> String {
    let mut table = Table::new(vec![
        Column::left("KEY"),
        Column::right("BYTES"),
        Column::right("VERSION"),
    ]);
    for one in keys {
        table.row(vec![
            Cell::text(&one.key),
            Cell::text(one.length),
            Cell::text(one.version),
        ]);
    }
    table.render(indent)
}

/// `get`, and a change of `watch`. A deleted key has neither text nor bytes.
#[derive(Debug, Serialize)]
pub struct Value<'a> {
    key: &'a str,
    text: Option<String>,
    hex: Option<String>,
    version: Option<u64>,
}

impl<'a> Value<'a> {
    pub fn of(key: &'a str, value: Option<&[u8]>) -> Self {
        Self {
            key,
            text: value.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()),
            hex: value.map(hex),
            version: None,
        }
    }

    pub fn changed(key: &'a str, change: &StateChange) -> Self {
        Self {
            version: Some(change.version),
            ..Self::of(key, change.value.as_deref())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
