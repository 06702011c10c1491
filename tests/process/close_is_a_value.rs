//! Every close, leave and detach may be repeated; what cannot be is a typed error.

use std::time::Duration;

use crate::support::{self, Place, Shutdown, both};
use ebbtide::{
    CoordinationError, CrossProcessLock, Phase, Runner, Scope, SegmentError, ShutdownCoordinator,
};

#[test]
fn leaving_may_be_repeated() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        let item = runner.begin().unwrap();
        runner.leave();
        runner.leave();
        runner.fail("too late to say so");
        runner.leave_forced();
        // An item may outlive its runner's time.
        drop(item);
        assert_is!(runner.begin(), Err(CoordinationError::Left { .. }));
        assert_is!(
            runner.acknowledge(Phase::Signaling),
            Err(CoordinationError::Left { .. })
        );
        assert_is!(runner.run_shutdown(), Err(CoordinationError::Left { .. }));
        assert_is!(
            runner.wait_for_shutdown(None),
            Err(CoordinationError::Left { .. })
        );
        assert_is!(
            runner.extend(Duration::ZERO),
            Err(CoordinationError::Left { .. })
        );
        assert_is!(
            runner.set_last_words("x"),
            Err(CoordinationError::Left { .. })
        );
        runner.progress();
        runner.set_activity("nothing");
        let report = coordinator.report(&Scope::runner("a")).unwrap();
        assert_eq!(support::summary(&report), "Completed a=Completed");
        drop(runner);
        assert_eq!(
            support::summary(&coordinator.report(&Scope::runner("a")).unwrap()),
            "Completed a=Completed"
        );
    });
}

#[test]
fn a_spent_handle_does_not_touch_the_next_holder_of_its_slot() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let old = Runner::join(&segment, "a").unwrap();
        coordinator.begin(Duration::from_secs(3600));
        old.run_shutdown().unwrap();
        coordinator.begin_generation().unwrap();
        // The slot of the ended generation is used first.
        let mut new = place.runner(&segment, "a");
        old.leave();
        old.fail("not me");
        old.progress();
        old.set_activity("not me");
        drop(old);
        let status = place.status();
        assert_eq!(status.runners.len(), 1);
        assert!(status.runners[0].alive && status.runners[0].outcome.is_none());
        assert_eq!(
            (status.runners[0].progress, &status.runners[0].activity),
            (0, &None)
        );
        assert_eq!(new.ask("check"), "false false");
    });
}

#[test]
fn acting_twice_on_a_shutdown_is_told_by_type() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        assert_is!(
            runner.run_shutdown(),
            Err(CoordinationError::NotShuttingDown)
        );
        coordinator.begin(Duration::from_secs(3600));
        coordinator.cancel_shutdown(&Scope::All).unwrap();
        assert_is!(
            coordinator.cancel_shutdown(&Scope::All),
            Err(CoordinationError::NotShuttingDown)
        );
        assert_is!(
            runner.run_shutdown(),
            Err(CoordinationError::NotShuttingDown)
        );
        coordinator.begin(Duration::from_secs(3600));
        let report = runner.run_shutdown().unwrap();
        // Again, and by several threads: the same report.
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert_eq!(runner.run_shutdown().unwrap(), report));
            }
        });
        assert_is!(
            coordinator.cancel_shutdown(&Scope::All),
            Err(CoordinationError::TooLate { .. })
        );
        assert_is!(
            coordinator.escalate(&Scope::All, ebbtide::Mode::Fast),
            Err(CoordinationError::NotShuttingDown)
        );
    });
}

#[test]
fn removing_twice_is_not_found_and_handles_outlive_the_name() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        place.options.remove(Place::NAME, true).unwrap();
        for force in [false, true] {
            assert_is!(
                place.options.remove(Place::NAME, force),
                Err(SegmentError::NotFound { .. })
            );
        }
        assert_is!(
            place.options.open(Place::NAME),
            Err(SegmentError::NotFound { .. })
        );
        // Those inside go on among themselves.
        drop(lock.lock().unwrap());
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(Duration::from_secs(3600));
        runner.run_shutdown().unwrap();
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Completed a=Completed"
        );
        // But nobody comes in any more, not even by a handle.
        let late = Runner::join(&segment, "b").unwrap_err();
        assert_is!(late, CoordinationError::Segment(SegmentError::Stale { .. }));
        let again = place.create();
        drop((lock, runner, coordinator, segment));
        drop(again);
        place.options.open(Place::NAME).unwrap();
    });
}

#[test]
fn dropping_handles_in_any_order_detaches_once() {
    both(here!(), |place| {
        let segment = place.create();
        let observer = place.observe();
        assert_eq!(observer.status().unwrap().attached, 1);
        for round in 0..4 {
            let other = place.options.open(Place::NAME).unwrap();
            assert_eq!(observer.status().unwrap().attached, 2);
            let clone = other.clone();
            let coordinator = ShutdownCoordinator::new(&other);
            let runner = Runner::join(&other, "a").unwrap();
            let lock = CrossProcessLock::open(&other, "device").unwrap();
            drop(lock.lock().unwrap());
            match round {
                0 => drop((other, clone, coordinator, runner, lock)),
                1 => drop((lock, runner, coordinator, clone, other)),
                2 => drop((runner, other, lock, clone, coordinator)),
                // By a thread that never took a lock.
                _ => {
                    let all = (coordinator, lock, other, runner, clone);
                    std::thread::spawn(move || drop(all)).join().unwrap();
                    // This thread's slot is given back at its next chance.
                    let lock = CrossProcessLock::open(&segment, "device").unwrap();
                    drop(lock.lock().unwrap());
                }
            }
            assert_eq!(observer.status().unwrap().attached, 1, "round {round}");
        }
    });
}
