//! A runner that is late does not keep healthy ones from closing what it needs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Agent, Child, Place, both_with, event};
use ebbtide::{
    CleanupReport, Mode, Outcome, Phase, ResourceManager, ResourceOptions, ResourceReport,
    ResourceState, ResourceType, Runner, Scope, Segment, SegmentOptions, ShutdownCoordinator,
    ShutdownRequest,
};

type Closed = Arc<Mutex<Vec<&'static str>>>;

/// A runner whose resource needs one of another runner, and which never closes it.
fn needing(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "late").unwrap();
    let manager = ResourceManager::new(&runner);
    let options = ResourceOptions::new().depends_on_named("first/queue");
    manager
        .register_resource("feed", ResourceType::Custom, options)
        .unwrap();
    event("up");
    child.order();
}

fn healthy(
    segment: &Segment,
    id: &str,
    name: &'static str,
    on: Option<&str>,
    to: &Closed,
) -> Runner {
    let runner = Runner::join(segment, id).unwrap();
    let to = Arc::clone(to);
    let mut options = ResourceOptions::new().cleanup(move |_| {
        to.lock().unwrap().push(name);
        Ok::<_, std::io::Error>(())
    });
    if let Some(on) = on {
        options = options.depends_on_named(on);
    }
    ResourceManager::new(&runner)
        .register_resource(name, ResourceType::Queue, options)
        .unwrap();
    runner
}

fn late(place: &Place, segment: &Segment) -> Agent {
    let mut agent = Agent::spawn(place, "needing", Some(segment));
    agent.event("up");
    agent
}

#[track_caller]
fn only(resources: &[ResourceReport]) -> (ResourceState, &str) {
    let [resource] = resources else {
        panic!("{resources:?}")
    };
    (resource.state, resource.error.as_deref().unwrap_or(""))
}

/// One stopped process: what it needs is closed all the same, in the order of the healthy.
#[test]
fn what_a_stopped_runner_needs_is_closed_before_the_deadline() {
    both_with(here!(), &[("needing", needing)], |place| {
        let segment = place.create();
        let closed = Closed::default();
        // The base is needed by the queue, and the queue by the one that is stopped.
        let base = healthy(&segment, "base", "base", None, &closed);
        let first = healthy(&segment, "first", "queue", Some("base/base"), &closed);
        let late = late(place, &segment);
        late.stop();
        let request = ShutdownRequest::new().timeout(Duration::from_secs(6));
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator
            .initiate_shutdown(&Scope::All, &request.shares([50, 50, 900]).unwrap())
            .unwrap();
        let [of_first, of_base] = std::thread::scope(|scope| {
            [&first, &base]
                .map(|runner| scope.spawn(|| runner.run_shutdown().unwrap()))
                .map(|thread| thread.join().unwrap())
        });
        assert_eq!(*closed.lock().unwrap(), ["queue", "base"]);
        let told = "closed before late/feed, which still needed it and did not close in time";
        assert_eq!(only(&of_first.resources), (ResourceState::Closed, told));
        assert_eq!(only(&of_base.resources), (ResourceState::Closed, ""));
        let report = coordinator.report(&Scope::All).unwrap();
        let of = |id: &str| {
            let mut runners = report.runners.iter();
            runners.find(|r| r.id == id).unwrap().outcome.clone()
        };
        // Its queue was closed out of order.
        assert_eq!(of("first"), Some(Outcome::CompletedWithFailures));
        assert_eq!(of("base"), Some(Outcome::Completed));
        late.go_on();
        late.quit();
    });
}

/// Outside of a shutdown the others are not late: they work.
#[test]
fn what_a_working_runner_needs_is_not_closed_before_it() {
    both_with(here!(), &[("needing", needing)], |place| {
        let segment = place.create();
        let closed = Closed::default();
        let first = healthy(&segment, "first", "queue", None, &closed);
        let late = late(place, &segment);
        let manager = ResourceManager::new(&first);
        let report: CleanupReport = manager
            .cleanup_resources(Duration::from_millis(50))
            .unwrap();
        let (state, error) = only(&report.resources);
        assert_eq!(state, ResourceState::TimedOut);
        assert_eq!(error, "the deadline passed while late/feed needed it");
        assert!(closed.lock().unwrap().is_empty());
        late.quit();
    });
}

/// A hung handler, drain or cleanup has its second, and what did not run says so.
#[test]
fn immediate_ends_soon_whatever_hangs() {
    const FOREVER: Duration = Duration::from_secs(3600);
    both_with(here!(), &[], |place| {
        for phase in Phase::ACKNOWLEDGED {
            let options = SegmentOptions::new().directory(place.directory());
            let options = options.liveness(place.liveness);
            let segment = options.create(&format!("hung-in-{phase}")).unwrap();
            let runner = Runner::join(&segment, "a").unwrap();
            let (hung, is_hung) = std::sync::mpsc::channel();
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let ended = Mutex::new(ended);
            runner
                .register_shutdown_handler(phase, 1, "hangs", move |_| {
                    hung.send(()).unwrap();
                    let _ = ended.lock().unwrap().recv();
                })
                .unwrap();
            runner
                .register_shutdown_handler(phase, 0, "next", |_| {})
                .unwrap();
            let coordinator = ShutdownCoordinator::new(&segment);
            let request = ShutdownRequest::new().timeout(FOREVER);
            coordinator
                .initiate_shutdown(&Scope::All, &request)
                .unwrap();
            let report = std::thread::scope(|scope| {
                let running = scope.spawn(|| runner.run_shutdown().unwrap());
                is_hung.recv().unwrap();
                coordinator.escalate(&Scope::All, Mode::Immediate).unwrap();
                running.join().unwrap()
            });
            drop(end);
            assert!(report.total < FOREVER / 10, "{:?}", report.total);
            let outcomes = report.handlers.iter().map(|h| format!("{:?}", h.outcome));
            assert_eq!(outcomes.collect::<Vec<_>>(), ["Abandoned", "Skipped"]);
        }
    });
}
