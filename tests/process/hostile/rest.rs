//! The calls of the smaller parts.

use std::path::Path;

use ebbtide::{
    CrossProcessBarrier, CrossProcessEvent, CrossProcessSemaphore, EventKind, EventOptions, Reset,
    ResourceManager, ResourceOptions, ResourceType, Runner, Segment, SharedStateManager,
    StateError, SystemResource,
};

use super::{SHORT, trying};

/// Puts something, for a test that then writes over it.
pub fn leave_some(segment: &Segment) {
    let state = SharedStateManager::open(segment).unwrap();
    state.set("left", "a value").unwrap();
    state.set_as("number", &7_u64).unwrap();
}

pub fn try_state(segment: &Segment) {
    trying("shared state");
    // If it believes that its process slot is another's, every handle says so.
    let Ok(state) = SharedStateManager::open(segment) else {
        return;
    };
    let state = state.lock_timeout(SHORT);
    let mut value = Vec::new();
    let _ = (state.get("left"), state.get_as::<u64>("number"));
    let _ = (state.get_into("left", &mut value), state.list());
    let left = state.prepare("left").unwrap();
    assert_eq!(left.key(), "left");
    let _ = (
        left.read(&mut [0; 1024]).is_ok(),
        left.read(&mut [0; 3]).is_ok(),
    );
    let _ = (left.get_into(&mut value), left.read(&mut [0; 1024]).is_ok());
    let _ = (state.keys(), state.snapshot(&["left", "number", "nothing"]));
    let _ = (state.set("left", [1; 300]), state.set("new", "value"));
    let _ = state.compare_exchange("left", Some(&[1; 300][..]), Some(&b"x"[..]));
    let _ = state.update_as("number", |number: Option<u64>| number.unwrap_or(0) ^ 1);
    let _ = state.update("left", |value| value.map(<[u8]>::to_vec));
    let _ = state.transaction(|tx| {
        let _ = (tx.get("left")?, tx.get_as::<u64>("number"));
        tx.set("one", "1")?;
        tx.set_as("number", &1_u64)?;
        tx.delete("left")?;
        Ok::<_, StateError>(())
    });
    let _ = state.delete("left");
    if let Ok(mut watch) = state.watch("number") {
        let _ = (watch.key().len(), watch.current());
        let _ = watch.wait(Some(SHORT));
        let _ = state.set_as("number", &2_u64);
        let _ = watch.wait_change(Some(SHORT));
    }
    let _ = state.clear();
}

pub fn try_event(segment: &Segment, flag: &CrossProcessEvent) {
    trying("event");
    let _ = (flag.name(), flag.reset(), flag.sequence());
    let _ = flag.wait(Some(SHORT));
    let _ = (flag.set(), flag.is_set(), flag.clear());
    let _ = flag.set_with(EventKind::Error, &[7; 256]);
    let _ = flag.wait_timeout(SHORT);
    let _ = flag.latest();
    trying("wait_any");
    let ticket = EventOptions::new()
        .reset(Reset::Auto)
        .open(segment, "ticket");
    if let Ok(ticket) = &ticket {
        let _ = CrossProcessEvent::wait_any(&[ticket, flag], Some(SHORT));
    }
    trying("subscription");
    for sets in [flag.subscribe(), flag.subscribe_from_now()] {
        let Ok(mut sets) = sets else { continue };
        let _ = sets.event().name();
        let _ = (sets.next(Some(SHORT)), sets.try_next());
        // While somebody writes there may always be one more.
        let deliveries = std::iter::from_fn(|| sets.try_next().ok().flatten());
        let _ = deliveries.take(1000).count();
    }
}

pub fn try_rendezvous(segment: &Segment) {
    trying("semaphore");
    if let Ok(permits) = CrossProcessSemaphore::open(segment, "permits", 2) {
        let _ = permits.acquire_timeout(SHORT).map(drop);
        let _ = permits.try_acquire().map(drop);
        let _ = (permits.name().len(), permits.available(), permits.holders());
    }
    trying("barrier");
    if let Ok(gate) = CrossProcessBarrier::open(segment, "gate", 2) {
        let _ = (gate.name().len(), gate.parties());
        let passed = gate.wait_timeout(SHORT);
        let _ = passed.map(|passed| passed.is_leader());
        let _ = (gate.waiting(), gate.broken());
        drop(gate.awaited().pollable());
        let _ = (gate.abort(), gate.reset());
    }
}

/// Registers some, for a test that then writes over them. They have no closures, so that
/// no thread of theirs outlives the runner: nobody is to be attached when it is dropped.
pub fn leave_resources(runner: &Runner) {
    let manager = ResourceManager::new(runner);
    let register = |name: &str, options| {
        let resource = manager.register_resource(name, ResourceType::Queue, options);
        resource.unwrap();
    };
    register("queue", ResourceOptions::new());
    register("needs", ResourceOptions::new().depends_on_named("a/queue"));
    register("lock", ResourceOptions::new());
}

pub fn try_resources(runner: &Runner) {
    trying("resources");
    let manager = ResourceManager::new(runner).parallel(2);
    let closing = || {
        ResourceOptions::new()
            .timeout(SHORT)
            .drain(|_| Ok::<_, String>(()))
            .cleanup(|context| {
                let _ = format!("{context:?}");
                Ok::<_, String>(())
            })
            .force(|_| Ok::<_, String>(()))
    };
    let queue = manager.register_resource("queue", ResourceType::Queue, closing());
    let needs = closing().depends_on_named("a/queue");
    let needs = manager.register_resource("needs", ResourceType::File, needs);
    let _ = manager.register_resource("lock", ResourceType::Custom, ResourceOptions::new());
    if let (Ok(queue), Ok(needs)) = (&queue, &needs) {
        // One of them closes a circle.
        let _ = manager.add_dependency(needs, queue);
        let _ = manager.add_dependency(queue, needs);
        let _ = manager.add_dependency_named(queue, "b/later");
        let _ = manager.find_resource("a/queue");
    }
    for resource in [&queue, &needs].into_iter().flatten() {
        let _ = manager.is_resource_active(resource);
        let _ = manager.resource_dependencies(resource);
    }
    let _ = format!("{:?} {:?}", manager.resources(), manager.leaks());
    trying("unregister");
    let _ = needs.map(|needs| manager.unregister(&needs));
    trying("cleanup");
    let _ = manager.cleanup_resources(SHORT);
}

/// Registers a file that outlives its owner, for whoever reclaims.
pub fn leave_file(segment: &Segment, runner: &Runner) {
    trying("system resource");
    // Beside the directory of the segments, to be removed with it.
    let beside = segment.path().parent().and_then(Path::parent);
    let path = beside.unwrap().join("left-behind");
    std::fs::write(&path, "").unwrap();
    let options = ResourceOptions::new().system(SystemResource::file(&path).unwrap());
    let _ = ResourceManager::new(runner).register_resource("file", ResourceType::File, options);
}
