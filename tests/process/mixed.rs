//! Processes on both liveness back ends in one segment understand one another.

use std::time::Duration;

use ebbtide::{CrossProcessLock, Liveness, LockError, Phase, Segment, ShutdownCoordinator};

use crate::support::{self, Agent, HANG, Place, Shutdown, once};

/// A budget that no test lives to see the end of: what completes did so without it.
const FOREVER: Duration = Duration::from_secs(3600);

/// A registered child on this back end.
fn runner(place: &Place, segment: &Segment, id: &str, liveness: Liveness) -> Agent {
    let mut agent = Agent::spawn_on(place, segment, liveness);
    assert_eq!(agent.ask(&format!("join {id}")), "ok");
    agent
}

/// The mark of a dead holder's life word says nothing about the one who has the slot
/// after it, whichever back end it is on.
#[test]
fn a_slot_of_a_killed_process_is_as_good_as_new_on_the_other_back_end() {
    once(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        for (round, [dies, follows]) in [
            [Liveness::Auto, Liveness::Portable],
            [Liveness::Portable, Liveness::Auto],
        ]
        .into_iter()
        .enumerate()
        {
            let mut first = runner(place, &segment, &format!("dies-{round}"), dies);
            first.tell("lock device 30000");
            first.event("lock");
            first.kill();
            segment.reap().unwrap();
            let id = format!("follows-{round}");
            let mut second = runner(place, &segment, &id, follows);
            second.tell("lock device 30000");
            second.event("lock");
            // Looked at by those of both back ends, it lives, and so does its lock.
            let lock = CrossProcessLock::open(&segment, "device").unwrap();
            assert_is!(lock.try_lock(), Err(LockError::WouldBlock { .. }));
            segment.reap().unwrap();
            let status = place.status();
            let seen = status.runners.iter().find(|runner| runner.id == id);
            assert!(seen.is_some_and(|runner| runner.alive), "{status:?}");
            second.kill();
            drop(lock.lock_timeout(HANG).unwrap());
            segment.reap().unwrap();
        }
        drop(coordinator);
    });
}

/// Whoever is killed is counted out by whoever is left.
#[test]
fn a_killed_process_of_either_back_end_is_counted_out_by_the_other() {
    for dies in [Liveness::Auto, Liveness::Portable] {
        once(here!(), |place| {
            let segment = place.create();
            let coordinator = ShutdownCoordinator::new(&segment);
            let mut quick = runner(place, &segment, "quick", Liveness::Auto);
            let mut portable = runner(place, &segment, "portable", Liveness::Portable);
            let mut victim = runner(place, &segment, "victim", dies);
            quick.tell("run");
            portable.tell("run");
            coordinator.begin(FOREVER);
            place.until_blocked_by(Phase::Signaling, "victim");
            victim.kill();
            let expected = "Died portable=Completed quick=Completed victim=Died";
            assert_eq!(quick.event("run"), expected);
            assert_eq!(portable.event("run"), expected);
            assert_eq!(support::summary(&coordinator.complete()), expected);
        });
    }
}
