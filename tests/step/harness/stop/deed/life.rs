//! Generations and shutdowns.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ebbtide::{
    CoordinationError, Initiation, Outcome, Phase, ReasonCode, Runner, Scope, ShutdownOutcome,
    ShutdownRequest,
};

use super::{Deed, number};
use crate::harness::peer::BOUND;
use crate::harness::stage::leak;
use crate::harness::stop::actor::{Actor, Tools};

pub const ALL: &[(&str, Deed)] = &[
    ("join", |actor, _| {
        actor.join();
        String::new()
    }),
    ("leave", |actor, _| {
        actor.leaves();
        String::new()
    }),
    ("join if it has not", |actor, _| {
        if actor.runner.is_none() {
            actor.join();
        }
        String::new()
    }),
    ("join if it runs", |actor, _| {
        if actor.runner.is_none() {
            let joined = Runner::join(actor.tools().segment, actor.stage.id);
            actor.runner = joined.ok().map(|runner| leak(runner));
        }
        actor.runner.map_or("no", |_| "joined").into()
    }),
    ("refused", |actor, times| {
        let is_renewing = actor.stage.board.renewing.load(Ordering::Acquire) != 0;
        for _ in 0..number(times) {
            let status = actor.tools().coordinator.status();
            let before = status.expect("the segment is consistent").generation;
            match Runner::join(actor.tools().segment, "late") {
                Err(CoordinationError::ShuttingDown { .. }) => {}
                // Nobody was shut down, so this call has begun the next generation, which has
                // a runner: its shutdown refuses the next.
                Ok(runner) if runner.generation() > before => {
                    let request = ShutdownRequest::new().timeout(BUDGET);
                    let tools = actor.tools();
                    let begun = tools.coordinator.initiate_shutdown(&Scope::All, &request);
                    begun.expect("the segment is consistent");
                    runner.run_shutdown().expect("it is alone");
                }
                // This call has finished the renewal that one was stopped in.
                Ok(runner) if is_renewing => runner.leave(),
                other => panic!("joined a group that is shut down: {other:?}"),
            }
        }
        String::new()
    }),
    ("initiate", |actor, millis| {
        let request = ShutdownRequest::new().timeout(Duration::from_millis(number(millis)));
        let begun = actor
            .tools()
            .coordinator
            .initiate_shutdown(&Scope::All, &request);
        format!("{:?}", begun.expect("the segment is consistent"))
    }),
    ("acknowledge", |actor, _| {
        let done = actor
            .runner
            .map(|runner| runner.acknowledge(Phase::Signaling));
        format!("{done:?}")
    }),
    ("cancelled", |actor, times| {
        let coordinator = actor.tools().coordinator;
        let request = ShutdownRequest::new().timeout(BUDGET);
        for _ in 0..number(times) {
            let begun = coordinator.initiate_shutdown(&Scope::All, &request);
            let begun = begun.expect("the segment is consistent");
            if begun == Initiation::Over {
                return "held up".into();
            }
            match coordinator.cancel_shutdown(&Scope::All) {
                Ok(()) => {}
                Err(CoordinationError::TooLate { .. }) => return "held up".into(),
                Err(error) => panic!("{error}"),
            }
        }
        String::new()
    }),
    ("initiate of", |actor, id| {
        let request = ShutdownRequest::new().timeout(BUDGET);
        let scope = Scope::runner(id);
        let begun = actor
            .tools()
            .coordinator
            .initiate_shutdown(&scope, &request);
        format!("{begun:?}")
    }),
    ("cancelled of", |actor, argument| {
        let (id, times) = argument.split_once(' ').unwrap_or((argument, "1"));
        let (coordinator, scope) = (actor.tools().coordinator, Scope::runner(id));
        let request = ShutdownRequest::new().timeout(BUDGET);
        for _ in 0..number(times) {
            let begun = coordinator.initiate_shutdown(&scope, &request);
            if begun.is_err() || coordinator.cancel_shutdown(&scope).is_err() {
                return "held up".into();
            }
        }
        String::new()
    }),
    ("forces of", |actor, id| {
        let (coordinator, scope) = (actor.tools().coordinator, Scope::runner(id));
        let _ = coordinator.cancel_shutdown(&scope);
        let request = ShutdownRequest::new().timeout(SHORT);
        if coordinator.initiate_shutdown(&scope, &request).is_err() {
            return "held up".into();
        }
        match coordinator.wait_for_shutdown_complete(&scope, BOUND) {
            Ok(_) | Err(CoordinationError::NoSuchRunner { .. }) => String::new(),
            Err(error) => panic!("its time is up: {error}"),
        }
    }),
    ("own", own),
    ("own stands", own_stands),
    ("finish", |actor, _| {
        actor.leaves();
        actor.tools().finish();
        String::new()
    }),
    ("all gone", |actor, _| match all_gone(actor) {
        true => "all gone".into(),
        false => "held up".into(),
    }),
    ("renew", |actor, _| renew(actor)),
    ("whole", |actor, times| {
        for _ in 0..number(times) {
            actor.leaves();
            actor.tools().finish();
            let renewed = renew(actor);
            if renewed != "renewed" {
                return renewed;
            }
        }
        "renewed".into()
    }),
    ("calm", calm),
    ("counts", |actor, ids| {
        let status = actor.tools().coordinator.status().expect("consistent");
        let mut late: Vec<_> = status.laggards.iter().map(|one| one.id.as_str()).collect();
        let mut all: Vec<_> = ids.split(',').filter(|id| !id.is_empty()).collect();
        late.sort_unstable();
        all.sort_unstable();
        assert_eq!(late, all, "the shutdown waits for others: {status:?}");
        String::new()
    }),
    ("run", |actor, _| {
        actor.items.clear();
        let runner = actor.runner.take().expect("it has joined");
        let report = runner.run_shutdown().expect("it is under way");
        assert!(report.runners.iter().all(is_done), "{report:?}");
        String::new()
    }),
    ("completed", |actor, ids| {
        let report = actor.tools().coordinator.report(&Scope::All);
        let report = report.expect("it is over");
        for id in ids.split(',').filter(|id| !id.is_empty()) {
            let done = report.runners.iter().any(|runner| {
                let has_all = runner.acknowledged.iter().all(Option::is_some);
                runner.id == id && has_all && is_done(runner) && runner.in_flight == 0
            });
            assert!(done, "{id} is not shown to be done: {report:?}");
        }
        // Those who died in this generation are in its report, too.
        let others = |one: &&ebbtide::RunnerReport| one.outcome != Some(Outcome::Completed);
        let is_right = match report.outcome {
            ShutdownOutcome::Completed => report.runners.iter().find(others).is_none(),
            _ => report.runners.iter().any(|one| others(&one)),
        };
        assert!(is_right, "{report:?}");
        String::new()
    }),
    ("forces", |actor, _| {
        let coordinator = actor.tools().coordinator;
        if actor.runner.is_none() || coordinator.cancel_shutdown(&Scope::All).is_err() {
            return String::new();
        }
        let request = ShutdownRequest::new().timeout(SHORT);
        let begun = coordinator.initiate_shutdown(&Scope::All, &request);
        begun.expect("the segment is consistent");
        let report = coordinator.wait_for_shutdown_complete(&Scope::All, BOUND);
        match report.expect("its time is up").outcome {
            ShutdownOutcome::TimedOut => String::new(),
            other => panic!("one is late, and the shutdown is {other:?}"),
        }
    }),
    ("comes to its end", |actor, _| {
        let waited = actor
            .tools()
            .coordinator
            .wait_for_shutdown_complete(&Scope::All, BOUND);
        format!("{:?}", waited.expect("it completes").outcome)
    }),
    ("reap", |actor, _| {
        actor
            .tools()
            .segment
            .reap()
            .expect("not forked")
            .to_string()
    }),
];

