//! Resources are closed in order, within one deadline, and tell what became of them.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::{self, HANG, Place, Shutdown, both, once};
use ebbtide::{
    CleanupContext, CoordinationError, Leak, Phase, ResourceError, ResourceManager,
    ResourceOptions, ResourceReport, ResourceState, ResourceType, Runner, Scope,
    ShutdownCoordinator, ShutdownOutcome,
};

type Notes = Arc<Mutex<Vec<String>>>;

fn options() -> ResourceOptions {
    ResourceOptions::new()
}

/// A closure that writes its name down.
fn noting(
    notes: &Notes,
    text: &str,
) -> impl FnMut(&CleanupContext) -> Result<(), &'static str> + Send + 'static {
    let (notes, text) = (Arc::clone(notes), text.to_owned());
    move |_| {
        notes.lock().unwrap().push(text.clone());
        Ok(())
    }
}

fn never(_: &CleanupContext) -> Result<(), &'static str> {
    loop {
        std::thread::park();
    }
}

fn failing(
    error: impl Display + Clone + Send + 'static,
) -> impl Fn(&CleanupContext) -> Result<(), String> + Send {
    move |_| Err(error.to_string())
}

fn manager(place: &Place) -> (Runner, ResourceManager) {
    let runner = Runner::join(&place.create(), "a").unwrap();
    let manager = ResourceManager::new(&runner);
    (runner, manager)
}

fn add(manager: &ResourceManager, name: &str, options: ResourceOptions) -> ebbtide::ResourceHandle {
    manager
        .register_resource(name, ResourceType::Custom, options)
        .unwrap()
}

fn states(reports: &[ResourceReport]) -> Vec<(&str, ResourceState)> {
    reports.iter().map(|r| (r.name.as_str(), r.state)).collect()
}

#[test]
fn dependents_go_first_then_lower_order_then_the_newest() {
    both(here!(), |place| {
        let (_runner, manager) = manager(place);
        let notes = Notes::default();
        let noted = |name| options().cleanup(noting(&notes, name));
        let queue = add(&manager, "queue", noted("queue").order(-5));
        add(&manager, "late", noted("late").order(100));
        add(&manager, "old", noted("old"));
        add(&manager, "new", noted("new"));
        add(&manager, "lock", noted("lock").order(50).depends_on(&queue));
        let report = manager.cleanup_resources(HANG).unwrap();
        let expected = ["new", "old", "lock", "queue", "late"];
        assert_eq!(*notes.lock().unwrap(), expected);
        assert!(report.is_clean(), "{report:?}");
        let order: Vec<_> = report.resources.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(order, expected);
        // Again: the same answer, and nothing runs twice.
        let again = manager.cleanup_resources(HANG).unwrap();
        assert_eq!(states(&again.resources), states(&report.resources));
        assert_eq!(notes.lock().unwrap().len(), expected.len());
    });
}

#[test]
fn run_shutdown_drains_then_closes_with_one_call() {
    both(here!(), |place| {
        let (runner, manager) = manager(place);
        let notes = Notes::default();
        let phases = Arc::new(Mutex::new(Vec::new()));
        let observer = Arc::new(place.observe());
        let seen = {
            let (phases, observer) = (Arc::clone(&phases), Arc::clone(&observer));
            move |_: &CleanupContext| {
                let status = observer.status().unwrap();
                let doing = status.runners[0].activity.as_ref().map(|a| a.text.clone());
                phases
                    .lock()
                    .unwrap()
                    .push((status.phase, doing, status.resources[0].state));
                Ok::<_, String>(())
            }
        };
        add(
            &manager,
            "queue",
            options().drain(seen.clone()).cleanup(seen),
        );
        add(&manager, "file", options().cleanup(noting(&notes, "file")));
        runner
            .register_shutdown_handler(Phase::Closing, 0, "handler", {
                let notes = Arc::clone(&notes);
                move |_| notes.lock().unwrap().push("handler".into())
            })
            .unwrap();
        ShutdownCoordinator::new(&place.options.open(Place::NAME).unwrap()).begin(HANG);
        let report = runner.run_shutdown().unwrap();
        assert_eq!(report.outcome, ShutdownOutcome::Completed, "{report:?}");
        assert_eq!(*notes.lock().unwrap(), ["handler", "file"]);
        let expected = [
            (
                Phase::Draining,
                Some("draining queue".into()),
                ResourceState::Draining,
            ),
            (
                Phase::Closing,
                Some("closing queue".into()),
                ResourceState::Closing,
            ),
        ];
        assert_eq!(*phases.lock().unwrap(), expected);
        assert!(
            report
                .resources
                .iter()
                .all(|r| r.state == ResourceState::Closed)
        );
        assert_eq!(report.resources.len(), 2);
        assert_eq!(report.leaks().count(), 0);
    });
}

