//! What happened, in order: writing it down and reading it back.

mod reading;
mod record;
mod writing;

pub(crate) use reading::{
    Names, Raw, code_of, event, has_scope, key_of, mode_of, phase_of, resource_name, state_of,
};
pub use record::{HandlerEnd, Journal, JournalEvent, JournalRecord};
