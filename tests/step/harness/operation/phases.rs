//! Joining, working, and the steps of a shutdown.

use std::time::Duration;

use ebbtide::{Phase, ReasonCode, Runner, Scope, ShutdownRequest};

use super::lock::nothing;
use super::{ALONE, Operation};
use crate::harness::peer::{BOUND, Peer};
use crate::harness::stage::leak;

pub const ALL: &[Operation] = &[
    Operation {
        name: "begin and end",
        scene: |stage| {
            let runner = stage.join();
            Box::new(move || {
                drop(runner.begin().expect("it runs"));
                nothing()
            })
        },
        ..ALONE
    },
    Operation {
        name: "join",
        scene: |stage| {
            let segment = stage.segment();
            Box::new(move || Box::new(Runner::join(segment, "victim").expect("the group runs")))
        },
        ..ALONE
    },
    Operation {
        name: "acknowledge",
        scene: acknowledge,
        arrange: Peer::join,
        ready: Peer::initiate,
        ..ALONE
    },
    Operation {
        name: "advance",
        scene: acknowledge,
        arrange: Peer::join,
        ready: initiate_and_acknowledge,
        ..ALONE
    },
    Operation {
        name: "leave",
        scene: leave,
        ..ALONE
    },
    Operation {
        name: "leave, last",
        scene: leave,
        arrange: Peer::join,
        ready: initiate_and_acknowledge,
        ..ALONE
    },
    Operation {
        // It tells what it leaves undone, and is judged.
        name: "leave, undone",
        scene: |stage| {
            let runner = stage.join();
            for (phase, name) in [(Phase::Draining, "flush"), (Phase::Closing, "close")] {
                let registered = runner.register_shutdown_handler(phase, 0, name, |_| ());
                registered.expect("there is room");
            }
            let act = move || {
                runner.leave();
                nothing()
            };
            Box::new(act)
        },
        ready: Peer::initiate,
        ..ALONE
    },
    Operation {
        name: "shorten",
        scene: |stage| {
            let _ = stage.join();
            let coordinator = stage.coordinator();
            let request = leak(ShutdownRequest::new().timeout(Duration::from_secs(300)));
            Box::new(move || {
                let merged = coordinator.initiate_shutdown(&Scope::All, request);
                Box::new(merged.expect("the segment is whole"))
            })
        },
        ready: Peer::initiate,
        ..ALONE
    },
    Operation {
        name: "initiate",
        scene: |stage| {
            let _ = stage.join();
            let coordinator = stage.coordinator();
            let request = leak(ShutdownRequest::new().reason(ReasonCode::Requested, "swept"));
            Box::new(move || {
                let initiated = coordinator.initiate_shutdown(&Scope::All, request);
                Box::new(initiated.expect("the segment is whole"))
            })
        },
        ..ALONE
    },
    Operation {
        name: "cancel",
        scene: |stage| {
            let _ = stage.join();
            let coordinator = stage.coordinator();
            Box::new(move || {
                let cancelled = coordinator.cancel_shutdown(&Scope::All);
                cancelled.expect("it was begun and is not at Closing");
                nothing()
            })
        },
        ready: Peer::initiate,
        ..ALONE
    },
    Operation {
        name: "begin generation",
        scene: |stage| {
            let coordinator = stage.coordinator();
            Box::new(move || Box::new(coordinator.begin_generation().expect("nobody lives")))
        },
        ready: Peer::initiate,
        ..ALONE
    },
    Operation {
        name: "join or begin",
        scene: |stage| {
            let segment = stage.segment();
            Box::new(move || {
                let joined = Runner::join_or_begin(segment, "victim", BOUND);
                Box::new(joined.expect("the old one is over"))
            })
        },
        ready: Peer::initiate,
        ..ALONE
    },
];

fn acknowledge(stage: &crate::harness::stage::Stage) -> crate::harness::stage::Act {
    let runner = stage.join();
    Box::new(move || {
        let acknowledged = runner.acknowledge(Phase::Signaling);
        Box::new(acknowledged.expect("it is published"))
    })
}

fn leave(stage: &crate::harness::stage::Stage) -> crate::harness::stage::Act {
    let runner = stage.join();
    Box::new(move || {
        runner.leave();
        nothing()
    })
}

fn initiate_and_acknowledge(peer: &mut Peer) {
    peer.initiate();
    peer.acknowledge();
}
