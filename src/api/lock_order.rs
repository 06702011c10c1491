//! The lock-order check of a thread that is about to wait for a lock.

use std::sync::Arc;

use crate::api::core::Core;
use crate::api::event::Reset;
use crate::api::event_kind::EventKind;
use crate::api::lock_wait::{lock_name, runner_of};
use crate::api::threads;
use crate::error::LockError;
use crate::limits::EVENT_PAYLOAD_BYTES;
use crate::note::{Kind, Note};
use crate::sync::Env;
use crate::table::order::{Culprit, Step};

/// Notes that lock `wanted` is waited for while the calling thread holds others. An error
/// if that closes a circle and `denies` is set; the first time of each pair is recorded.
pub(super) fn check(core: &Arc<Core>, wanted: usize, denies: bool) -> Result<(), LockError> {
    let tables = core.tables();
    if threads::all_held(core, |held| tables.order.is_known(held, wanted)) {
        return Ok(());
    }
    let mut refused = Ok(());
    for held in threads::held(core) {
        let Step::Closes { way, is_new } = tables.order.step(held, wanted) else {
            continue;
        };
        if is_new {
            let culprit = Culprit {
                pid: core.pid_of(core.process()),
                at: core.now(),
                runner: runner_of(tables, core.process()).unwrap_or_default(),
            };
            if tables.order.record(held, wanted, &culprit) {
                let note = Note::new(Kind::LockOrder);
                let note = core.of_process(note, Some(core.process()));
                let both = held as u64 | (wanted as u64) << 32;
                let note = core.of_lock(note, wanted).argument(both);
                core.write_note(culprit.at, note);
                warn(core, held, wanted, &culprit);
            }
        }
        if denies && refused.is_ok() {
            refused = Err(LockError::OrderViolation {
                held: lock_name(tables, held),
                wanted: lock_name(tables, wanted),
                cycle: way.iter().map(|lock| lock_name(tables, *lock)).collect(),
            });
        }
    }
    refused
}

/// The event that warns of lock-order violations; it exists from the first one, or from
/// when somebody opens it.
pub(crate) const EVENT: &str = "ebbtide.lock-order";

/// Tells whoever listens, in any process. It never waits for another setter, or one who adds an event: the violation
/// is on record whether the warning is heard or not.
fn warn(core: &Arc<Core>, held: usize, wanted: usize, culprit: &Culprit) {
    let tables = core.tables();
    let Ok(me) = threads::owner(core) else {
        return;
    };
    let names = &tables.event_names;
    let Ok(index) = names.find_or_add(EVENT, me, core.as_ref(), core.now()) else {
        return;
    };
    let log = &tables.events[index];
    let who = match culprit.runner.as_str() {
        "" => format!("pid {}", culprit.pid),
        runner => format!("{runner:?} (pid {})", culprit.pid),
    };
    let (held, wanted) = (lock_name(tables, held), lock_name(tables, wanted));
    let mut text = format!("{who} takes {wanted:?} while it holds {held:?}");
    while text.len() > EVENT_PAYLOAD_BYTES {
        text.pop();
    }
    let _ = log.fix(Reset::Manual.raw()).is_ok().then(|| {
        log.set(
            EventKind::Error.raw(),
            text.as_bytes(),
            me,
            core.as_ref(),
            core.now(),
        )
    });
}
