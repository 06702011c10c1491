//! What a runner writes about itself, and its own resources.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ebbtide::{
    ResourceHandle, ResourceManager, ResourceOptions, ResourceType, Runner, Scope,
    ShutdownCoordinator, ShutdownRequest, SystemResource,
};

use super::shutdown::acknowledge;
use super::{
    ALONE, Answer, Operation, REGISTERED, Scene, by_process, by_runner, joined, props, text,
};
use crate::harness::stage::{Stage, leak};
use crate::harness::stop::cast::Who;

pub const ALL: &[Operation] = &[
    Operation {
        name: "set activity",
        scene: |stage| writing(stage, |runner| runner.set_activity("the victim's")),
        ..REGISTERED
    },
    Operation {
        name: "set last words",
        scene: |stage| {
            writing(stage, |runner| {
                let _ = runner.set_last_words("the victim's");
            })
        },
        ..REGISTERED
    },
    Operation {
        name: "progress",
        scene: |stage| writing(stage, Runner::progress),
        ..REGISTERED
    },
    Operation {
        name: "initiate its own",
        scene: |stage| {
            by_runner(stage, |segment, _| {
                let coordinator = ShutdownCoordinator::new(segment);
                let request = ShutdownRequest::new().timeout(Duration::from_secs(1_000_000));
                let scope = Scope::runner(stage.id);
                move || {
                    let begun = coordinator.initiate_shutdown(&scope, &request);
                    // So that the runner takes work again.
                    let _ = coordinator.cancel_shutdown(&scope);
                    text(&begun)
                }
            })
        },
        ..REGISTERED
    },
    Operation {
        name: "acknowledge its own",
        scene: acknowledge,
        ready: |cast| cast.told(Who::Survivor, "initiate of", "victim"),
        after: |cast, who| cast.told(who, "leave", ""),
        ..REGISTERED
    },
    Operation {
        name: "resource register",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            let manager = leak(ResourceManager::new(runner));
            let options = file(stage);
            Scene::new(props(segment, Some(runner)), move || {
                let made = manager.register_resource("file", ResourceType::File, options);
                Answer::new(text(&made), props(segment, Some(runner))).keeping(made.ok())
            })
        },
        ..REGISTERED
    },
    Operation {
        name: "resource unregister",
        scene: |stage| {
            by_runner(stage, |_, runner| {
                let manager = leak(ResourceManager::new(runner));
                let file = register(manager, "file", file(stage));
                move || text(&manager.unregister(&file))
            })
        },
        ..REGISTERED
    },
    Operation {
        name: "resource close",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            let manager = leak(ResourceManager::new(runner));
            let board = stage.board;
            let options = ResourceOptions::new().cleanup(move |_| {
                board.closed.fetch_add(1, Ordering::AcqRel);
                Ok::<_, String>(())
            });
            let cache = register(manager, "cache", options);
            Scene::new(props(segment, Some(runner)), move || {
                let report = manager.cleanup_resources(Duration::from_secs(60));
                Answer::new(text(&report), props(segment, Some(runner))).keeping(cache)
            })
        },
        ..REGISTERED
    },
    Operation {
        // The failure is told.
        name: "resource close, failing",
        scene: |stage| {
            by_runner(stage, |_, runner| {
                let manager = leak(ResourceManager::new(runner));
                let options = ResourceOptions::new().cleanup(|_| Err::<(), _>("on purpose"));
                let _cache = register(manager, "cache", options);
                move || text(&manager.cleanup_resources(Duration::from_secs(60)))
            })
        },
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        ..REGISTERED
    },
    Operation {
        name: "resource register, named",
        scene: |stage| {
            by_runner(stage, |_, runner| {
                let manager = leak(ResourceManager::new(runner));
                let options = file(stage).depends_on_named("survivor/queue");
                move || text(&manager.register_resource("file", ResourceType::File, options))
            })
        },
        ..REGISTERED
    },
    Operation {
        name: "reap",
        scene: |stage| by_process(stage, |segment| || text(&segment.reap())),
        ready: |cast| cast.dies(Who::Dead, "grasp"),
        ..ALONE
    },
    Operation {
        name: "reclaim",
        scene: |stage| by_process(stage, |segment| || text(&segment.reclaim())),
        ready: |cast| cast.dies(Who::Dead, "own a file"),
        ..ALONE
    },
];

fn writing(stage: &Stage, write: fn(&Runner)) -> Scene {
    by_runner(stage, |_, runner| {
        move || {
            write(runner);
            "ok".into()
        }
    })
}

/// The options of a resource that is a file.
pub fn file(stage: &Stage) -> ResourceOptions {
    fs::write(&stage.file, "the victim's").expect("a file");
    ResourceOptions::new().system(SystemResource::file(&stage.file).expect("it exists"))
}

pub fn register(manager: &ResourceManager, name: &str, options: ResourceOptions) -> ResourceHandle {
    let made = manager.register_resource(name, ResourceType::File, options);
    made.expect("there is room")
}
