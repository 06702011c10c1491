//! Calls in a closure of a runner that would wait for that closure are refused at once.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::support::{Shutdown, both, poll_once, until_true};
use ebbtide::{
    CoordinationError, Phase, ResourceError, ResourceManager, ResourceOptions, ResourceType,
    Runner, Scope, Segment, ShutdownCoordinator, ShutdownOutcome, ShutdownRequest,
};

const FOREVER: Duration = Duration::from_secs(3600);

type Said = Arc<Mutex<Vec<(&'static str, String)>>>;

/// What each call in a closure of `runner` says.
fn calls(segment: &Segment, runner: &Runner, said: &Said, place: &'static str) {
    let coordinator = ShutdownCoordinator::new(segment);
    let manager = ResourceManager::new(runner);
    let say = |result: Result<(), CoordinationError>| {
        let text = match result {
            Err(CoordinationError::WithinShutdown { id, call }) => format!("{id}: {call}"),
            other => format!("{other:?}"),
        };
        said.lock().unwrap().push((place, text));
    };
    say(runner.run_shutdown().map(drop));
    say(match manager.cleanup_resources(FOREVER) {
        Err(ResourceError::Coordination(error)) => Err(error),
        other => panic!("{other:?}"),
    });
    for scope in [Scope::All, Scope::runner("a")] {
        say(coordinator
            .wait_for_shutdown_complete(&scope, FOREVER)
            .map(drop));
        let future = std::pin::pin!(coordinator.shutdown_complete(&scope).unwrap());
        say(poll_once(future).unwrap().map(drop));
        let descriptor = coordinator.shutdown_complete(&scope).unwrap().pollable();
        say(descriptor.map(drop));
    }
    say(coordinator.wait_gone(1, FOREVER));
    let future = std::pin::pin!(coordinator.gone(1));
    say(poll_once(future).unwrap());
}

const CALLS: [&str; 10] = [
    "a: run_shutdown",
    "a: cleanup_resources",
    "a: wait_for_shutdown_complete",
    "a: shutdown_complete",
    "a: shutdown_complete",
    "a: wait_for_shutdown_complete",
    "a: shutdown_complete",
    "a: shutdown_complete",
    "a: wait_gone",
    "a: gone",
];

#[test]
fn a_call_in_a_closure_that_would_wait_for_it_is_refused_at_once() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Arc::new(Runner::join(&segment, "a").unwrap());
        let manager = ResourceManager::new(&runner);
        let said = Said::default();
        let within = |place: &'static str| {
            let (segment, said) = (segment.clone(), Arc::clone(&said));
            let runner: Weak<Runner> = Arc::downgrade(&runner);
            move || calls(&segment, &runner.upgrade().unwrap(), &said, place)
        };
        let handler = within("handler");
        runner
            .register_shutdown_handler(Phase::Signaling, 0, "handler", move |_| handler())
            .unwrap();
        let (drain, cleanup, force) = (within("drain"), within("cleanup"), within("force"));
        let (overruns, ended) = std::sync::mpsc::channel::<()>();
        let done = |run: Box<dyn Fn() + Send>| {
            move |_: &ebbtide::CleanupContext| {
                run();
                Ok::<_, std::io::Error>(())
            }
        };
        let options = ResourceOptions::new()
            .drain(done(Box::new(drain)))
            .cleanup(done(Box::new(cleanup)));
        manager
            .register_resource("kept", ResourceType::Custom, options)
            .unwrap();
        let hang = move || {
            let _ = ended.recv();
        };
        let options = ResourceOptions::new()
            .timeout(Duration::from_millis(500))
            .cleanup(done(Box::new(hang)))
            .force(done(Box::new(force)));
        manager
            .register_resource("forced", ResourceType::Custom, options)
            .unwrap();

        ShutdownCoordinator::new(&segment).begin(FOREVER);
        let report = runner.run_shutdown().unwrap();
        drop(overruns);
        assert!(report.total < FOREVER / 2);
        until_true("the force closure has run", || {
            let said = said.lock().unwrap();
            said.iter()
                .any(|(of, text)| (*of, text.as_str()) == ("force", CALLS[0]))
        });
        let said = said.lock().unwrap();
        for place in ["handler", "drain", "cleanup"] {
            let of_it = said.iter().filter(|(of, _)| *of == place);
            let of_it: Vec<_> = of_it.map(|(_, text)| text.as_str()).collect();
            assert_eq!(of_it, CALLS, "{place}");
        }
    });
}

#[test]
fn another_runners_calls_in_a_closure_are_allowed_unless_they_wait_for_it() {
    both(here!(), |place| {
        let segment = place.create();
        let a = Arc::new(Runner::join(&segment, "a").unwrap());
        let b = Arc::new(Runner::join(&segment, "b").unwrap());
        let c = Arc::new(Runner::join(&segment, "c").unwrap());
        let results = Arc::new(Mutex::new(Vec::new()));
        let (said, of, coordinator) = (
            Arc::clone(&results),
            (Arc::clone(&b), Arc::clone(&c)),
            ShutdownCoordinator::new(&segment),
        );
        a.register_shutdown_handler(Phase::Draining, 0, "others", move |_| {
            let (b, c) = &of;
            // Of b alone: it waits for nobody else.
            let request = ShutdownRequest::new().timeout(FOREVER);
            coordinator
                .initiate_shutdown(&Scope::runner("b"), &request)
                .unwrap();
            let of_b = b.run_shutdown().map(|report| report.outcome);
            // Of all: the group waits for a, whose handler this is.
            coordinator
                .initiate_shutdown(&Scope::All, &request)
                .unwrap();
            let of_c = c.run_shutdown().map(|report| report.outcome);
            said.lock().unwrap().push((of_b, of_c));
        })
        .unwrap();
        let request = ShutdownRequest::new().timeout(FOREVER);
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator
            .initiate_shutdown(&Scope::runner("a"), &request)
            .unwrap();
        let first = a.run_shutdown().unwrap();
        assert_eq!(first.outcome, ShutdownOutcome::Completed);
        let (of_b, of_c) = results.lock().unwrap().pop().unwrap();
        assert_is!(of_b, Ok(ShutdownOutcome::Completed));
        assert_is!(of_c, Err(CoordinationError::WithinShutdown { id, .. }) if id == "a");
        // Outside of it, it is done.
        let report = c.run_shutdown().unwrap();
        assert_eq!(report.outcome, ShutdownOutcome::Completed);
    });
}

#[test]
fn a_runner_that_leaves_in_its_handler_waits_for_nobody() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Arc::new(Runner::join(&segment, "a").unwrap());
        let in_handler = Arc::downgrade(&runner);
        runner
            .register_shutdown_handler(Phase::Signaling, 0, "goes", move |_| {
                in_handler.upgrade().unwrap().leave();
            })
            .unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(FOREVER);
        let error = runner.run_shutdown().unwrap_err();
        assert_is!(error, CoordinationError::Left { .. });
        let report = coordinator.complete();
        assert!(report.total < FOREVER / 2);
        drop((runner, coordinator, segment));
        // The thread of the handler may be about to drop its hold on the runner.
        until_true("nobody is attached", || place.status().attached == 0);
    });
}
