//! What registrations are refused, what leaks, and how cleanups run beside one another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{HANG, Place, both, once};
use ebbtide::{
    CleanupContext, CoordinationError, Leak, ResourceError, ResourceManager, ResourceOptions,
    ResourceType, Runner,
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
            register("b", options().depends_on_named("nobody")),
            Err(ResourceError::Coordination(
                CoordinationError::InvalidName { .. }
            ))
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
