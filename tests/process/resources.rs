//! Resources are closed in order, within one deadline, and tell what became of them.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::{self, HANG, Place, Shutdown, both};
use ebbtide::{
    CleanupContext, Phase, ResourceManager, ResourceOptions, ResourceReport, ResourceState,
    ResourceType, Runner, Scope, ShutdownCoordinator, ShutdownOutcome,
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
        support::until_true("it ends late", || {
            let resources = manager.resources().unwrap();
            resources
                .iter()
                .any(|r| r.name == "slow" && r.late.is_some())
        });
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