/// The terms of the survivor's own shutdown, unlike anybody else's.
const BUDGET: Duration = Duration::from_secs(600);
const SHARES: [u16; 3] = [200, 300, 500];
const CAP: Duration = Duration::from_secs(1600);
const EXTENSION: Duration = Duration::from_secs(900);
const TEXT: &str = "the survivor's own";
/// Between the start of a shutdown and a check of its times, at most.
const SLACK: Duration = Duration::from_secs(30);
/// The budget of a shutdown that does not wait for those who are stopped.
const SHORT: Duration = Duration::from_millis(20);

impl Actor {
    pub fn leaves(&mut self) {
        self.items.clear();
        if let Some(runner) = self.runner.take() {
            runner.leave();
        }
    }

    pub fn join(&mut self) {
        let joined = Runner::join(self.tools().segment, self.stage.id);
        self.runner = Some(leak(joined.expect("the group runs")));
    }
}

impl Tools {
    /// Brings the group to Complete, without waiting for those who are stopped.
    fn finish(&self) {
        let request = ShutdownRequest::new().timeout(SHORT);
        for _ in 0..64 {
            match self.coordinator.status().expect("consistent").phase {
                Phase::Complete => return,
                Phase::Signaling | Phase::Draining => {
                    // With a budget of somebody else, and what extended it.
                    let _ = self.coordinator.cancel_shutdown(&Scope::All);
                }
                _ => {}
            }
            let begun = self.coordinator.initiate_shutdown(&Scope::All, &request);
            begun.expect("the segment is consistent");
            let done = self
                .coordinator
                .wait_for_shutdown_complete(&Scope::All, BOUND);
            done.expect("a shutdown whose time is up completes");
        }
        panic!("the group never comes to Complete");
    }
}

/// Done with every phase; what failed is named.
fn is_done(runner: &ebbtide::RunnerReport) -> bool {
    let has_failures = runner.outcome == Some(Outcome::CompletedWithFailures);
    runner.outcome == Some(Outcome::Completed) || has_failures && !runner.failures.is_empty()
}

