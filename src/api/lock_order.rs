//! The lock-order check of a thread that is about to wait for a lock.

use std::sync::Arc;

use crate::api::core::Core;
use crate::api::lock_wait::{lock_name, runner_of};
use crate::api::threads;
use crate::error::LockError;
use crate::sync::Env;
use crate::table::order::{Culprit, Step};

/// Notes that lock `wanted` is waited for while the calling thread holds others. An error
/// if that closes a circle and `denies` is set; the first time of each pair is recorded.
pub(super) fn check(core: &Arc<Core>, wanted: usize, denies: bool) -> Result<(), LockError> {
    let tables = core.tables();
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
            tables.order.record(held, wanted, &culprit);
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
