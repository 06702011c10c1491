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
        let [mut well, late, mut victim] = place.runners(&segment, ["well", "late", "victim"]);
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
