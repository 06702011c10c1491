//! Waiting without being attached, and giving a shutdown more time from outside.

use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Child, HANG, Place, Shutdown, both, both_with, event, once};
use ebbtide::{
    CoordinationError, Mode, Phase, Scope, SegmentError, ShutdownCoordinator, ShutdownRequest,
};

fn wait(child: &Child) {
    let observer = child.options.observe(Place::NAME).unwrap();
    let seen = observer.status().unwrap();
    event("looks");
    let woken = observer.wait_for_change(seen.phase, seen.mode, HANG);
    let now = observer.status().unwrap();
    event(&format!("saw {woken:?} {} {}", now.phase, now.mode));
    child.order();
}

#[test]
fn an_observer_sleeps_on_the_segment_and_is_woken_by_a_change() {
    both_with(here!(), &[("wait", wait)], |place| {
        let segment = place.create();
        let _runner = place.runner(&segment, "a");
        let coordinator = ShutdownCoordinator::new(&segment);
        let watch = || {
            let mut child = crate::support::Agent::spawn(place, "wait", None);
            child.event("looks");
            child.until_asleep();
            child
        };
        let mut child = watch();
        coordinator.begin(Duration::from_secs(60));
        assert_eq!(child.event("saw"), "Ok(true) signaling graceful");
        let mut child = watch();
        coordinator.escalate(&Scope::All, Mode::Fast).unwrap();
        assert_eq!(child.event("saw"), "Ok(true) signaling fast");
        let mut child = watch();
        coordinator.cancel_shutdown(&Scope::All).unwrap();
        assert_eq!(child.event("saw"), "Ok(true) running graceful");
    });
}

#[test]
fn nothing_changes_within_the_timeout() {
    once(here!(), |place| {
        let segment = place.create();
        let observer = place.observe();
        let wait = |phase, timeout| observer.wait_for_change(phase, Mode::Graceful, timeout);
        assert_is!(wait(Phase::Running, Duration::ZERO), Ok(false));
        assert_is!(wait(Phase::Running, Duration::from_millis(20)), Ok(false));
        // Another than these is there already: no wait.
        assert_is!(wait(Phase::Draining, HANG), Ok(true));
        drop(segment);
    });
}

#[test]
fn a_coordinator_extends_without_progress_up_to_the_cap() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let more = Duration::from_secs(40);
        let extend = || coordinator.extend(&Scope::All, more);
        assert_is!(extend(), Err(CoordinationError::NotShuttingDown));
        let mut runner = place.runner(&segment, "a");
        let request = ShutdownRequest::new()
            .timeout(Duration::from_secs(100))
            .cap(Duration::from_secs(160));
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        let left = || coordinator.status().unwrap();
        let before = left();
        assert_eq!(extend().unwrap(), more);
        let after = left();
        assert!(after.remaining.unwrap() > before.remaining.unwrap());
        assert!(after.phase_remaining.unwrap() > Duration::from_secs(40));
        // Signaling is 10 s of the 100, so there is more to give than the whole has.
        assert_eq!(extend().unwrap(), more);
        assert_eq!(extend().unwrap(), more);
        assert_eq!(extend().unwrap(), Duration::from_secs(30));
        assert_is!(extend(), Err(CoordinationError::CapReached));
        assert!(left().remaining.unwrap() <= Duration::from_secs(160));
        runner.tell("run");
        assert_eq!(runner.event("run"), "Completed a=Completed");
        assert_is!(extend(), Err(CoordinationError::NotShuttingDown));
        runner.quit();
        assert_is!(
            coordinator.extend(&Scope::runner("nobody"), more),
            Err(CoordinationError::NoSuchRunner { .. })
        );
    });
}

#[test]
fn one_runners_shutdown_is_extended_alone_and_its_sleeper_learns_of_it() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        assert_eq!(runner.ask("begin"), "ok");
        let scope = Scope::runner("a");
        let request = ShutdownRequest::new()
            .timeout(Duration::from_secs(3))
            .cap(Duration::from_secs(3600));
        coordinator.initiate_shutdown(&scope, &request).unwrap();
        runner.tell("run");
        let granted = coordinator.extend(&scope, Duration::from_secs(1800));
        assert_eq!(granted.unwrap(), Duration::from_secs(1800));
        assert_is!(
            coordinator.extend(&Scope::All, Duration::from_secs(1)),
            Err(CoordinationError::NotShuttingDown)
        );
        // Past what the budget was: it drains still, and is not forced.
        let (_keep, never) = mpsc::channel::<()>();
        let waited = never.recv_timeout(Duration::from_millis(3500));
        assert_eq!(waited, Err(mpsc::RecvTimeoutError::Timeout));
        assert_eq!(runner.ask("phase"), "draining");
        assert_eq!(runner.ask("end"), "ok");
        assert_eq!(runner.event("run"), "Completed a=Completed");
        runner.quit();
    });
}

#[test]
fn an_observed_control_word_may_be_impossible() {
    once(here!(), |place| {
        let segment = place.create();
        let observer = place.observe();
        let size = std::fs::metadata(place.file()).unwrap().len();
        drop(segment);
        // Everything but the header, which was checked before.
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(place.file())
            .unwrap();
        let bytes = vec![0xff; usize::try_from(size - 4096).unwrap()];
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 4096).unwrap();
        assert_is!(
            observer.wait_for_change(Phase::Running, Mode::Graceful, HANG),
            Err(SegmentError::Corrupt { .. })
        );
        place.options.remove(Place::NAME, true).unwrap();
    });
}
