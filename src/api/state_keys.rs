//! The keys of the shared state, as a list.

use crate::api::core::Tables;
use crate::api::state::StateKey;
use crate::table::store::Listed;

/// The keys of a segment as an onlooker sees them, who cannot take the lock: none if
/// writers are too quick all the time.
pub(crate) fn seen_keys(tables: &Tables) -> Vec<StateKey> {
    let listed = tables.store.attempt(|mark| tables.store.list_at(mark));
    keys_of(listed.unwrap_or_default())
}

pub(crate) fn keys_of(listed: Vec<Listed>) -> Vec<StateKey> {
    let mut keys: Vec<StateKey> = listed
        .into_iter()
        .map(|one| StateKey {
            key: String::from_utf8_lossy(&one.key).into_owned(),
            length: one.length,
            version: one.version,
        })
        .collect();
    keys.sort_by(|a, b| a.key.cmp(&b.key));
    keys
}
