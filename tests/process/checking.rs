//! A healthy segment has no finding, however busy it is; what the dead leave is told as
//! that, and settled; the command tells both by its exit code.

use std::time::Duration;

use crate::support::{Agent, Child, Shutdown, both, both_with, event, until_true};
use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, Gravity, Invariant, Phase, ResourceManager, ResourceOptions,
    ResourceType, Runner, Scope, Segment, SharedStateManager, ShutdownCoordinator, ShutdownRequest,
    StateError,
};

const SHORT: Duration = Duration::from_millis(3);
const WORKERS: usize = 4;
/// Checks from inside and from outside of a busy segment, on each back end.
const CHECKS: usize = 60;

/// Does everything again and again, attaching anew now and then, until told to quit.
fn busy(child: &Child) {
    let order = child.order();
    let me: usize = order.parse().unwrap();
    event("works");
    for round in 0.. {
        let segment = child.open();
        for turn in 0..8 {
            work(&segment, me, round * 8 + turn);
            if child.try_order().is_some() {
                return;
            }
        }
    }
}

fn work(segment: &Segment, me: usize, turn: usize) {
    let coordinator = ShutdownCoordinator::new(segment);
    let pair = ["first", "second"];
    // Both orders, so that there are deadlocks and violations.
    let [one, other] = [pair[me % 2], pair[(me + 1) % 2]]
        .map(|name| CrossProcessLock::open(segment, name).unwrap());
    if let Ok(guard) = one.lock_timeout(SHORT) {
        drop(other.lock_timeout(SHORT));
        let changed = CrossProcessCondvar::open(segment, "changed").unwrap();
        changed.notify_all().unwrap();
        drop(changed.wait_timeout(guard, SHORT));
    }
    let flag = CrossProcessEvent::open(segment, "flag").unwrap();
    flag.set().unwrap();
    let mut sets = flag.subscribe().unwrap();
    flag.set().unwrap();
    let _ = (sets.try_next(), flag.clear(), flag.wait(Some(SHORT)));
    let permits = CrossProcessSemaphore::open(segment, "permits", 2).unwrap();
    let permit = permits.acquire_timeout(SHORT);
    let gate = CrossProcessBarrier::open(segment, "gate", WORKERS - 1).unwrap();
    if gate.wait_timeout(SHORT).is_err() {
        let _ = gate.reset();
    }
    drop(permit);
    let state = SharedStateManager::open(segment).unwrap();
    let names = ["a", "b", "c", "d"].map(|name| format!("{name}{}", turn % 50));
    let _ = state.transaction(|tx| {
        for name in &names {
            tx.set(name, vec![me as u8; turn % 500])?;
        }
        Ok::<_, StateError>(())
    });
    let _ = (state.delete(&names[turn % 4]), state.keys());
    if let Ok(runner) = Runner::join(segment, &format!("runner-{me}")) {
        run(&runner, &coordinator, turn);
    }
    if turn.is_multiple_of(3) {
        let request = ShutdownRequest::new().timeout(Duration::from_millis(20));
        let _ = coordinator.initiate_shutdown(&Scope::All, &request);
        if turn.is_multiple_of(2) {
            let _ = coordinator.cancel_shutdown(&Scope::All);
        }
        let _ = coordinator.wait_for_shutdown_complete(&Scope::All, SHORT * 10);
    }
    let _ = coordinator.begin_generation();
    let _ = (coordinator.status(), segment.reap());
}