#[test]
fn a_cancelled_shutdown_takes_draining_back() {
    both(here!(), |place| {
        let (runner, manager) = manager(place);
        let notes = Notes::default();
        let queue = add(
            &manager,
            "queue",
            options()
                .drain(noting(&notes, "drain"))
                .cleanup(noting(&notes, "close")),
        );
        let segment = place.options.open(Place::NAME).unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut other = place.runner(&segment, "other");
        coordinator.begin(HANG);
        std::thread::scope(|scope| {
            let run = scope.spawn(|| runner.run_shutdown().unwrap());
            assert_eq!(other.ask("acknowledge-when signaling"), "InTime");
            support::until_true("it is draining", || !notes.lock().unwrap().is_empty());
            coordinator.cancel_shutdown(&Scope::All).unwrap();
            assert_eq!(run.join().unwrap().outcome, ShutdownOutcome::Cancelled);
        });
        assert!(manager.is_resource_active(&queue).unwrap());
        other.quit();
        coordinator.begin(HANG);
        runner.run_shutdown().unwrap();
        assert_eq!(*notes.lock().unwrap(), ["drain", "drain", "close"]);
    });
}

#[test]
fn failures_and_panics_go_on_to_the_rest() {
    both(here!(), |place| {
        let (_runner, manager) = manager(place);
        let notes = Notes::default();
        add(
            &manager,
            "last",
            options().order(3).cleanup(noting(&notes, "last")),
        );
        add(
            &manager,
            "fails",
            options().order(1).cleanup(failing("disk full")),
        );
        add(
            &manager,
            "panics",
            options()
                .order(2)
                .cleanup(|_| -> Result<(), String> { panic!("went wrong") }),
        );
        let report = manager.cleanup_resources(HANG).unwrap();
        assert_eq!(*notes.lock().unwrap(), ["last"]);
        let of = |name| report.get(name).unwrap();
        assert_eq!(of("fails").state, ResourceState::Failed);
        assert_eq!(of("fails").error.as_deref(), Some("disk full"));
        assert_eq!(of("panics").state, ResourceState::Failed);
        assert_eq!(of("panics").error.as_deref(), Some("panicked: went wrong"));
        assert_eq!(of("last").state, ResourceState::Closed);
        assert!(!report.is_clean());
    });
}

#[test]
fn an_overrun_is_forced_and_its_late_end_is_recorded_once() {
    both(here!(), |place| {
        let (_runner, manager) = manager(place);
        let notes = Notes::default();
        let (end, may_end) = mpsc::channel::<()>();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        add(
            &manager,
            "slow",
            options()
                .timeout(Duration::from_millis(20))
                .cleanup(move |_| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    may_end.recv().map_err(|error| error.to_string())
                })
                .force(noting(&notes, "forced")),
        );
        add(
            &manager,
            "next",
            options().order(1).cleanup(noting(&notes, "next")),
        );
        let report = manager.cleanup_resources(HANG).unwrap();
        assert_eq!(*notes.lock().unwrap(), ["forced", "next"]);
        let slow = report.get("slow").unwrap();
        assert_eq!((slow.state, slow.late), (ResourceState::TimedOut, None));
        assert_eq!(slow.error.as_deref(), Some("it overran its timeout"));
        assert_eq!(report.get("next").unwrap().state, ResourceState::Closed);
        end.send(()).unwrap();
        let late = support::until("it ends late", || {
            let resources = manager.resources().unwrap();
            resources
                .into_iter()
                .find(|r| r.name == "slow")?
                .late
                .map(|_| ())
        });
        assert_eq!(late, ());
        let slow = manager.cleanup_resources(HANG).unwrap();
        assert_eq!(slow.get("slow").unwrap().state, ResourceState::TimedOut);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert_eq!(notes.lock().unwrap().len(), 2);
    });
}

