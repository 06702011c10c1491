//! Events, semaphores, barriers.

use ebbtide::EventKind;

use super::lock::nothing;
use super::{ALONE, Operation};
use crate::harness::peer::Peer;
use crate::harness::stage::{Kept, PERMITS, SAID, Stage, TURNSTILE};

pub const ALL: &[Operation] = &[
    Operation {
        name: "event set",
        scene: |stage| {
            let event = stage.event();
            Box::new(move || {
                let set = event.set_with(EventKind::Custom(7), SAID);
                Box::new(set.expect("nobody is stopped in a set"))
            })
        },
        arrange: |peer| {
            peer.event.clear().expect("not forked");
            peer.wait_for_event();
        },
        after: Peer::event_works,
        ..ALONE
    },
    Operation {
        name: "event wait",
        scene: |stage| {
            let event = stage.event();
            Box::new(move || Box::new(event.wait(None).expect("not forked")))
        },
        arrange: |peer| peer.event.clear().expect("not forked"),
        asleep: |peer| {
            peer.event.set().expect("nobody is stopped in a set");
        },
        after: Peer::event_works,
        ..ALONE
    },
    Operation {
        name: "semaphore",
        scene: |stage| {
            let semaphore = stage.semaphore(PERMITS.0, PERMITS.1);
            Box::new(move || {
                drop(semaphore.acquire().expect("a permit"));
                nothing()
            })
        },
        after: Peer::permits_are_back,
        ..ALONE
    },
    Operation {
        name: "semaphore wait",
        scene: |stage| {
            let semaphore = stage.semaphore(TURNSTILE, 1);
            Box::new(move || Box::new(semaphore.acquire().expect("a permit")))
        },
        arrange: Peer::hold_permit,
        asleep: Peer::let_go,
        after: Peer::permits_are_back,
        ..ALONE
    },
    Operation {
        name: "barrier wait",
        scene: arrive,
        asleep: Peer::arrive,
        after: Peer::barrier_works,
        ..ALONE
    },
    Operation {
        name: "barrier, last",
        scene: arrive,
        arrange: Peer::wait_at_barrier,
        after: Peer::barrier_works,
        ..ALONE
    },
];

fn arrive(stage: &Stage) -> crate::harness::stage::Act {
    let barrier = stage.barrier();
    Box::new(move || -> Kept { Box::new(barrier.wait().expect("it is whole")) })
}
