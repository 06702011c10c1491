//! Timelines: the tables and the journal put together, while a shutdown is on, after it,
//! and in the generation that follows.

use std::time::Duration;

use crate::support::{Shutdown, both, once};
use ebbtide::{
    Mode, Outcome, Phase, ResourceManager, ResourceOptions, ResourceType, Runner, Scope,
    ShutdownCoordinator, ShutdownOutcome, ShutdownRequest, SpanKind, Timeline,
};

const LONG: Duration = Duration::from_secs(3600);

fn runner<'t>(timeline: &'t Timeline, id: &str) -> &'t ebbtide::TimelineRunner {
    timeline.runners.iter().find(|one| one.id == id).unwrap()
}

#[test]
fn a_timeline_agrees_with_the_report_now_and_in_the_next_generation() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        assert_eq!(place.observe().timeline().unwrap(), None);
        assert_eq!(a.ask("handler draining 0 flush note"), "ok");
        a.tell("run");
        b.tell("run");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        let report = coordinator.complete();
        a.event("run");
        b.event("run");
        let timeline = place.observe().timeline().unwrap().unwrap();
        assert_eq!(timeline.outcome, ShutdownOutcome::Completed);
        assert_eq!((timeline.total, timeline.budget), (report.total, LONG));
        assert_eq!((timeline.reason.clone(), timeline.lost), (report.reason, 0));
        let took: Vec<_> = timeline
            .phases
            .iter()
            .map(|p| p.until.unwrap() - p.from)
            .collect();
        let told: Vec<_> = report.phases.iter().map(|phase| phase.duration).collect();
        assert_eq!(took, told);
        assert!(timeline.phases.iter().all(|phase| !phase.forced));
        for told in &report.runners {
            let line = runner(&timeline, &told.id);
            assert_eq!(line.acknowledged, told.acknowledged);
            assert_eq!(line.observed, told.observed);
            assert_eq!(line.outcome, told.outcome);
            assert_eq!(line.pid, told.pid);
        }
        let [span] = &runner(&timeline, "a").spans[..] else {
            panic!("{timeline:#?}")
        };
        assert_eq!(
            (span.kind, span.name.as_str()),
            (SpanKind::Handler, "flush")
        );
        assert_eq!(span.end, Some("Finished"));
        let draining = &timeline.phases[1];
        assert!(span.from >= draining.from && span.until <= draining.until);
        // Every moment of a phase is somebody's.
        let path: Duration = timeline.critical_path.iter().map(|step| step.took()).sum();
        assert_eq!(path, timeline.total);

        a.quit();
        b.quit();
        coordinator.begin_generation().unwrap();
        // The slots are used again, by others.
        let [c, d] = place.runners(&segment, ["c", "d"]);
        let later = place.observe().timeline().unwrap().unwrap();
        assert_eq!(later.generation, timeline.generation);
        assert_eq!(
            (later.total, later.outcome),
            (timeline.total, timeline.outcome)
        );
        for line in &timeline.runners {
            assert_eq!(runner(&later, &line.id).acknowledged, line.acknowledged);
        }
        assert_eq!(runner(&later, "a").spans, runner(&timeline, "a").spans);
        c.quit();
        d.quit();
    });
}

#[test]
fn a_forced_phase_a_death_and_hardening_are_in_it() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut well, mut late, mut victim] = place.runners(&segment, ["well", "late", "victim"]);
        late.stop();
        well.tell("run");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(Duration::from_secs(5));
        let now = place.observe().timeline().unwrap().unwrap();
        assert_eq!(now.outcome, ShutdownOutcome::Running);
        victim.kill();
        let _ = coordinator.escalate(&Scope::All, Mode::Fast);
        let report = coordinator.complete();
        let timeline = place.observe().timeline().unwrap().unwrap();
        assert_eq!(timeline.outcome, report.outcome);
        assert_eq!(timeline.outcome, ShutdownOutcome::TimedOut);
        assert!(
            timeline.phases.iter().all(|phase| phase.forced),
            "{timeline:#?}"
        );
        let dead = runner(&timeline, "victim");
        assert!(dead.died && dead.ended.is_some());
        assert_eq!(dead.outcome, Some(Outcome::Died));
        assert_eq!(runner(&timeline, "late").blocked_in, Some(Phase::Signaling));
        let kinds: Vec<_> = timeline.marks.iter().map(|mark| mark.kind).collect();
        assert!(
            kinds.contains(&"died") && kinds.contains(&"escalated"),
            "{kinds:?}"
        );
        assert_eq!(timeline.mode, Mode::Fast);
        // Whom each phase waited for.
        for step in &timeline.critical_path {
            assert_eq!(step.runner.as_deref(), Some("late"), "{step:?}");
        }
        well.event("run");
        // What comes after the end is no part of it.
        late.kill();
        let later = place.observe().timeline().unwrap().unwrap();
        let line = runner(&later, "late");
        assert!(!line.died && !line.alive, "{line:#?}");
        assert_eq!(line.outcome, Some(Outcome::TimedOut));
    });
}

