//! What one would otherwise take: other people's libraries, and small faithful models.

pub mod external;
pub mod lock;
pub mod old_protocol;
pub mod raw_sync;
pub mod shared_map;
pub mod store;
