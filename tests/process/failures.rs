//! What was not done, or failed, is told to everybody: abandoned runners, failed handlers and
//! cleanups.

use std::time::Duration;

use crate::support::{Shutdown, both, outcome, summary};
use ebbtide::{
    FailureKind, FailureSource, Outcome, Phase, ResourceManager, ResourceOptions, ResourceType,
    Runner, ShutdownCoordinator, ShutdownOutcome,
};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn a_runner_that_goes_away_midway_has_abandoned_what_it_registered() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut leaves, mut exits, mut done] =
            place.runners(&segment, ["leaves", "exits", "done"]);
        for runner in [&mut leaves, &mut exits] {
            assert_eq!(runner.ask("handler closing 0 flush note"), "ok");
        }
        coordinator.begin(FOREVER);
        assert_eq!(leaves.ask("acknowledge signaling"), "InTime");
        assert_eq!(leaves.ask("leave"), "ok");
        // Its process exits, and nobody drops its runner.
        exits.quit();
        done.tell("run");
        assert_eq!(
            done.event("run"),
            "Abandoned done=Completed exits=Abandoned leaves=Abandoned"
        );
        let report = coordinator.complete();
        let told: Vec<_> = report
            .failures()
            .map(|one| (one.name.as_str(), one.source, one.kind, one.phase))
            .collect();
        let flush = (
            "flush",
            FailureSource::Handler,
            FailureKind::Skipped,
            Phase::Closing,
        );
        assert_eq!(told, [flush, flush]);
        assert!(segment.check().unwrap().findings.is_empty());
    });
}

#[test]
fn what_is_left_open_or_in_flight_is_named() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        let manager = ResourceManager::new(&runner);
        let options = ResourceOptions::new().cleanup(|_| Ok::<_, String>(()));
        manager
            .register_resource("queue", ResourceType::Queue, options)
            .unwrap();
        let item = runner.begin().unwrap();
        coordinator.begin(FOREVER);
        std::mem::forget(item);
        drop(runner);
        let report = coordinator.complete();
        assert_eq!(*outcome(&report, "a"), Outcome::Abandoned);
        let names: Vec<_> = report.failures().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["1 item in flight", "queue"]);
        assert!(report.to_string().contains("Abandoned by a"), "{report}");
    });
}

#[test]
fn causes_of_failures_are_kept_for_other_processes() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut far = place.runner(&segment, "far");
        assert_eq!(far.ask("handler closing 0 flush panic"), "ok");
        let near = Runner::join(&segment, "near").unwrap();
        let manager = ResourceManager::new(&near);
        let options = ResourceOptions::new().cleanup(|_| Err::<(), _>("disk full"));
        manager
            .register_resource("cache", ResourceType::File, options)
            .unwrap();
        far.tell("run");
        coordinator.begin(FOREVER);
        near.run_shutdown().unwrap();
        far.event("run");
        // Another attachment knows what the segment says, and nothing else.
        let report = place.observe().report().unwrap();
        assert_eq!(
            summary(&report),
            "CompletedWithFailures far=CompletedWithFailures near=CompletedWithFailures"
        );
        let causes: Vec<_> = report
            .failures()
            .map(|one| (one.runner.as_str(), one.cause.as_str()))
            .collect();
        assert!(causes.contains(&("near", "disk full")), "{causes:?}");
        assert!(causes.contains(&("far", "flush went wrong")), "{causes:?}");
        let cache = report.resources.iter().find(|one| one.name == "cache");
        assert_eq!(cache.unwrap().error.as_deref(), Some("disk full"));
        assert!(segment.check().unwrap().findings.is_empty());
    });
}

#[test]
fn a_runner_goes_in_order_by_itself() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let others = place.runner(&segment, "other");
        let (sender, ran) = std::sync::mpsc::channel();
        runner
            .register_shutdown_handler(Phase::Closing, 0, "flush", move |_| {
                sender.send(()).unwrap();
            })
            .unwrap();
        let report = runner.shut_down(FOREVER).unwrap();
        assert_eq!(report.outcome, ShutdownOutcome::Completed);
        ran.recv().unwrap();
        assert_eq!(runner.shut_down(FOREVER).unwrap().outcome, report.outcome);
        assert_eq!(place.status().phase, Phase::Running);
        others.quit();
    });
}