#[test]
fn one_that_was_called_off_is_the_last_one_and_says_so() {
    once(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        coordinator.cancel_shutdown(&Scope::All).unwrap();
        let timeline = segment.timeline().unwrap().unwrap();
        assert_eq!(timeline.outcome, ShutdownOutcome::Cancelled);
        assert_eq!(timeline.reason.pid, std::process::id());
        assert!(timeline.total < LONG && timeline.budget == LONG);
        drop(runner);
    });
}

#[test]
fn the_critical_path_goes_to_the_runner_whose_resource_was_waited_for() {
    once(here!(), |place| {
        let segment = place.create();
        let [store, client] =
            ["runner-1", "runner-2"].map(|id| Runner::join(&segment, id).unwrap());
        let (resources, others) = (ResourceManager::new(&store), ResourceManager::new(&client));
        // Gone through in order, whatever the machine does: each ends when told.
        let (tell, told) = std::sync::mpsc::channel::<()>();
        resources
            .register_resource("kv-cache", ResourceType::Custom, ResourceOptions::new())
            .unwrap();
        let options = ResourceOptions::new()
            .depends_on_named("runner-1/kv-cache")
            .cleanup(move |_| {
                let _ = told.recv();
                Ok::<(), String>(())
            });
        others
            .register_resource("session", ResourceType::Network, options)
            .unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator
            .initiate_shutdown(&Scope::All, &ShutdownRequest::new().timeout(LONG))
            .unwrap();
        let threads =
            [store, client].map(|runner| std::thread::spawn(move || runner.run_shutdown()));
        let observer = place.observe();
        crate::support::until_true("the store waits for the client", || {
            let why = observer.why(Some("runner-1")).unwrap().to_string();
            why.contains("kv-cache of runner-1 has waited for")
                && why.contains("it is closed after session of runner-2, which is closing for")
                && why.contains("runner-2 is closing session, for")
        });
        tell.send(()).unwrap();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        let timeline = observer.timeline().unwrap().unwrap();
        let steps: Vec<_> = timeline
            .critical_path
            .iter()
            .filter(|step| step.phase == Phase::Closing)
            .collect();
        let waited = |who: &str, what: &str| {
            let is_it = |step: &&&ebbtide::CriticalStep| {
                step.runner.as_deref() == Some(who) && step.doing == what
            };
            steps.iter().any(|step| is_it(&step))
        };
        assert!(waited("runner-2", "closing session"), "{steps:#?}");
        drop((resources, others));
    });
}

#[test]
fn who_died_before_it_began_is_history() {
    both(here!(), |place| {
        let segment = place.create();
        // The first living one holds the phase up; who is behind it matters to nobody yet.
        let [mut first, mut victim] = place.runners(&segment, ["first", "victim"]);
        victim.kill();
        first.stop();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        let timeline = place.observe().timeline().unwrap().unwrap();
        assert_eq!(timeline.outcome, ShutdownOutcome::Running);
        assert!(timeline.runners.iter().all(|one| one.id != "victim"));
        // It was found by the one who began it, before it began.
        let status = place.status();
        assert!(status.runners.iter().all(|one| one.id != "victim"));
        for past in [timeline.predecessors, status.predecessors] {
            let found = past[0].last_death.expect("marked dead");
            assert!(
                past[0].id == "victim" && found <= timeline.began,
                "{past:?}"
            );
        }
        assert!(metrics(place).contains("ebbtide_runners{segment=\"group\",state=\"dead\"} 0\n"));
        assert!(metrics(place).contains("ebbtide_deaths_total{segment=\"group\"} 1\n"));
        first.go_on();
        first.tell("run");
        assert_eq!(coordinator.complete().outcome, ShutdownOutcome::Completed);
        first.event("run");
        first.quit();
    });
}