/// Whether all of the present generation are gone; remembers it if so.
fn all_gone(actor: &mut Actor) -> bool {
    let coordinator = actor.tools().coordinator;
    let ended = coordinator.status().expect("consistent").generation;
    match coordinator.wait_gone(ended, Duration::ZERO) {
        Ok(()) => {
            let board = actor.stage.board;
            if board.renewing.load(Ordering::Acquire) == 0 {
                board.gone.fetch_max(u64::from(ended), Ordering::AcqRel);
            }
            true
        }
        Err(CoordinationError::Occupied { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Begins the next generation, if nobody who is there keeps it from that.
fn renew(actor: &mut Actor) -> String {
    let coordinator = actor.tools().coordinator;
    let ended = coordinator.status().expect("consistent").generation;
    if !all_gone(actor) {
        return "held up".into();
    }
    match coordinator.begin_generation() {
        Ok(begun) => assert_eq!(begun, ended + 1),
        Err(CoordinationError::Occupied { .. }) => return "held up".into(),
        // Somebody had begun to begin it, and this call helped.
        Err(CoordinationError::NotComplete { generation, .. }) if generation >= ended => {}
        Err(error) => panic!("{error}"),
    }
    "renewed".into()
}

/// Brings the group to Running, if nobody who is there keeps it from that.
fn calm(actor: &mut Actor, _: &str) -> String {
    let coordinator = actor.tools().coordinator;
    for _ in 0..64 {
        let status = coordinator.status().expect("consistent");
        match status.phase {
            Phase::Running => return "running".into(),
            Phase::Signaling | Phase::Draining => {
                let _ = coordinator.cancel_shutdown(&Scope::All);
            }
            Phase::Closing => actor.tools().finish(),
            Phase::Complete if status.runners.iter().any(|runner| runner.alive) => {
                return "occupied".into();
            }
            _ => {
                let gone = coordinator.wait_gone(status.generation, BOUND);
                gone.expect("the dead are gone");
                match coordinator.begin_generation() {
                    Ok(begun) => assert_eq!(begun, status.generation + 1),
                    // Somebody had begun to begin it, and this call helped.
                    Err(CoordinationError::NotComplete { .. }) => {}
                    Err(error) => panic!("nobody lives in it: {error}"),
                }
            }
        }
    }
    panic!("the group never comes to Running");
}

/// A shutdown with terms of its own, left under way. The actor is a runner in it, so that
/// no phase passes without it.
fn own(actor: &mut Actor, _: &str) -> String {
    let coordinator = actor.tools().coordinator;
    if actor.runner.is_none() {
        match Runner::join(actor.tools().segment, actor.stage.id) {
            Ok(runner) => actor.runner = Some(leak(runner)),
            Err(CoordinationError::ShuttingDown { .. }) => {
                let _ = coordinator.cancel_shutdown(&Scope::All);
                match Runner::join(actor.tools().segment, actor.stage.id) {
                    Ok(runner) => actor.runner = Some(leak(runner)),
                    Err(_) => return "held up".into(),
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    let request = ShutdownRequest::new()
        .timeout(BUDGET)
        .cap(CAP)
        .reason(ReasonCode::Upgrade, TEXT)
        .shares(SHARES)
        .expect("they sum to 1000");
    for _ in 0..4 {
        let begun = coordinator.initiate_shutdown(&Scope::All, &request);
        match begun.expect("the segment is consistent") {
            Initiation::Drives => {
                let granted = coordinator.extend(&Scope::All, EXTENSION);
                assert_eq!(granted.ok(), Some(EXTENSION), "its cap is not its own");
                own_stands(actor, "");
                return "under way".into();
            }
            Initiation::Merged => {
                let _ = coordinator.cancel_shutdown(&Scope::All);
            }
            _ => return "held up".into(),
        }
    }
    panic!("it never drives a shutdown");
}

/// The own shutdown is as it was asked for. The argument: milliseconds that somebody else
/// was granted besides.
fn own_stands(actor: &mut Actor, more: &str) -> String {
    let more = Duration::from_millis(more.parse().unwrap_or(0));
    let status = actor.tools().coordinator.status().expect("consistent");
    assert_eq!(status.phase, Phase::Signaling, "{status:?}");
    let reason = status.reason.clone().unwrap_or_default();
    assert_eq!(reason.text, TEXT, "the reason is not its own");
    assert_eq!(reason.pid, std::process::id(), "the initiator is another");
    let share = BUDGET * u32::from(SHARES[0]) / 1000;
    let is_as = |seen: Option<Duration>, asked: Duration| {
        seen.is_some_and(|seen| seen <= asked && seen + SLACK >= asked)
    };
    let phase = share + EXTENSION + more;
    let whole = (BUDGET + EXTENSION + more).min(CAP);
    assert!(
        is_as(status.phase_remaining, phase),
        "the phase ends in {:?}, not in {phase:?}",
        status.phase_remaining
    );
    assert!(
        is_as(status.remaining, whole),
        "all ends in {:?}, not in {whole:?}",
        status.remaining
    );
    String::new()
}
