//! A runner that is shut down alone while the group is, too: neither holds the other up.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::{self, HANG, Place, both};
use ebbtide::{
    HandlerOutcome, Phase, ResourceManager, ResourceOptions, ResourceType, Runner, Scope, Segment,
    ShutdownCoordinator, ShutdownOutcome, ShutdownReport, ShutdownRequest,
};

/// Nothing here may wait for it.
const BUDGET: Duration = Duration::from_secs(3600);

fn begin(coordinator: &ShutdownCoordinator, scope: &Scope) {
    let request = ShutdownRequest::new().timeout(BUDGET);
    coordinator.initiate_shutdown(scope, &request).unwrap();
}

/// The consumer's queue is needed by the producer's feed.
fn pair(segment: &Segment) -> (Runner, Runner) {
    let consumer = Runner::join(segment, "consumer").unwrap();
    let producer = Runner::join(segment, "producer").unwrap();
    let queue = ResourceOptions::new();
    ResourceManager::new(&consumer)
        .register_resource("queue", ResourceType::Queue, queue)
        .unwrap();
    let feed = ResourceOptions::new().depends_on_named("consumer/queue");
    ResourceManager::new(&producer)
        .register_resource("feed", ResourceType::Queue, feed)
        .unwrap();
    (consumer, producer)
}

fn until_in_own_closing(place: &Place) {
    support::until_true("the consumer is in its own closing", || {
        let runners = place.status().runners;
        let is_it = |r: &ebbtide::RunnerReport| r.id == "consumer" && r.own_phase == Phase::Closing;
        runners.iter().any(is_it)
    });
}

fn completed(report: &ShutdownReport) {
    assert_eq!(report.outcome, ShutdownOutcome::Completed, "{report:#?}");
}

/// The consumer waits in its own Closing for the feed, which is closed only by the group's
/// shutdown; that must not wait for the consumer in turn.
fn both_complete(
    place: &Place,
    segment: &Segment,
    before: impl FnOnce(&Runner),
    group: impl FnOnce(),
) {
    let (consumer, producer) = pair(segment);
    before(&consumer);
    let coordinator = ShutdownCoordinator::new(segment);
    begin(&coordinator, &Scope::runner("consumer"));
    thread::scope(|scope| {
        let consumer = scope.spawn(|| consumer.run_shutdown().unwrap());
        until_in_own_closing(place);
        group();
        let producer = scope.spawn(|| producer.run_shutdown().unwrap());
        completed(&producer.join().unwrap());
        completed(&consumer.join().unwrap());
    });
    completed(
        &coordinator
            .wait_for_shutdown_complete(&Scope::All, HANG)
            .unwrap(),
    );
}

#[test]
fn one_that_waits_in_its_own_closing_holds_up_no_group() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        both_complete(place, &segment, |_| {}, || begin(&coordinator, &Scope::All));
    });
}

#[test]
fn nor_a_group_that_was_called_off_and_begun_anew() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let again = || {
            begin(&coordinator, &Scope::All);
            coordinator.cancel_shutdown(&Scope::All).unwrap();
            begin(&coordinator, &Scope::All);
        };
        both_complete(place, &segment, |_| {}, again);
    });
}

/// A cleanup by hand is at it, and the shutdown of the runner joins that.
#[test]
fn nor_one_that_joins_a_cleanup_under_way() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let cleanup = |consumer: &Runner| {
            let manager = ResourceManager::new(consumer);
            thread::spawn(move || manager.cleanup_resources(BUDGET));
            support::until_true("the cleanup is at it", || {
                let resources = place.status().resources;
                let is_it = |r: &ebbtide::ResourceReport| {
                    r.full_name() == "consumer/queue" && r.state == ebbtide::ResourceState::Draining
                };
                resources.iter().any(is_it)
            });
        };
        both_complete(place, &segment, cleanup, || {
            begin(&coordinator, &Scope::All)
        });
    });
}

/// The runner's own shutdown holds it to Draining, whatever becomes of the group's.
#[test]
fn a_handler_runs_once_though_the_other_shutdown_is_called_off() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let (begins, begun) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let flush = move |_: &_| {
            begins.send(()).unwrap();
            released.recv().unwrap();
        };
        runner
            .register_shutdown_handler(Phase::Draining, 0, "flush", flush)
            .unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        begin(&coordinator, &Scope::runner("a"));
        let report = thread::scope(|scope| {
            let run = scope.spawn(|| runner.run_shutdown().unwrap());
            begun.recv().unwrap();
            for _ in 0..2 {
                begin(&coordinator, &Scope::All);
                // So it has looked since the last one was called off.
                support::until_true("it has acknowledged the group's Signaling", || {
                    let runners = place.status().runners;
                    runners.iter().any(|r| r.acknowledged[0].is_some())
                });
                coordinator.cancel_shutdown(&Scope::All).unwrap();
            }
            release.send(()).unwrap();
            run.join().unwrap()
        });
        completed(&report);
        let handlers: Vec<_> = report.handlers.iter().map(|h| &h.outcome).collect();
        assert_eq!(handlers, [&HandlerOutcome::Finished]);
    });
}
