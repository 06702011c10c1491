//! The exit of a process whose attachments stand, as those do that a signal policy or a
//! static holds: nobody drops them, and a thread that is in the middle of a step there would be
//! cut off between the step and its telling. Their runners leave, as dropped ones do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use crate::api::session::Session;
use crate::os::signal;

static STANDING: Mutex<Vec<Weak<Session>>> = Mutex::new(Vec::new());
static IS_AWAITED: AtomicBool = AtomicBool::new(false);

/// Attachments in other threads keep the list for some instructions each.
const TRIES: u32 = 1000;

/// The list, without waiting: in a forked child it may be held by a thread that is not there.
fn standing() -> Option<MutexGuard<'static, Vec<Weak<Session>>>> {
    match STANDING.try_lock() {
        Ok(standing) => Some(standing),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// This one is to rest when the process exits, if it still stands then. If the list or the
/// C library's cannot be had, its exit is as a kill.
pub(super) fn stands(session: &Arc<Session>) {
    if !IS_AWAITED.swap(true, Ordering::AcqRel) {
        let _ = signal::at_exit(rest);
    }
    for _ in 0..TRIES {
        if let Some(mut standing) = standing() {
            standing.retain(|session| session.strong_count() > 0);
            standing.push(Arc::downgrade(session));
            return;
        }
        std::thread::yield_now();
    }
}

/// Runs in `exit`, on whichever thread called it.
extern "C" fn rest() {
    let Some(standing) = standing() else {
        return;
    };
    for session in standing.iter().filter_map(Weak::upgrade) {
        session.leave_in_exit();
        let _ = session.rest();
        // Its end is the process's, not ours: other threads may still be at it.
        std::mem::forget(session);
    }
}

#[cfg(test)]
mod tests {
    use super::{STANDING, stands};
    use crate::sync::{Env, Pulse};
    use crate::{Runner, SegmentOptions};

    /// As a forked child finds it, in which nobody is left to let it go.
    #[test]
    fn a_list_that_is_held_for_ever_keeps_nobody_from_attaching() {
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let segment = options.create("held").unwrap();
        let held = STANDING.lock().unwrap();
        stands(segment.session());
        super::rest();
        drop(held);
    }

    #[test]
    fn a_keeper_that_rests_is_through_with_its_step_and_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let segment = options.create("standing").unwrap();
        let runner = Runner::join(&segment, "a").unwrap();
        let session = runner.session();
        session.watch(0);
        assert!(session.rest(), "its keeper halts");
        // Again, or by who drops it later: nothing is left to stop.
        assert!(session.rest());
        let core = session.core();
        let keeper = core.tables().processes.word(core.process()).keeper();
        let word = core.tables().threads.word(keeper.unwrap());
        assert_eq!(word.process(), Some(core.process()));
        assert!(!matches!(core.process_pulse(core.process()), Pulse::Dead));
    }
}
