//! A runner knows of a shutdown as soon as a call has said so; what it finishes then is drained.

use std::time::Duration;

use crate::support::{Agent, Child, Place, both, both_with, event, is_readable, until_true};
use ebbtide::{
    CoordinationError, Outcome, Phase, Runner, Scope, Segment, SegmentOptions, ShutdownCoordinator,
    ShutdownOutcome, ShutdownRequest,
};

const FOREVER: Duration = Duration::from_secs(3600);

/// Signaling has a tenth of a second, and the rest is long enough.
fn short_signaling() -> ShutdownRequest {
    let request = ShutdownRequest::new().timeout(Duration::from_secs(100));
    request.shares([1, 500, 499]).unwrap()
}

/// The loop of the README, with items that take as long as they are told.
fn readme(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "runner-1").unwrap();
    while let Ok(item) = runner.begin() {
        event("begun");
        child.order();
        drop(item);
        if runner.is_shutting_down() {
            break;
        }
    }
    let report = runner.run_shutdown().unwrap();
    event(&format!("ended {:?}", report.outcome));
    child.order();
}

/// The loop of the guide.
fn guide(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "runner-1").unwrap();
    while !runner.is_shutting_down() {
        match runner.begin() {
            Ok(item) => {
                event("begun");
                child.order();
                runner.progress();
                drop(item);
            }
            Err(CoordinationError::Draining { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let report = runner.run_shutdown().unwrap();
    event(&format!("ended {:?}", report.outcome));
    child.order();
}

fn item_outlasts_signaling(place: &Place, role: &str) {
    let segment: Segment = place.create();
    let mut runner = Agent::spawn(place, role, Some(&segment));
    runner.event("begun");
    let coordinator = ShutdownCoordinator::new(&segment);
    coordinator
        .initiate_shutdown(&Scope::All, &short_signaling())
        .unwrap();
    // Somebody waits, so the phase is forced when its share is over.
    let waiter = std::thread::spawn(move || {
        coordinator
            .wait_for_shutdown_complete(&Scope::All, FOREVER)
            .unwrap()
    });
    // The item outlasts Signaling's share.
    place.until_phase(Phase::Draining);
    runner.tell("done");
    assert_eq!(runner.event("ended"), "Completed");
    let report = waiter.join().unwrap();
    assert_eq!(report.outcome, ShutdownOutcome::Completed);
    assert_eq!(report.runners[0].outcome, Some(Outcome::Completed));
    assert_eq!(report.runners[0].blocked_in, None);
    runner.quit();
}

#[test]
fn the_loop_of_the_readme_never_times_out_falsely() {
    both_with(here!(), &[("readme", readme)], |place| {
        item_outlasts_signaling(place, "readme");
    });
}

#[test]
fn the_loop_of_the_guide_never_times_out_falsely() {
    both_with(here!(), &[("guide", guide)], |place| {
        item_outlasts_signaling(place, "guide");
    });
}

/// Each way to be told of a shutdown.
#[test]
fn who_was_told_of_the_shutdown_has_done_signaling() {
    type Tell = fn(&Runner);
    let ways: [Tell; 5] = [
        |runner| assert!(runner.is_shutting_down()),
        |runner| {
            let told = runner.wait_for_shutdown(Some(FOREVER)).unwrap();
            assert!(told);
        },
        |runner| smol::block_on(runner.shutdown_begun()).unwrap(),
        |runner| {
            let notifier = runner.shutdown_notifier().unwrap();
            until_true("it is readable", || is_readable(&notifier));
        },
        |runner| {
            // It only looks: the phase is acknowledged by hand.
            assert_eq!(runner.phase(), Phase::Signaling);
            let changed = runner.wait_for_change(Phase::Running, runner.mode(), None);
            assert!(changed.unwrap());
            assert_eq!(runner.phase(), Phase::Signaling);
            runner.acknowledge(Phase::Signaling).unwrap();
        },
    ];
    both(here!(), |place| {
        for (way, tell) in ways.into_iter().enumerate() {
            for scope in [Scope::All, Scope::runner("a")] {
                let name = format!("way-{way}-{}", scope == Scope::All);
                let options = SegmentOptions::new().directory(place.directory());
                let options = options.liveness(place.liveness);
                let segment = options.create(&name).unwrap();
                let runner = Runner::join(&segment, "a").unwrap();
                let coordinator = ShutdownCoordinator::new(&segment);
                let request = ShutdownRequest::new().timeout(FOREVER);
                coordinator.initiate_shutdown(&scope, &request).unwrap();
                tell(&runner);
                assert_eq!(runner.phase(), Phase::Draining);
                // Refused from now on; said again it is nothing new.
                assert!(runner.begin().is_err() && runner.is_shutting_down());
                // Called off and begun again, it is told again.
                coordinator.cancel_shutdown(&scope).unwrap();
                assert!(!runner.is_shutting_down());
                coordinator.initiate_shutdown(&scope, &request).unwrap();
                assert_eq!(runner.phase(), Phase::Signaling);
                tell(&runner);
                assert_eq!(runner.phase(), Phase::Draining);
                let report = runner.run_shutdown().unwrap();
                assert_eq!(report.outcome, ShutdownOutcome::Completed);
            }
        }
    });
}

/// With a handler for it, Signaling is done when that has run.
#[test]
fn a_handler_of_signaling_is_what_the_phase_waits_for() {
    both(here!(), |place| {
        let segment = place.create();
        let [with, without] = ["with", "without"].map(|id| Runner::join(&segment, id).unwrap());
        with.register_shutdown_handler(Phase::Signaling, 0, "tell", |_| event("told"))
            .unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        let request = ShutdownRequest::new().timeout(FOREVER);
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        for runner in [&without, &with] {
            assert!(runner.is_shutting_down());
            assert!(runner.wait_for_shutdown(None).unwrap());
        }
        let laggards = coordinator.laggards(&Scope::All).unwrap();
        assert_eq!(laggards.len(), 1);
        assert_eq!(laggards[0].id, "with");
        assert_eq!(with.phase(), Phase::Signaling);
        std::thread::scope(|scope| {
            for runner in [&with, &without] {
                scope.spawn(|| runner.run_shutdown().unwrap());
            }
        });
    });
}