fn metrics(place: &crate::support::Place) -> String {
    place.observe().metrics().unwrap().to_string()
}

#[test]
fn a_death_that_holds_nothing_up_is_found_by_whoever_waits() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut first, mut victim] = place.runners(&segment, ["first", "victim"]);
        first.stop();
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        victim.kill();
        // Nobody has looked: it is dead all the same, for whoever asks.
        let observer = place.observe();
        let timeline = observer.timeline().unwrap().unwrap();
        let dead = runner(&timeline, "victim");
        assert!(dead.died && dead.ended.is_none(), "{dead:#?}");
        assert!(metrics(place).contains("ebbtide_runners{segment=\"group\",state=\"dead\"} 1\n"));
        assert!(metrics(place).contains("ebbtide_deaths_total{segment=\"group\"} 0\n"));
        let waiter = std::thread::spawn({
            let coordinator = coordinator.clone();
            move || coordinator.complete()
        });
        // The phase waits for another yet.
        crate::support::until_true("it is counted out", || {
            let timeline = observer.timeline().unwrap().unwrap();
            runner(&timeline, "victim").ended.is_some()
        });
        assert_eq!(place.status().phase, Phase::Signaling);
        assert!(metrics(place).contains("ebbtide_deaths_total{segment=\"group\"} 1\n"));
        first.go_on();
        first.tell("run");
        waiter.join().unwrap();
        first.event("run");
        first.quit();
    });
}

#[test]
fn a_runner_that_is_shut_down_alone_has_a_timeline_of_its_own() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut a, b] = place.runners(&segment, ["a", "b"]);
        assert_eq!(a.ask("handler draining 0 flush note"), "ok");
        let observer = place.observe();
        let scope = Scope::runner("a");
        assert_eq!(observer.timeline_of(&scope).unwrap(), None);
        let request = ShutdownRequest::new().timeout(LONG).mode(Mode::Fast);
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.initiate_shutdown(&scope, &request).unwrap();
        let on = observer.timeline_of(&scope).unwrap().unwrap();
        assert_eq!(on.outcome, ShutdownOutcome::Running);
        a.tell("run");
        a.event("run");
        let report = coordinator
            .wait_for_shutdown_complete(&scope, LONG)
            .unwrap();
        let timeline = observer.timeline_of(&scope).unwrap().unwrap();
        assert_eq!(timeline.runner.as_deref(), Some("a"));
        assert_eq!(timeline.outcome, ShutdownOutcome::Completed);
        assert_eq!((timeline.mode, timeline.budget), (Mode::Fast, LONG));
        assert_eq!(timeline.total, report.total);
        let [line] = &timeline.runners[..] else {
            panic!("{timeline:#?}")
        };
        assert_eq!(line.acknowledged, report.runners[0].acknowledged);
        assert_eq!(line.spans.len(), 1);
        let took: Vec<_> = timeline
            .phases
            .iter()
            .map(|p| p.until.unwrap() - p.from)
            .collect();
        let told: Vec<_> = report.phases.iter().map(|phase| phase.duration).collect();
        assert_eq!(took, told);
        // Nothing of all that is the group's, or the other's.
        assert_eq!(observer.timeline().unwrap(), None);
        assert_eq!(observer.timeline_of(&Scope::runner("b")).unwrap(), None);
        assert!(observer.timeline_of(&Scope::runner("c")).is_err());
        // It is started again; that one was never shut down.
        a.quit();
        let again = place.runner(&segment, "a");
        let later = segment.timeline_of(&scope).unwrap().unwrap();
        assert_eq!((later.total, later.runners.len()), (timeline.total, 1));
        again.quit();
        b.quit();
    });
}