#[test]
fn one_deadline_cuts_everything() {
    both(here!(), |place| {
        let (_runner, manager) = manager(place);
        let notes = Notes::default();
        let base = add(
            &manager,
            "base",
            options()
                .cleanup(noting(&notes, "base"))
                .force(noting(&notes, "force base")),
        );
        add(
            &manager,
            "stuck",
            options()
                .depends_on(&base)
                .cleanup(never)
                .force(noting(&notes, "force stuck")),
        );
        let begin = Instant::now();
        let report = manager
            .cleanup_resources(Duration::from_millis(50))
            .unwrap();
        assert!(begin.elapsed() < HANG);
        assert!(
            report
                .resources
                .iter()
                .all(|r| r.state == ResourceState::TimedOut)
        );
        support::until_true("both are forced", || notes.lock().unwrap().len() == 2);
        assert!(!notes.lock().unwrap().contains(&"base".to_owned()));
    });
}

#[test]
fn a_second_cleanup_joins_the_first() {
    both(here!(), |place| {
        let (_runner, manager) = manager(place);
        let (begun, is_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        add(
            &manager,
            "one",
            options().cleanup(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                begun.send(()).unwrap();
                may_end.recv().map_err(|error| error.to_string())
            }),
        );
        std::thread::scope(|scope| {
            let clean = || manager.cleanup_resources(HANG).unwrap();
            let first = scope.spawn(clean);
            is_begun.recv().unwrap();
            let second = scope.spawn(clean);
            end.send(()).unwrap();
            let (first, second) = (first.join().unwrap(), second.join().unwrap());
            assert_eq!(states(&first.resources), states(&second.resources));
        });
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_joiner_with_an_earlier_deadline_shortens_it_for_all() {
    both(here!(), |place| {
        let (_runner, manager) = manager(place);
        let (begun, is_begun) = mpsc::channel();
        add(
            &manager,
            "stuck",
            options().cleanup(move |context| {
                begun.send(()).unwrap();
                never(context)
            }),
        );
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                manager
                    .cleanup_resources(Duration::from_secs(3600))
                    .unwrap()
            });
            is_begun.recv().unwrap();
            let second = manager
                .cleanup_resources(Duration::from_millis(20))
                .unwrap();
            assert_eq!(first.join().unwrap(), second);
            assert_eq!(second.resources[0].state, ResourceState::TimedOut);
        });
    });
}

#[test]
fn independent_ones_run_at_once_when_asked() {
    once(here!(), |place| {
        let (_runner, manager) = manager(place);
        let manager = manager.parallel(3);
        // Each ends only when all three are in it.
        let barrier = Arc::new(std::sync::Barrier::new(3));
        let base = add(&manager, "base", options().cleanup(|_| Ok::<_, String>(())));
        for name in ["a", "b", "c"] {
            let barrier = Arc::clone(&barrier);
            let meet = move |_: &CleanupContext| {
                barrier.wait();
                Ok::<_, String>(())
            };
            add(&manager, name, options().depends_on(&base).cleanup(meet));
        }
        let report = manager.cleanup_resources(HANG).unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(report.resources.last().unwrap().name, "base");
    });
}

