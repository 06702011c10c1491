//! Closing beside others: what waits holds nobody up, and nothing that never ends keeps
//! a process attached.

use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use crate::support::{HANG, both};
use ebbtide::{
    CleanupContext, ResourceManager, ResourceOptions, ResourceState, ResourceType, Runner, Scope,
    ShutdownCoordinator, ShutdownRequest,
};

fn options() -> ResourceOptions {
    ResourceOptions::new()
}

fn add(manager: &ResourceManager, name: &str, options: ResourceOptions) {
    manager
        .register_resource(name, ResourceType::Custom, options)
        .unwrap();
}

#[test]
fn one_that_waits_for_another_runner_holds_no_other_up() {
    both(here!(), |place| {
        let segment = place.create();
        let (a, b) = (
            Runner::join(&segment, "a").unwrap(),
            Runner::join(&segment, "b").unwrap(),
        );
        let (ours, theirs) = (ResourceManager::new(&a), ResourceManager::new(&b));
        let (closed, is_closed) = mpsc::channel();
        add(&ours, "queue", options().order(1));
        add(&theirs, "feed", options().depends_on_named("a/queue"));
        add(
            &ours,
            "other",
            options()
                .order(2)
                .cleanup(move |_| closed.send(()).map_err(|error| error.to_string())),
        );
        std::thread::scope(|scope| {
            let cleaning = scope.spawn(|| ours.cleanup_resources(HANG).unwrap());
            // Only now may the feed go: at one at a time, the queue must not have the place.
            is_closed.recv_timeout(HANG).unwrap();
            assert!(theirs.cleanup_resources(HANG).unwrap().is_clean());
            let report = cleaning.join().unwrap();
            assert!(report.is_clean(), "{report:?}");
            assert_eq!(report.resources.last().unwrap().name, "queue");
        });
    });
}

#[test]
fn nothing_is_closed_while_its_drain_runs() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let manager = ResourceManager::new(&runner);
        let notes = Arc::new(Mutex::new(Vec::new()));
        let (begun, is_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let (drained, closed) = (Arc::clone(&notes), Arc::clone(&notes));
        add(
            &manager,
            "queue",
            options()
                .drain(move |_: &CleanupContext| {
                    begun.send(()).unwrap();
                    may_end.recv().unwrap();
                    drained.lock().unwrap().push("drained");
                    Ok::<_, String>(())
                })
                .cleanup(move |_| {
                    closed.lock().unwrap().push("closed");
                    Ok::<_, String>(())
                }),
        );
        ShutdownCoordinator::new(&segment)
            .initiate_shutdown(&Scope::All, &ShutdownRequest::new().timeout(HANG))
            .unwrap();
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| runner.run_shutdown().unwrap());
            is_begun.recv().unwrap();
            let cleaning = scope.spawn(|| {
                together.wait();
                manager.cleanup_resources(HANG).unwrap()
            });
            together.wait();
            end.send(()).unwrap();
            assert_eq!(
                cleaning.join().unwrap().resources[0].state,
                ResourceState::Closed
            );
        });
        assert_eq!(*notes.lock().unwrap(), ["drained", "closed"]);
    });
}

#[test]
fn closures_that_never_end_keep_nobody_attached() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let manager = ResourceManager::new(&runner);
        let never = |_: &CleanupContext| -> Result<(), String> {
            loop {
                std::thread::park();
            }
        };
        add(
            &manager,
            "stuck",
            options()
                .timeout(Duration::from_millis(1))
                .cleanup(never)
                .force(never),
        );
        let report = manager
            .cleanup_resources(Duration::from_millis(50))
            .unwrap();
        assert_eq!(report.resources[0].state, ResourceState::TimedOut);
        drop((manager, runner, segment));
        // Refused while anybody is attached.
        place
            .options
            .remove(crate::support::Place::NAME, false)
            .unwrap();
        place.create();
    });
}

#[test]
fn a_drain_that_hangs_leaves_the_cleanups_their_time() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let manager = ResourceManager::new(&runner);
        let (go_on, hangs) = mpsc::channel::<()>();
        let hangs = Mutex::new(hangs);
        let closed = Arc::new(Mutex::new(Vec::new()));
        let closes = |name: &'static str| {
            let closed = Arc::clone(&closed);
            move |_: &CleanupContext| {
                closed.lock().unwrap().push(name);
                Ok::<_, String>(())
            }
        };
        let stuck = options().order(1).cleanup(closes("stuck"));
        let stuck = stuck.drain(move |_| {
            let _ = hangs.lock().unwrap().recv();
            Ok::<_, String>(())
        });
        add(&manager, "stuck", stuck);
        add(
            &manager,
            "other",
            options().order(2).cleanup(closes("other")),
        );
        let report = manager.cleanup_resources(Duration::from_secs(3)).unwrap();
        assert_eq!(*closed.lock().unwrap(), ["stuck", "other"], "{report:?}");
        let [stuck, other] = &report.resources[..] else {
            panic!("{report:?}");
        };
        assert!(
            stuck.error.as_ref().unwrap().contains("left behind"),
            "{report:?}"
        );
        assert_eq!(other.state, ResourceState::Closed);
        drop(go_on);
        runner.leave();
    });
}
