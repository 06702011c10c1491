//! The exit of a process whose attachments stand, as those do that a signal policy or a
//! static holds: nobody drops them, and a thread that is in the middle of a step there would be
//! cut off between the step and its telling.

use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use crate::api::session::Session;
use crate::os::signal;

static STANDING: Mutex<Vec<Weak<Session>>> = Mutex::new(Vec::new());

/// This one is to rest when the process exits, if it still stands then.
pub(super) fn stands(session: &Arc<Session>) {
    static ONCE: Once = Once::new();
    // If it cannot be had, an exit is as a kill.
    ONCE.call_once(|| _ = signal::at_exit(rest));
    let mut standing = STANDING.lock().unwrap_or_else(PoisonError::into_inner);
    standing.retain(|session| session.strong_count() > 0);
    standing.push(Arc::downgrade(session));
}

/// Runs in `exit`, on whichever thread called it.
extern "C" fn rest() {
    // Held by a thread that is just attaching: then by nobody who waits for us.
    let Ok(standing) = STANDING.try_lock() else {
        return;
    };
    for session in standing.iter().filter_map(Weak::upgrade) {
        session.rest();
        // Its end is the process's, not ours: other threads may still be at it.
        std::mem::forget(session);
    }
}

#[cfg(test)]
mod tests {
    use crate::sync::{Env, Pulse};
    use crate::{Runner, SegmentOptions};

    #[test]
    fn a_keeper_that_rests_is_through_with_its_step_and_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let segment = options.create("standing").unwrap();
        let runner = Runner::join(&segment, "a").unwrap();
        let session = runner.session();
        session.watch(0);
        session.rest();
        // Again, or by who drops it later: nothing is left to stop.
        session.rest();
        let core = session.core();
        let keeper = core.tables().processes.word(core.process()).keeper();
        let word = core.tables().threads.word(keeper.unwrap());
        assert_eq!(word.process(), Some(core.process()));
        assert!(!matches!(core.process_pulse(core.process()), Pulse::Dead));
    }
}
