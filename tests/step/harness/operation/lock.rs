//! Locks and condition variables.

use super::{ALONE, Operation};
use crate::harness::peer::Peer;
use crate::harness::stage::{Act, Kept, Stage};

pub const ALL: &[Operation] = &[
    Operation {
        name: "lock",
        scene: lock,
        ..ALONE
    },
    Operation {
        name: "unlock",
        scene: |stage| {
            let guard = stage.take(stage.lock());
            let board = stage.board;
            Box::new(move || {
                board.leave();
                drop(guard);
                nothing()
            })
        },
        ..ALONE
    },
    Operation {
        name: "contended wait",
        scene: lock,
        arrange: Peer::hold_lock,
        asleep: Peer::let_go,
        ..ALONE
    },
    Operation {
        name: "condvar wait",
        scene: |stage| {
            let segment = stage.segment();
            let (lock, condvar) = (stage.lock_of(segment), stage.condvar_of(segment));
            let guard = stage.take(lock);
            let board = stage.board;
            Box::new(move || {
                board.leave();
                let guard = condvar.wait(guard).expect("the lock again");
                board.enter(guard.previous_owner_died());
                Box::new(guard)
            })
        },
        asleep: |peer| {
            let _guard = peer.lock.lock().expect("the waiter gave it back");
            peer.condvar.notify_one().expect("not forked");
        },
        after: condvar_works,
        ..ALONE
    },
    Operation {
        name: "condvar notify",
        scene: |stage: &Stage| {
            let condvar = stage.condvar_of(stage.segment());
            Box::new(move || {
                condvar.notify_one().expect("not forked");
                nothing()
            })
        },
        arrange: Peer::wait_for_condvar,
        after: condvar_works,
        ..ALONE
    },
];

/// Takes the lock, waiting for it if somebody holds it.
fn lock(stage: &Stage) -> Act {
    let (lock, board) = (stage.lock(), stage.board);
    Box::new(move || {
        let guard = lock.lock().expect("the lock");
        board.enter(guard.previous_owner_died());
        Box::new(guard)
    })
}

/// A waiter, if there is one, ends; and another one can be notified.
fn condvar_works(peer: &mut Peer) {
    peer.notify_until_over();
    peer.wait_for_condvar();
    peer.notify_until_over();
}

pub(super) fn nothing() -> Kept {
    Box::new(())
}
