//! Critical paths of made-up timelines.

use super::*;
use crate::api::report::{Reason, ShutdownOutcome};
use crate::phase::Mode;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn span(kind: SpanKind, name: &str, from: u64, until: u64) -> TimelineSpan {
    TimelineSpan {
        kind,
        name: name.into(),
        from: ms(from),
        until: Some(ms(until)),
        end: Some("Closed"),
    }
}

fn runner(id: &str, acknowledged: [u64; 3], spans: Vec<TimelineSpan>) -> TimelineRunner {
    TimelineRunner {
        id: id.into(),
        pid: 1,
        outcome: None,
        observed: Some(ms(0)),
        acknowledged: acknowledged.map(|at| (at > 0).then(|| ms(at))),
        ended: None,
        last_sign: None,
        alive: true,
        died: false,
        blocked_in: None,
        late: None,
        failures: Vec::new(),
        spans,
    }
}

fn timeline(bounds: [u64; 3], runners: Vec<TimelineRunner>) -> Timeline {
    let from = [0, bounds[0], bounds[1]];
    let phases = Phase::ACKNOWLEDGED.into_iter().enumerate();
    Timeline {
        segment: "job".into(),
        runner: None,
        generation: 1,
        outcome: ShutdownOutcome::Completed,
        mode: Mode::Graceful,
        reason: Reason::default(),
        started: ms(0),
        began: std::time::SystemTime::UNIX_EPOCH,
        ended: None,
        shortened: None,
        budget: ms(10_000),
        total: ms(bounds[2]),
        phases: phases
            .map(|(at, phase)| TimelinePhase {
                phase,
                from: ms(from[at]),
                until: Some(ms(bounds[at])),
                deadline: ms(10_000),
                forced: false,
            })
            .collect(),
        runners,
        predecessors: Vec::new(),
        marks: Vec::new(),
        critical_path: Vec::new(),
        lost: 0,
    }
}

fn told(steps: &[CriticalStep]) -> Vec<(String, String, u64, u64)> {
    steps
        .iter()
        .map(|step| {
            (
                step.runner.clone().unwrap_or_default(),
                step.doing.clone(),
                step.from.as_millis() as u64,
                step.until.as_millis() as u64,
            )
        })
        .collect()
}

#[test]
fn the_way_goes_to_the_runner_that_another_waited_for() {
    let one = runner(
        "runner-1",
        [1, 11, 3_000],
        vec![span(SpanKind::Closing, "client", 100, 2_900)],
    );
    let two = runner(
        "runner-2",
        [2, 10, 3_400],
        vec![
            span(SpanKind::Draining, "kv-cache", 20, 2_910),
            span(SpanKind::Closing, "kv-cache", 2_910, 3_390),
        ],
    );
    let needs = HashMap::from([("runner-2/kv-cache".into(), vec!["runner-1/client".into()])]);
    let found = timeline([2, 11, 3_400], vec![one, two]);
    let steps = path(&found, &needs);
    let step = |who: &str, what: &str, from, until| (who.into(), what.into(), from, until);
    let expected: [(String, String, u64, u64); 6] = [
        step("runner-2", "seeing the shutdown", 0, 2),
        step("runner-1", "finishing what was in flight", 2, 11),
        step("runner-1", "getting done", 11, 100),
        step("runner-1", "closing client", 100, 2_900),
        step("runner-2", "closing kv-cache", 2_910, 3_390),
        step("runner-2", "getting done", 3_390, 3_400),
    ];
    assert_eq!(told(&steps), expected);
    assert_eq!(steps[4].waited_for.as_deref(), Some("runner-1/client"));
}

#[test]
fn a_forced_phase_is_the_laggards() {
    let mut found = timeline(
        [2, 500, 510],
        vec![
            runner("good", [1, 3, 505], vec![]),
            runner("late", [2, 0, 0], vec![]),
        ],
    );
    found.phases[1].forced = true;
    let steps = path(&found, &HashMap::new());
    let of_draining: Vec<_> = steps
        .iter()
        .filter(|s| s.phase == Phase::Draining)
        .collect();
    assert_eq!(of_draining.len(), 1);
    assert_eq!(of_draining[0].runner.as_deref(), Some("late"));
    assert_eq!(of_draining[0].took(), ms(498));
}

#[test]
fn any_spans_are_walked_in_bounded_time() {
    let needs = HashMap::from([
        ("a/x".into(), vec!["b/x".into()]),
        ("b/x".into(), vec!["a/x".into()]),
    ]);
    let spans = || {
        vec![
            span(SpanKind::Closing, "x", 50, 50),
            span(SpanKind::Closing, "x", 90, 20),
        ]
    };
    let found = timeline(
        [10, 20, 100],
        vec![
            runner("a", [5, 15, 100], spans()),
            runner("b", [5, 15, 100], spans()),
        ],
    );
    let steps = path(&found, &needs);
    assert!(steps.iter().all(|step| step.until <= ms(100)));
}

/// Draining is on, for so long; nobody but the first has done it.
fn on(runners: Vec<TimelineRunner>) -> Timeline {
    let mut found = timeline([2, 500, 500], runners);
    found.phases.truncate(2);
    found.phases[1].until = None;
    found
}

#[test]
fn a_dead_one_that_nobody_counted_out_is_told_as_dead() {
    let mut dead = runner("dead", [1, 0, 0], vec![]);
    (dead.alive, dead.died) = (false, true);
    let found = on(vec![runner("good", [1, 3, 0], vec![]), dead]);
    let steps = path(&found, &HashMap::new());
    let last = steps.last().unwrap();
    assert_eq!(last.runner.as_deref(), Some("dead"));
    assert_eq!(last.doing, "is dead, not counted out yet");
}

#[test]
fn others_that_are_late_are_named_and_the_rest_of_them_counted() {
    let late = |id: &str| runner(id, [1, 0, 0], vec![]);
    let ids = ["a", "b", "c", "d", "e"];
    let expected = [
        "finishing what was in flight",
        "finishing what was in flight (late, too: b)",
        "finishing what was in flight (late, too: b, c)",
        "finishing what was in flight (late, too: b, c and 1 more)",
        "finishing what was in flight (late, too: b, c and 2 more)",
    ];
    for (count, expected) in (1..).zip(expected) {
        let found = on(ids.into_iter().take(count).map(late).collect());
        let steps = path(&found, &HashMap::new());
        assert_eq!(steps.last().unwrap().doing, expected);
    }
}