#[test]
fn futures_are_driven_without_a_runtime() {
    once(here!(), |place| {
        let (_runner, manager) = manager(place);
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        add(
            &manager,
            "async",
            options().cleanup_async(move |context| async move {
                let mut polls = 0;
                std::future::poll_fn(|cx| {
                    polls += 1;
                    // Woken from another thread, twice.
                    let waker = cx.waker().clone();
                    std::thread::spawn(move || waker.wake());
                    if polls < 3 {
                        std::task::Poll::Pending
                    } else {
                        std::task::Poll::Ready(())
                    }
                })
                .await;
                assert_eq!(context.name, "async");
                counted.fetch_add(polls, Ordering::Relaxed);
                Ok::<_, String>(())
            }),
        );
        assert!(manager.cleanup_resources(HANG).unwrap().is_clean());
        assert_eq!(done.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn refusals_name_what_is_wrong() {
    both(here!(), |place| {
        let (runner, manager) = manager(place);
        let queue = add(&manager, "queue", options());
        let register =
            |name: &str, options| manager.register_resource(name, ResourceType::File, options);
        assert_is!(register("queue", options()), Err(ResourceError::Duplicate { ref name }) if name == "a/queue");
        assert_is!(
            register("b", options().depends_on_named("nobody/queue")),
            Err(ResourceError::UnknownDependency { ref dependency, .. }) if dependency == "nobody/queue"
        );
        assert_is!(
            register("b", options().depends_on_named("a/b")),
            Err(ResourceError::Cycle { ref cycle }) if *cycle == ["a/b", "a/b"]
        );
        let lock = add(&manager, "lock", options().depends_on_named("a/queue"));
        let event = add(&manager, "event", options().depends_on(&lock));
        let cycle = manager.add_dependency(&queue, &event).unwrap_err();
        let spelled = cycle.to_string();
        assert_is!(cycle, ResourceError::Cycle { ref cycle } if cycle.len() == 4);
        for part in [
            "a/queue -> a/event",
            "a/event -> a/lock",
            "a/lock -> a/queue",
        ] {
            assert!(spelled.contains(part), "{spelled}");
        }
        // Refused, and so not there.
        assert_eq!(manager.resource_dependencies(&queue).unwrap(), [""; 0]);
        assert_eq!(manager.resource_dependencies(&event).unwrap(), ["a/lock"]);
        assert_is!(
            register("", options()),
            Err(ResourceError::Coordination(
                CoordinationError::InvalidName { .. }
            ))
        );
        let many = (0..9).fold(options(), |options, _| options.depends_on(&queue));
        assert_is!(
            register("many", many),
            Err(ResourceError::TooManyDependencies { limit: 8, .. })
        );

        assert!(manager.unregister(&event).unwrap());
        assert_is!(manager.unregister(&event), Err(ResourceError::Stale { .. }));
        let reused = add(&manager, "event", options());
        assert!(manager.is_resource_active(&reused).unwrap());
        assert_is!(
            manager.is_resource_active(&event),
            Err(ResourceError::Stale { .. })
        );
        assert_is!(
            register("b", options().depends_on(&event)),
            Err(ResourceError::Stale { .. })
        );

        assert!(manager.cleanup_resources(HANG).unwrap().is_clean());
        assert_is!(
            register("b", options().depends_on(&queue)),
            Err(ResourceError::DependencyClosing { ref dependency, .. }) if dependency == "a/queue"
        );
        runner.leave();
        assert_is!(
            register("b", options()),
            Err(ResourceError::Coordination(CoordinationError::Left { .. }))
        );
    });
}

#[test]
fn leaks_are_told() {
    both(here!(), |place| {
        let (runner, manager) = manager(place);
        let notes = Notes::default();
        let object = Arc::new(5);
        let watched = add(
            &manager,
            "object",
            options().object(&object).cleanup(noting(&notes, "no")),
        );
        assert!(manager.is_resource_active(&watched).unwrap());
        drop(object);
        assert!(!manager.is_resource_active(&watched).unwrap());
        let leak = |name: &str| {
            let leaks = manager.leaks().unwrap();
            leaks
                .into_iter()
                .find(|r| r.name == name)
                .and_then(|r| r.leak)
        };
        assert_eq!(leak("object"), Some(Leak::Dropped));
        add(&manager, "open", options());
        assert_eq!(leak("open"), None);
        runner.leave();
        assert_eq!(leak("open"), Some(Leak::StillActive));
        drop((runner, manager));
        // Nobody is left who could close it.
        let resources = place.status().resources;
        assert!(
            resources.iter().all(|r| r.leak == Some(Leak::Dropped)),
            "{resources:?}"
        );
        assert!(notes.lock().unwrap().is_empty());
    });
}

#[test]
fn cleaning_one_runner_never_touches_another() {
    both(here!(), |place| {
        let (_a, manager_a) = manager(place);
        let segment = place.options.open(Place::NAME).unwrap();
        let b = Runner::join(&segment, "b").unwrap();
        let manager_b = ResourceManager::new(&b);
        let notes = Notes::default();
        // The same name, each its own.
        add(&manager_a, "queue", options().cleanup(noting(&notes, "a")));
        let theirs = add(&manager_b, "queue", options().cleanup(noting(&notes, "b")));
        assert!(manager_a.cleanup_resources(HANG).unwrap().is_clean());
        assert_eq!(*notes.lock().unwrap(), ["a"]);
        assert!(manager_b.is_resource_active(&theirs).unwrap());
        assert_is!(
            manager_a.unregister(&theirs),
            Err(ResourceError::Stale { .. })
        );
    });
}
