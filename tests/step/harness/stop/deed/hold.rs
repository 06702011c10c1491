//! Locks, permits, threads, events, values and records.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use ebbtide::{LockError, Outcome, ResourceManager, ResourceOptions, ResourceType, SemaphoreError};

use super::{Deed, number};
use crate::harness::board::Board;
use crate::harness::peer::BOUND;
use crate::harness::stage::{NEW, PERMITS, SAID, leak};
use crate::harness::stop::actor::{Actor, Tools, me};
use crate::harness::stop::operation::own;

pub const ALL: &[(&str, Deed)] = &[
    ("lock", |actor, _| {
        let tools = actor.tools();
        let guard = tools.lock.lock_timeout(BOUND).expect("the lock comes");
        let died = guard.previous_owner_died();
        actor.stage.board.enter_as(died, me());
        if died {
            guard.mark_consistent();
        }
        actor.guard = Some(guard);
        if died { "told" } else { "" }.into()
    }),
    ("locked out", |actor, _| {
        match actor.tools().lock.try_lock() {
            Err(LockError::WouldBlock { .. } | LockError::Recursive { .. }) => {}
            other => panic!("two owners of one lock: {other:?}"),
        }
        String::new()
    }),
    ("unlock", |actor, _| {
        if let Some(guard) = actor.guard.take() {
            actor.stage.board.leave_as(me());
            drop(guard);
        }
        String::new()
    }),
    ("nothing", |_, _| String::new()),
    ("act", |actor, _| {
        actor.acts();
        actor.said.clone()
    }),
    ("said", |actor, _| actor.said.clone()),
    ("counted", |actor, wanted| {
        let seen = actor.stage.board.values[0].load(Ordering::Acquire);
        assert_eq!(seen.to_string(), wanted, "a stale store");
        String::new()
    }),
    ("count", |actor, _| {
        actor.stage.board.values[0].fetch_add(1, Ordering::AcqRel);
        String::new()
    }),
    ("drop what it kept", |actor, what| {
        if what == "lock" {
            actor.stage.board.leave_as(me());
        }
        actor.kept = None;
        String::new()
    }),
    ("permits", |actor, count| {
        let permits = actor.tools().permits;
        for _ in 0..number(count) {
            let permit = permits.acquire_timeout(BOUND).expect("a permit");
            actor.permits.push(permit);
        }
        String::new()
    }),
    ("no permit", |actor, _| {
        match actor.tools().permits.try_acquire() {
            Err(SemaphoreError::WouldBlock { .. }) => {}
            other => panic!("more permits than there are: {other:?}"),
        }
        String::new()
    }),
    ("give permits", |actor, _| {
        actor.permits.clear();
        String::new()
    }),
    ("all permits", |actor, _| {
        assert_eq!(actor.tools().permits.available(), PERMITS.1);
        String::new()
    }),
    ("grasp", grasp),
    ("churn", churn),
    ("churn ends", |actor, _| {
        for holder in actor.holders.drain(..) {
            holder.thread().unpark();
            holder.join().expect("it finds all as it should be");
        }
        String::new()
    }),
    ("set event", |actor, _| {
        let event = actor.tools().event;
        let before = event.sequence();
        let number = event.set().expect("nobody is stopped in a set");
        assert_eq!(number, before + 1, "a set was lost, or counted twice");
        assert!(event.is_set());
        number.to_string()
    }),
    ("event is set", |actor, wanted| {
        let event = actor.tools().event;
        assert_eq!(event.sequence().to_string(), wanted);
        assert!(event.wait_timeout(BOUND).expect("not forked"), "never set");
        let latest = event.latest().expect("consistent").expect("it was set");
        assert!(
            latest.payload == SAID || latest.payload.is_empty(),
            "torn: {latest:?}"
        );
        event.clear().expect("not forked");
        String::new()
    }),
    ("set value", |actor, value| {
        let set = actor.tools().store.set("shared", value.as_bytes());
        set.expect("the writers' lock comes");
        String::new()
    }),
    ("value is", |actor, value| {
        let seen = actor.tools().store.get("shared").expect("readable");
        assert_eq!(seen.as_deref(), Some(value.as_bytes()));
        let single = actor.tools().store.get("single").expect("readable");
        assert!(single.is_none_or(|single| single == NEW), "torn");
        String::new()
    }),
    ("begin", |actor, _| {
        let runner = actor.runner.expect("it has joined");
        actor.items.push(runner.begin().expect("it runs"));
        String::new()
    }),
    ("records", |actor, _| {
        let runner = actor.runner.expect("it has joined");
        runner.set_activity(ACTIVITY);
        runner.set_last_words(WORDS).expect("it has not left");
        for _ in 0..PROGRESS {
            runner.progress();
        }
        actor.items.push(runner.begin().expect("it runs"));
        let manager = leak(ResourceManager::new(runner));
        let options = ResourceOptions::new();
        let made = manager.register_resource("own", ResourceType::Custom, options);
        leak(made.expect("there is room"));
        String::new()
    }),
    ("own a file", |actor, _| {
        let joined = ebbtide::Runner::join(actor.tools().segment, actor.stage.id);
        let Ok(runner) = joined else {
            return "refused".into();
        };
        let manager = leak(ResourceManager::new(leak(runner)));
        let options = own::file(&actor.stage);
        leak(own::register(manager, "file", options));
        String::new()
    }),
    ("records stand", records_stand),
    ("fail", |actor, _| {
        actor.join();
        if let Some(runner) = actor.runner.take() {
            runner.fail(CAUSE);
        }
        String::new()
    }),
    ("failed", |actor, id| {
        let status = actor.tools().coordinator.status().expect("consistent");
        let mut runners = status.runners.iter().filter(|one| one.id == id);
        let outcome = runners.next().and_then(|one| one.outcome.clone());
        let cause = CAUSE.into();
        assert_eq!(
            outcome,
            Some(Outcome::Failed { cause }),
            "another's verdict"
        );
        String::new()
    }),
];

