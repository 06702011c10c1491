//! Shared values, resources, and what others left.

use std::fs;
use std::time::Duration;

use ebbtide::{
    ResourceHandle, ResourceManager, ResourceOptions, ResourceType, StateError, SystemResource,
};

use super::lock::nothing;
use super::{ALONE, Operation};
use crate::harness::peer::Peer;
use crate::harness::stage::{Act, KEYS, NEW, PERMITS, Stage, leak};

pub const STORE: &[Operation] = &[
    Operation {
        name: "store set",
        scene: |stage| {
            let store = stage.store();
            Box::new(move || {
                store.set("single", NEW).expect("the writers' lock");
                nothing()
            })
        },
        ..ALONE
    },
    Operation {
        name: "transaction of 3 keys",
        scene: |stage| {
            let store = stage.store();
            Box::new(move || {
                let committed = store.transaction(|transaction| {
                    for key in KEYS {
                        transaction.set(key, NEW)?;
                    }
                    Ok::<_, StateError>(())
                });
                committed.expect("the writers' lock");
                nothing()
            })
        },
        ..ALONE
    },
];

pub const RESOURCES: &[Operation] = &[
    Operation {
        name: "reap",
        scene: |stage| {
            let segment = stage.segment();
            Box::new(move || Box::new(segment.reap().expect("not forked")))
        },
        casualty: true,
        ..ALONE
    },
    Operation {
        name: "resource register",
        scene: |stage| {
            let manager = leak(ResourceManager::new(stage.join()));
            let options = options(stage);
            Box::new(move || {
                let registered = manager.register_resource("file", ResourceType::File, options);
                Box::new(registered.expect("there is room"))
            })
        },
        ..ALONE
    },
    Operation {
        name: "resource depend",
        scene: |stage| {
            let manager = leak(ResourceManager::new(stage.join()));
            let [queue, file, log] = ["queue", "file", "log"].map(|name| {
                let options = match name {
                    "file" => options(stage),
                    _ => ResourceOptions::new(),
                };
                leak(register(manager, name, options))
            });
            manager.add_dependency(file, queue).expect("no circle");
            Box::new(move || {
                // It closes a circle and is taken back; the other stands.
                let refused = manager.add_dependency(queue, file);
                assert!(refused.is_err());
                manager.add_dependency(queue, log).expect("no circle");
                nothing()
            })
        },
        ..ALONE
    },
    Operation {
        name: "resource close",
        scene: |stage| {
            let manager = leak(ResourceManager::new(stage.join()));
            let file = register(manager, "file", options(stage));
            let cache = ResourceOptions::new().depends_on(&file);
            let cache = cache.cleanup(|_| Ok::<_, String>(()));
            let _cache = register(manager, "cache", cache);
            Box::new(move || {
                let report = manager.cleanup_resources(Duration::from_secs(60));
                Box::new(report.expect("not forked"))
            })
        },
        ..ALONE
    },
    Operation {
        // The failure is told.
        name: "resource close, failing",
        scene: |stage| {
            let manager = leak(ResourceManager::new(stage.join()));
            let cache = ResourceOptions::new().cleanup(|_| Err::<(), _>("on purpose"));
            let _cache = register(manager, "cache", cache);
            Box::new(move || {
                let report = manager.cleanup_resources(Duration::from_secs(60));
                Box::new(report.expect("not forked"))
            })
        },
        ready: Peer::initiate,
        ..ALONE
    },
    Operation {
        name: "resource register, named",
        scene: |stage| {
            let manager = leak(ResourceManager::new(stage.join()));
            let options = options(stage).depends_on_named("survivor/queue");
            Box::new(move || {
                let registered = manager.register_resource("file", ResourceType::File, options);
                Box::new(registered.expect("there is room"))
            })
        },
        ..ALONE
    },
];

fn options(stage: &Stage) -> ResourceOptions {
    fs::write(&stage.file, "the victim's").expect("a file");
    ResourceOptions::new().system(SystemResource::file(&stage.file).expect("it exists"))
}

fn register(manager: &ResourceManager, name: &str, options: ResourceOptions) -> ResourceHandle {
    manager
        .register_resource(name, ResourceType::File, options)
        .expect("there is room")
}

/// Holds something of everything, to be killed with it.
pub fn casualty(stage: &Stage) -> Act {
    let guard = stage.take(stage.lock());
    let permit = stage.semaphore(PERMITS.0, PERMITS.1).acquire();
    let permit = permit.expect("a permit");
    let runner = stage.join();
    let item = runner.begin().expect("it runs");
    let manager = leak(ResourceManager::new(runner));
    let file = register(manager, "file", options(stage));
    Box::new(move || Box::new((guard, permit, item, file)))
}
