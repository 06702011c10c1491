//! Locks, permits, events, values.

use ebbtide::{
    CrossProcessEvent, CrossProcessLock, CrossProcessSemaphore, EventKind, Segment,
    SharedStateManager, StateError,
};

use super::{ALONE, Answer, Operation, Scene, by_process, props, text};
use crate::harness::peer::BOUND;
use crate::harness::stage::{EVENT, KEYS, LOCK, NEW, PERMITS, SAID, Stage, leak};
use crate::harness::stop::actor;
use crate::harness::stop::cast::{Cast, Played, Who};

pub const ALL: &[Operation] = &[
    Operation {
        name: "lock",
        scene: lock,
        after: holds,
        ..ALONE
    },
    Operation {
        name: "lock of the dead",
        scene: lock,
        ready: |cast| cast.dies(Who::Dead, "grasp"),
        after: holds,
        ..ALONE
    },
    Operation {
        name: "lock, contended",
        scene: lock,
        arrange: |cast| cast.told(Who::Survivor, "lock", ""),
        asleep: |cast| cast.told(Who::Survivor, "unlock", ""),
        after: holds,
        ..ALONE
    },
    Operation {
        name: "unlock",
        scene: |stage| {
            let segment = stage.segment();
            let lock = leak(CrossProcessLock::open(segment, LOCK).expect("a lock"));
            let guard = lock.lock_timeout(BOUND).expect("the lock comes");
            let (board, me) = (stage.board, actor::me());
            board.enter_as(guard.previous_owner_died(), me);
            Scene::new(props(segment, None), move || {
                board.leave_as(me);
                drop(guard);
                Answer::new("ok", props(segment, None))
            })
        },
        ..ALONE
    },
    Operation {
        name: "semaphore",
        scene: semaphore,
        ..ALONE
    },
    Operation {
        name: "semaphore of the dead",
        scene: semaphore,
        arrange: |cast| cast.told(Who::Survivor, "permits", "2"),
        ready: |cast| cast.dies(Who::Dead, "grasp"),
        after: |cast, _| cast.told(Who::Survivor, "give permits", ""),
        ..ALONE
    },
    Operation {
        name: "event set",
        scene: |stage| {
            by_process(stage, |segment| {
                let event = leak(CrossProcessEvent::open(segment, EVENT).expect("an event"));
                || text(&event.set_with(EventKind::Custom(7), SAID))
            })
        },
        ..ALONE
    },
    Operation {
        name: "state set",
        scene: |stage| {
            by_process(stage, |segment| {
                let store = store(segment);
                || text(&store.set("single", NEW))
            })
        },
        ..ALONE
    },
    Operation {
        name: "transaction",
        scene: |stage| {
            by_process(stage, |segment| {
                let store = store(segment);
                || {
                    text(&store.transaction(|transaction| {
                        for key in KEYS {
                            transaction.set(key, NEW)?;
                        }
                        Ok::<_, StateError>(())
                    }))
                }
            })
        },
        ..ALONE
    },
];

fn lock(stage: &Stage) -> Scene {
    let segment = stage.segment();
    let lock = leak(CrossProcessLock::open(segment, LOCK).expect("a lock"));
    let (board, me) = (stage.board, actor::me());
    // This thread has its slot before the act.
    let other = leak(CrossProcessLock::open(segment, "another").expect("a lock"));
    drop(other.lock_timeout(BOUND).expect("the lock comes"));
    Scene::new(props(segment, None), move || {
        match lock.lock_timeout(BOUND) {
            Ok(guard) => {
                let died = guard.previous_owner_died();
                board.enter_as(died, me);
                if died {
                    guard.mark_consistent();
                }
                Answer::new("holds", props(segment, None)).keeping(guard)
            }
            Err(error) => Answer::new(format!("refused: {error}"), props(segment, None)),
        }
    })
}

/// While the stopped one has the lock nobody else gets it.
fn holds(cast: &mut Cast, who: Who) -> Played {
    let holds = cast.said(who) == "holds";
    if holds && !cast.is_replaced {
        cast.told(Who::Survivor, "locked out", "")?;
    }
    let what = if holds { "lock" } else { "" };
    cast.told(who, "drop what it kept", what)
}

fn semaphore(stage: &Stage) -> Scene {
    by_process(stage, |segment| {
        let semaphore = CrossProcessSemaphore::open(segment, PERMITS.0, PERMITS.1);
        let semaphore = leak(semaphore.expect("a semaphore"));
        || text(&semaphore.acquire_timeout(BOUND))
    })
}

fn store(segment: &Segment) -> &'static SharedStateManager {
    leak(SharedStateManager::open(segment).expect("the shared state"))
}
