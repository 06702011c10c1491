//! Names that users give: their rule, their index, and who holds what they name.

use std::sync::Arc;
use std::time::Duration;

use crate::api::core::{Core, Tables, deadline};
use crate::api::threads;
use crate::error::{CoordinationError, Holder, LockError, SegmentError};
use crate::limits;
use crate::sync::mutex::NotLocked;
use crate::sync::{Owner, Real};
use crate::table::names::{Names, NoIndex};

/// The rule for runner ids, handler names and lock names.
pub(crate) fn check_name(name: &str) -> Result<(), CoordinationError> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > limits::ID_BYTES {
        "it is longer than 64 bytes"
    } else if name.chars().any(char::is_control) {
        "it has a control character"
    } else if name.contains('/') {
        "it has a '/'"
    } else {
        return Ok(());
    };
    Err(CoordinationError::InvalidName {
        name: name.chars().take(limits::ID_BYTES).collect(),
        problem,
    })
}

/// How long opening a new name waits for others that add names; only a process that was
/// stopped in the middle of that makes anybody wait.
const ADDING: Duration = Duration::from_secs(5);

/// The index of a name in a directory of the segment.
pub(crate) fn index_of<const N: usize>(
    core: &Arc<Core>,
    names: &Names<Real, N>,
    table: &'static str,
    name: &str,
) -> Result<usize, LockError> {
    check_name(name)?;
    core.check()?;
    if let Some(index) = names.find(name) {
        return Ok(index);
    }
    let me = threads::owner(core)?;
    let until = deadline(core.as_ref(), Some(ADDING));
    names
        .find_or_add(name, me, core.as_ref(), until)
        .map_err(|reason| match reason {
            NoIndex::Full => SegmentError::Full {
                table,
                capacity: N,
                held_by: names
                    .all()
                    .map(|(_, name)| Holder { name, pid: 0 })
                    .collect(),
            }
            .into(),
            NoIndex::Locked(NotLocked::TimedOut { waited_for }) => {
                core.opened().or_stale(LockError::TimedOut {
                    name: format!("the table of {table}"),
                    waited: ADDING,
                    holder: describe(core, waited_for),
                })
            }
            NoIndex::Locked(why) => SegmentError::Corrupt {
                what: format!("lock of the table of {table}: {why:?}"),
            }
            .into(),
        })
}

pub(crate) fn describe(core: &Core, owner: Owner) -> String {
    describe_in(core.tables(), owner)
}

pub(crate) fn describe_in(tables: &Tables, owner: Owner) -> String {
    match tables.threads.process_of(owner) {
        Some(process) => {
            let holder = crate::api::holders::holders(tables, std::iter::once(process));
            holder
                .first()
                .map_or_else(String::new, |h| format!("{} (pid {})", h.name, h.pid))
        }
        None => "a thread that has gone".into(),
    }
}
