//! What the library does not do, done here so that the harness is seen to find it out.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::lock::nothing;
use super::{ALONE, Operation};
use crate::harness::peer::Peer;

pub const ALL: &[Operation] = &[
    Operation {
        name: "twin: spin lock",
        scene: |stage| {
            let spin = &stage.board.spin;
            Box::new(move || {
                while spin
                    .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                    .is_err()
                {
                    std::hint::spin_loop();
                }
                spin.store(0, Ordering::Release);
                nothing()
            })
        },
        after: |peer: &mut Peer| {
            let begin = Instant::now();
            let spin = &peer.board.spin;
            while spin.load(Ordering::Acquire) != 0 {
                assert!(
                    begin.elapsed() < Duration::from_millis(20),
                    "the spin lock is lost"
                );
            }
        },
        ..ALONE
    },
    Operation {
        name: "twin: torn values",
        scene: |stage| {
            let values = &stage.board.values;
            Box::new(move || {
                for value in values {
                    value.fetch_add(1, Ordering::Release);
                }
                nothing()
            })
        },
        after: |peer: &mut Peer| {
            let values = peer
                .board
                .values
                .each_ref()
                .map(|v| v.load(Ordering::Acquire));
            assert!(
                values.iter().all(|value| *value == values[0]),
                "torn: {values:?}"
            );
        },
        ..ALONE
    },
    Operation {
        name: "twin: two locks as one",
        // Whoever takes another lock than everybody else is not excluded.
        scene: |stage| {
            let segment = stage.segment();
            let wrong = ebbtide::CrossProcessLock::open(segment, "another lock");
            let wrong = crate::harness::stage::leak(wrong.expect("a lock"));
            let board = stage.board;
            Box::new(move || {
                let guard = wrong.lock().expect("the lock");
                board.enter(guard.previous_owner_died());
                Box::new(guard)
            })
        },
        ..ALONE
    },
];
