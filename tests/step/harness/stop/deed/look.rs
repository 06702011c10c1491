//! What must be so when nothing is under way.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use ebbtide::{Gravity, ResourceState};

use super::Deed;
use crate::harness::check;
use crate::harness::peer::BOUND;
use crate::harness::place::NAME;
use crate::harness::stop::actor::Actor;

pub const ALL: &[(&str, Deed)] = &[
    ("no harm", |actor, _| {
        let report = actor.tools().segment.check().expect("a whole segment");
        assert!(report.worst() != Some(Gravity::Broken), "{report:?}");
        String::new()
    }),
    ("named", named),
    ("is marked", |actor, _| {
        let observer = actor.observer.as_ref();
        let is_marked = observer.is_some_and(ebbtide::Observer::is_removed);
        if is_marked { "yes" } else { "no" }.into()
    }),
    ("member", member),
    ("closed once", |actor, _| {
        let closed = actor.stage.board.closed.load(Ordering::Acquire);
        assert!(closed <= 1, "closed {closed} times");
        String::new()
    }),
    ("alone", |actor, _| {
        actor.guard = None;
        actor.permits.clear();
        actor.leaves();
        reaped(actor);
        check::invariants(actor.tools().segment);
        let clashes = actor.stage.board.take_clashes();
        assert_eq!(clashes, 0, "two held one lock, or a death was not reported");
        String::new()
    }),
];

/// The name leads to the segment that this process is attached to.
fn named(actor: &mut Actor, _: &str) -> String {
    let segment = actor.tools().segment;
    let named = actor.stage.options.observe(NAME);
    let named = named.unwrap_or_else(|error| panic!("a used segment has no name: {error}"));
    assert_eq!(
        named.token().to_string(),
        segment.token().to_string(),
        "the name leads to another segment"
    );
    assert!(!named.is_removed(), "a used segment is marked as removed");
    String::new()
}

/// This process's runner is one of the present generation, and of none that is gone.
fn member(actor: &mut Actor, _: &str) -> String {
    let Some(runner) = actor.runner else {
        return "no runner".into();
    };
    let status = actor.tools().coordinator.status().expect("consistent");
    let pid = std::process::id();
    let is_live =
        |one: &ebbtide::RunnerReport| one.pid == pid && one.alive && one.id == runner.id();
    if !status.runners.iter().any(is_live) {
        actor.runner = None;
        return "ended".into();
    }
    let gone = actor.stage.board.gone.load(Ordering::Acquire);
    assert!(
        u64::from(runner.generation()) > gone,
        "a runner of generation {} lives, and all of generation {gone} were gone",
        runner.generation()
    );
    assert_eq!(
        runner.generation(),
        status.generation,
        "a runner lives in another generation than the group"
    );
    "lives".into()
}

/// Until nothing of the dead is left.
fn reaped(actor: &mut Actor) {
    let tools = actor.tools();
    let begin = Instant::now();
    loop {
        let _ = tools.segment.reap().expect("not forked");
        let status = tools.coordinator.status().expect("consistent");
        let is_due = status.resources.iter().any(|one| {
            one.state == ResourceState::Orphaned && one.system.is_some() && one.reclaimed.is_none()
        });
        if status.attached == 1 && !is_due {
            return;
        }
        assert!(begin.elapsed() < BOUND, "never reaped: {status:?}");
        thread::yield_now();
    }
}
