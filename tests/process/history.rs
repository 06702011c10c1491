//! What was before a shutdown is told apart and decides nothing; when it was and how it ended
//! is told with wall-clock times, whoever asks.

use std::time::{Duration, SystemTime};

use crate::support::{Agent, Child, Place, Shutdown, both, both_with, outcome, reply, summary};
use ebbtide::{
    Initiation, Outcome, Phase, ResourceManager, ResourceOptions, ResourceType, Runner, Scope,
    ShutdownCoordinator, ShutdownRequest,
};

const FOREVER: Duration = Duration::from_secs(3600);

fn metrics(place: &Place) -> String {
    place.observe().metrics().unwrap().to_string()
}

#[track_caller]
fn has(page: &str, line: &str) {
    assert!(page.lines().any(|one| one == line), "no {line} in {page}");
}

#[test]
fn a_crash_loop_is_one_entry_and_no_part_of_the_outcome() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        for _ in 0..4 {
            let mut crashing = place.runner(&segment, "worker");
            assert_eq!(crashing.ask("begin"), "ok");
            crashing.kill();
        }
        let mut worker = place.runner(&segment, "worker");
        let status = place.status();
        assert_eq!((status.runners.len(), status.predecessors.len()), (1, 1));
        let past = &status.predecessors[0];
        assert_eq!((past.deaths, past.replaced), (4, true));
        assert_eq!(status.runners[0].restarts, 4);
        let page = metrics(place);
        has(&page, "ebbtide_runners{segment=\"group\",state=\"dead\"} 0");
        has(
            &page,
            "ebbtide_runners{segment=\"group\",state=\"alive\"} 1",
        );
        has(
            &page,
            "ebbtide_in_flight{segment=\"group\",runner=\"worker\"} 0",
        );
        has(
            &page,
            "ebbtide_runner_restarts_total{segment=\"group\",runner=\"worker\"} 4",
        );
        let last =
            "ebbtide_runner_last_death_timestamp_seconds{segment=\"group\",runner=\"worker\"} ";
        assert!(page.contains(last), "{page}");
        worker.tell("run");
        coordinator.begin(FOREVER);
        assert_eq!(worker.event("run"), "Completed worker=Completed");
        let report = coordinator.complete();
        assert_eq!(summary(&report), "Completed worker=Completed");
        assert_eq!(report.predecessors, place.status().predecessors);
        assert_eq!(report.to_string().matches(" of this id died").count(), 1);
        worker.quit();
        // They are of this generation; the next one has no part in them.
        coordinator.begin_generation().unwrap();
        let mut next = place.runner(&segment, "worker");
        assert!(place.status().predecessors.is_empty());
        next.tell("run");
        coordinator.begin(FOREVER);
        assert_eq!(next.event("run"), "Completed worker=Completed");
        assert!(coordinator.complete().predecessors.is_empty());
        next.quit();
    });
}

#[test]
fn who_dies_during_the_shutdown_has_died_though_its_predecessor_is_history() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        place.runner(&segment, "worker").kill();
        let [mut second, mut other] = place.runners(&segment, ["worker", "other"]);
        coordinator.begin(FOREVER);
        second.kill();
        other.tell("run");
        assert_eq!(other.event("run"), "Died other=Completed worker=Died");
        let report = coordinator.complete();
        assert_eq!(summary(&report), "Died other=Completed worker=Died");
        let [past] = &report.predecessors[..] else {
            panic!("{report:?}")
        };
        assert_eq!((past.deaths, past.replaced), (1, true));
        other.quit();
    });
}

/// Registers a resource under the id that it is told, and lives until it is killed.
fn owner(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, &child.order()).unwrap();
    let manager = ResourceManager::new(&runner);
    let options =
        ResourceOptions::new().system(ebbtide::SystemResource::file(child.order()).unwrap());
    let _handle = manager
        .register_resource("file", ResourceType::File, options)
        .unwrap();
    reply("ok");
    child.order();
}

#[test]
fn what_the_dead_left_does_not_return_in_a_later_generation() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let path = place.scratch("left");
        std::fs::write(&path, "left").unwrap();
        let mut doomed = Agent::spawn(place, "owner", Some(&segment));
        doomed.tell("doomed");
        assert_eq!(doomed.ask(path.to_str().unwrap()), "ok");
        doomed.kill();
        for round in 0..3 {
            let survivor = Runner::join(&segment, "survivor").unwrap();
            coordinator.begin(FOREVER);
            let own = survivor.run_shutdown().unwrap();
            let leaks = [own, coordinator.complete()].map(|report| report.leaks().count());
            // In its own generation it is told: to the others it is nothing.
            assert_eq!(leaks, [usize::from(round == 0); 2], "round {round}");
            assert_eq!(place.status().resources.len(), usize::from(round == 0));
            drop(survivor);
            if round == 1 {
                segment.reclaim().unwrap();
            }
            coordinator.begin_generation().unwrap();
        }
    });
}