fn run(runner: &Runner, coordinator: &ShutdownCoordinator, turn: usize) {
    runner.set_activity("is busy");
    let item = runner.begin();
    runner.progress();
    let manager = ResourceManager::new(runner);
    let queue = manager.register_resource("queue", ResourceType::Queue, ResourceOptions::new());
    if let Ok(queue) = &queue {
        let on = ResourceOptions::new().depends_on(queue);
        let _ = manager.register_resource("file", ResourceType::File, on);
    }
    drop(item);
    if turn.is_multiple_of(5) {
        let request = ShutdownRequest::new().timeout(Duration::from_millis(20));
        let _ = coordinator.initiate_shutdown(&Scope::runner(runner.id()), &request);
    }
    let _ = runner.extend(SHORT);
    match turn % 3 {
        0 if runner.is_shutting_down() => drop(runner.run_shutdown()),
        1 => {
            for phase in Phase::ACKNOWLEDGED {
                let _ = runner.acknowledge(phase);
            }
        }
        _ => drop(manager.cleanup_resources(SHORT)),
    }
    let _ = runner.set_last_words("was busy");
    runner.leave();
}

#[test]
fn a_busy_segment_has_no_finding() {
    both_with(here!(), &[("busy", busy)], |place| {
        let segment = place.create();
        let mut workers: Vec<Agent> = (0..WORKERS)
            .map(|index| {
                let mut agent = Agent::spawn(place, "busy", Some(&segment));
                agent.tell(&index.to_string());
                agent
            })
            .collect();
        for worker in &mut workers {
            worker.event("works");
        }
        let observer = place.observe();
        for round in 0..CHECKS {
            let report = segment.check().unwrap();
            assert!(report.is_sound(), "{round}: {report:#?}");
            let report = observer.check().unwrap();
            assert!(report.is_sound(), "{round}, observed: {report:#?}");
        }
        for worker in &mut workers {
            worker.tell("quit");
        }
        for mut worker in workers {
            assert!(worker.ended().success());
        }
        let state = SharedStateManager::open(&segment).unwrap();
        assert!(!state.keys().unwrap().is_empty(), "they did work");
    });
}

/// One that is stopped in the middle of whatever it is at makes no finding.
#[test]
fn a_stopped_process_is_no_finding() {
    both_with(here!(), &[("busy", busy)], |place| {
        let segment = place.create();
        let mut worker = Agent::spawn(place, "busy", Some(&segment));
        worker.tell("0");
        worker.event("works");
        for _ in 0..30 {
            worker.stop();
            let report = segment.check().unwrap();
            worker.go_on();
            assert!(report.is_sound(), "{report:#?}");
        }
        worker.tell("quit");
        assert!(worker.ended().success());
    });
}

/// What a killed process leaves is told as left by the dead, and a repair settles it.
#[test]
fn what_the_dead_leave_is_told_and_settled() {
    both(here!(), |place| {
        let segment = place.create();
        let mut victim = place.runner(&segment, "victim");
        victim.tell("lock device 30000");
        victim.event("lock");
        let mut bystander = place.runner(&segment, "bystander");
        bystander.tell("lock other 30000");
        bystander.event("lock");
        ShutdownCoordinator::new(&segment).begin(Duration::from_secs(3600));
        victim.kill();
        let mut found = Vec::new();
        until_true("the byte lock of the dead is free", || {
            let report = place.observe().check().unwrap();
            found = report.findings.iter().map(|one| one.invariant).collect();
            assert_ne!(report.worst(), Some(Gravity::Broken), "{report:#?}");
            found.contains(&Invariant::Swept)
        });
        assert!(found.contains(&Invariant::Owner), "{found:?}");
        assert!(found.contains(&Invariant::CountedOut), "{found:?}");
        let repaired = segment.repair().unwrap();
        assert!(repaired.is_sound(), "{repaired:#?}");
        assert!(repaired.repaired.len() >= 3, "{repaired:#?}");
        // Nothing happened to the one who lives.
        let status = place.status();
        let lives = |id| status.runners.iter().any(|r| r.id == id && r.alive);
        assert!(lives("bystander") && !lives("victim"), "{status:?}");
        let other = CrossProcessLock::open(&segment, "other").unwrap();
        assert!(other.try_lock().is_err());
        let device = CrossProcessLock::open(&segment, "device").unwrap();
        assert!(device.try_lock().unwrap().previous_owner_died());
        bystander.ask("leave");
    });
}