const ACTIVITY: &str = "does what is its own";
const WORDS: &str = "words of its own";
const PROGRESS: u64 = 3;
const CAUSE: &str = "a cause of its own";

/// What this runner wrote about itself is what others read of it.
fn records_stand(actor: &mut Actor, _: &str) -> String {
    let status = actor.tools().coordinator.status().expect("consistent");
    let mut own = status.runners.iter().filter(|one| one.id == actor.stage.id);
    let own = own.find(|one| one.alive).unwrap_or_else(|| {
        panic!(
            "a living runner is not shown as alive: {:?}",
            status.runners
        );
    });
    let activity = own.activity.as_ref().map(|activity| activity.text.as_str());
    assert_eq!(activity, Some(ACTIVITY), "another's activity");
    assert_eq!(own.last_words, WORDS, "another's last words");
    assert_eq!(own.progress, PROGRESS, "another's progress");
    assert_eq!(own.outcome, None, "another's verdict");
    assert_eq!(own.in_flight, 1, "another's items are counted");
    assert_eq!(actor.runner.map(ebbtide::Runner::in_flight), Some(1));
    let resources = status
        .resources
        .iter()
        .filter(|one| one.runner == actor.stage.id);
    let states: Vec<_> = resources.map(|one| (&one.name, one.state)).collect();
    assert_eq!(states.len(), 1, "{states:?}");
    assert_eq!(states[0].1, ebbtide::ResourceState::Active, "{states:?}");
    actor.items.clear();
    assert_eq!(actor.runner.map(ebbtide::Runner::in_flight), Some(0));
    String::new()
}

/// Takes what it can get of everything, to be killed with it.
fn grasp(actor: &mut Actor, _: &str) -> String {
    let tools = actor.tools();
    let mut got = String::new();
    if let Ok(guard) = tools.lock.try_lock() {
        let died = guard.previous_owner_died();
        actor.stage.board.enter_as(died, me());
        actor.guard = Some(guard);
        got.push_str("lock ");
    }
    if let Ok(permit) = tools.permits.try_acquire() {
        actor.permits.push(permit);
        got.push_str("permit ");
    }
    if let Ok(runner) = ebbtide::Runner::join(tools.segment, actor.stage.id) {
        let runner = leak(runner);
        actor.runner = Some(runner);
        actor.items.extend(runner.begin());
        got.push_str("runner ");
    }
    got
}

/// `times` threads attach, one after the other, take what they can get and end; the last
/// one keeps what it has until it is asked to end.
fn churn(actor: &mut Actor, times: &str) -> String {
    let (tools, board) = (actor.tools(), actor.stage.board);
    for _ in 1..number(times) {
        let thread = thread::spawn(move || {
            visit(tools, board, || {});
        });
        thread.join().expect("it finds all as it should be");
    }
    let (say, said) = std::sync::mpsc::channel();
    actor.holders.push(thread::spawn(move || {
        visit(tools, board, || {
            let _ = say.send(());
            thread::park_timeout(10 * BOUND);
        });
    }));
    said.recv_timeout(BOUND)
        .expect("the holder is at its place");
    String::new()
}

fn visit(tools: Tools, board: &'static Board, meanwhile: impl FnOnce()) {
    let permit = tools.permits.try_acquire();
    match tools.lock.lock_timeout(Duration::ZERO) {
        Ok(guard) => {
            let died = guard.previous_owner_died();
            board.enter_as(died, me());
            if died {
                guard.mark_consistent();
            }
            meanwhile();
            board.leave_as(me());
            drop(guard);
        }
        Err(_) => meanwhile(),
    }
    drop(permit);
}