#[test]
fn ended_shutdowns_are_counted_once_by_outcome_whoever_asks() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let check = |completed: u32, late: u32| {
            let page = metrics(place);
            for (name, count) in [("Completed", completed), ("Died", 0), ("TimedOut", late)] {
                let name = format!(
                    "ebbtide_shutdowns_ended_total{{segment=\"group\",outcome=\"{name}\"}}"
                );
                has(&page, &format!("{name} {count}"));
            }
        };
        check(0, 0);
        let runner = Runner::join(&segment, "a").unwrap();
        coordinator.begin(FOREVER);
        check(0, 0);
        runner.run_shutdown().unwrap();
        drop(runner);
        for _ in 0..2 {
            check(1, 0);
        }
        coordinator.begin_generation().unwrap();
        check(1, 0);
        let late = Runner::join(&segment, "a").unwrap();
        coordinator.begin(Duration::from_millis(1));
        coordinator.complete();
        check(1, 1);
        drop(late);
        coordinator.begin_generation().unwrap();
        coordinator.begin(FOREVER);
        // Of nobody, and complete at once.
        check(2, 1);
        coordinator.begin_generation().unwrap();
        coordinator.begin(FOREVER);
        check(3, 1);
    });
}

#[test]
fn times_by_the_wall_clock_are_those_of_the_shutdown_and_stay_the_same() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let status = place.status();
        assert_eq!(
            (status.began, status.ended, status.outcome),
            (None, None, None)
        );
        let runner = Runner::join(&segment, "a").unwrap();
        // As exact as the offset between two clocks can be measured.
        let slack = Duration::from_millis(100);
        let before = SystemTime::now() - slack;
        coordinator.begin(FOREVER);
        assert_eq!(place.status().ended, None);
        runner.run_shutdown().unwrap();
        let report = coordinator.complete();
        let (began, ended) = (report.began.unwrap(), report.ended.unwrap());
        assert!(before <= began && began <= ended && ended <= SystemTime::now() + slack);
        assert_eq!(ended.duration_since(began).unwrap(), report.total);
        let status = place.status();
        assert_eq!((status.began, status.ended), (report.began, report.ended));
        assert_eq!(status.outcome, Some(report.outcome));
        let timeline = place.observe().timeline().unwrap().unwrap();
        assert_eq!((timeline.began, timeline.ended), (began, Some(ended)));
    });
}

#[test]
fn who_shortened_the_budget_is_named() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "a").unwrap();
        coordinator.begin(FOREVER);
        assert_eq!(place.status().shortened, None);
        // No shorter one.
        assert_eq!(coordinator.begin(FOREVER * 2), Initiation::Merged);
        assert_eq!(place.status().shortened, None);
        assert_eq!(coordinator.begin(FOREVER / 2), Initiation::Merged);
        let by = place.status().shortened.unwrap();
        assert_eq!(by.pid, std::process::id());
        assert!(by.budget >= FOREVER / 2 - Duration::from_secs(2) && by.budget < FOREVER);
        let why = place.observe().why(None).unwrap().to_string();
        assert!(
            why.contains("the budget was shortened to 30.0 min by pid "),
            "{why}"
        );
        runner.run_shutdown().unwrap();
        let report = coordinator.complete();
        assert_eq!(report.shortened, Some(by));
        assert!(report.to_string().contains("the budget was shortened to "));
        let timeline = place.observe().timeline().unwrap().unwrap();
        assert_eq!(timeline.shortened, Some(by));
        drop(runner);
        coordinator.begin_generation().unwrap();
        coordinator.begin(FOREVER);
        assert_eq!(coordinator.complete().shortened, None);
    });
}

#[test]
fn a_stopped_runner_is_told_to_be_stopped_after_the_deadline_too() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [frozen] = place.runners(&segment, ["frozen"]);
        frozen.stop();
        let request = ShutdownRequest::new().timeout(Duration::from_millis(1));
        let _ = coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        let report = coordinator.complete();
        assert_eq!(*outcome(&report, "frozen"), Outcome::TimedOut);
        assert!(report.runners[0].stopped && place.status().phase == Phase::Complete);
        let text = report.to_string();
        assert!(
            text.contains("TimedOut, stopped") && text.contains("kill -CONT"),
            "{text}"
        );
        frozen.go_on();
        frozen.quit();
    });
}
