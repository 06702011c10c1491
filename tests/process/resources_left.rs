//! What processes leave in the system although they were not killed in the middle of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{self, Agent, Child, Place, both_with, reply};
use ebbtide::{
    Reclaim, ResourceManager, ResourceOptions, ResourceState, ResourceType, Runner, Segment,
    SystemResource,
};

/// Registers a file and shared memory; the object of the file goes at once.
fn leaver(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "leaver").unwrap();
    let manager = ResourceManager::new(&runner);
    let order = child.order();
    let (file, memory) = order.split_once(' ').unwrap();
    let object = Arc::new(());
    let dropped = ResourceOptions::new()
        .object(&object)
        .system(SystemResource::file(file).unwrap());
    let kept = ResourceOptions::new().system(SystemResource::shared_memory(memory).unwrap());
    for (name, kind, options) in [
        ("file", ResourceType::File, dropped),
        ("memory", ResourceType::SharedMemory, kept),
    ] {
        manager.register_resource(name, kind, options).unwrap();
    }
    drop(object);
    let states = manager.resources().unwrap();
    let file = states.iter().find(|r| r.name == "file").unwrap();
    reply(&format!("{:?}", file.state));
    child.order();
}

/// A place in shared memory, gone at the end of the test whatever happens.
struct Memory(String);

impl Memory {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("ebbtide-test-{}-{number}", std::process::id());
        std::fs::write(Self::path_of(&name), "memory").unwrap();
        Self(name)
    }

    fn path_of(name: &str) -> String {
        format!("/dev/shm/{name}")
    }

    fn exists(&self) -> bool {
        Path::new(&Self::path_of(&self.0)).exists()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(Self::path_of(&self.0));
    }
}

fn start(place: &Place, segment: &Segment, memory: &Memory) -> (Agent, String) {
    let file = place.scratch("dropped").to_str().unwrap().to_owned();
    std::fs::write(&file, "file").unwrap();
    let mut agent = Agent::spawn(place, "leaver", Some(segment));
    let dropped = format!("{:?}", ResourceState::Dropped);
    assert_eq!(agent.ask(&format!("{file} {}", memory.0)), dropped);
    (agent, file)
}

#[test]
fn what_was_dropped_or_shared_goes_when_its_process_dies_later() {
    both_with(here!(), &[("leaver", leaver)], |place| {
        let (segment, memory) = (place.create(), Memory::new());
        let (mut agent, file) = start(place, &segment, &memory);
        // Its process lives: hands off.
        assert!(segment.reclaim().unwrap().resources.is_empty());
        agent.kill();
        let mut taken = Vec::new();
        support::until_true("both are reclaimed", || {
            taken.extend(segment.reclaim().unwrap().resources);
            taken.len() == 2
        });
        let fates: Vec<_> = taken.iter().map(|r| r.reclaimed).collect();
        assert_eq!(fates, [Some(Reclaim::Reclaimed); 2]);
        assert!(!Path::new(&file).exists() && !memory.exists());
    });
}

#[test]
fn what_a_process_leaves_in_order_is_not_touched() {
    both_with(here!(), &[("leaver", leaver)], |place| {
        let (segment, memory) = (place.create(), Memory::new());
        let (mut agent, file) = start(place, &segment, &memory);
        agent.tell("end");
        assert!(agent.ended().success());
        assert!(segment.reclaim().unwrap().resources.is_empty());
        assert!(Path::new(&file).exists() && memory.exists());
    });
}
