//! Joining, working, leaving, and the steps of the group's shutdown.

use std::time::Duration;

use ebbtide::{Mode, Phase, ReasonCode, Runner, Scope, ShutdownCoordinator, ShutdownRequest};

use super::{ALONE, Answer, Operation, REGISTERED, Scene, Thread, joined, props, text};
use crate::harness::stage::{Stage, leak};
use crate::harness::stop::cast::Who;

pub const ALL: &[Operation] = &[
    Operation {
        name: "join",
        scene: |stage| {
            let (segment, id) = (stage.segment(), stage.id);
            Scene::new(props(segment, None), move || {
                let joined = Runner::join(segment, id);
                let said = text(&joined);
                let runner = joined.ok().map(|runner| leak(runner));
                Answer::new(said, props(segment, runner))
            })
        },
        ..ALONE
    },
    Operation {
        name: "initiate",
        scene: initiate,
        ..REGISTERED
    },
    Operation {
        name: "merge",
        scene: initiate,
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        ..REGISTERED
    },
    Operation {
        // One dead runner is marked dead on the way; this process is none.
        name: "initiate beside the dead",
        scene: |stage| {
            let segment = stage.segment();
            let coordinator = ShutdownCoordinator::new(segment);
            Scene::new(props(segment, None), move || {
                let begun = coordinator.initiate_shutdown(&Scope::All, &request());
                Answer::new(text(&begun), props(segment, None))
            })
        },
        ready: |cast| cast.dies(Who::Dead, "grasp"),
        ..ALONE
    },
    Operation {
        name: "acknowledge, last",
        scene: acknowledge,
        arrange: |cast| cast.told(Who::Survivor, "join if it runs", ""),
        ready: |cast| {
            cast.told(Who::Survivor, "initiate", "600000")?;
            cast.told(Who::Survivor, "acknowledge", "")
        },
        ..REGISTERED
    },
    Operation {
        name: "acknowledge, not last",
        scene: acknowledge,
        arrange: |cast| cast.told(Who::Survivor, "join if it runs", ""),
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        ..REGISTERED
    },
    Operation {
        name: "run shutdown",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            Scene::new(props(segment, Some(runner)), move || {
                let report = runner.run_shutdown();
                let said = match &report {
                    Ok(report) => format!("{:?}", report.outcome),
                    Err(error) => format!("refused: {error}"),
                };
                Answer::new(said, props(segment, Some(runner)))
            })
        },
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        // In a shutdown that somebody else began meanwhile it may wait for others.
        asleep: |cast| cast.told(Who::Survivor, "calm", ""),
        ..REGISTERED
    },
    Operation {
        name: "leave",
        scene: |stage| leaving(stage, Runner::leave),
        ..REGISTERED
    },
    Operation {
        name: "leave, last",
        scene: |stage| leaving(stage, Runner::leave),
        arrange: |cast| cast.told(Who::Survivor, "join if it runs", ""),
        ready: |cast| {
            cast.told(Who::Survivor, "initiate", "600000")?;
            cast.told(Who::Survivor, "acknowledge", "")
        },
        ..REGISTERED
    },
    Operation {
        name: "leave forced",
        scene: |stage| leaving(stage, Runner::leave_forced),
        ..REGISTERED
    },
    Operation {
        name: "fail",
        scene: |stage| leaving(stage, |runner| runner.fail("the victim's cause")),
        ..REGISTERED
    },
    Operation {
        name: "begin and end",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            Scene::new(props(segment, Some(runner)), move || {
                let begun = runner.begin();
                let said = text(&begun);
                drop(begun);
                Answer::new(said, props(segment, Some(runner)))
            })
        },
        ..REGISTERED
    },
    Operation {
        name: "cancel",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            let coordinator = ShutdownCoordinator::new(segment);
            Scene::new(props(segment, Some(runner)), move || {
                let cancelled = coordinator.cancel_shutdown(&Scope::All);
                let said = text(&cancelled).replacen("ok", "cancelled", 1);
                Answer::new(said, props(segment, Some(runner)))
            })
        },
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        ..REGISTERED
    },
    Operation {
        name: "extend",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            runner.progress();
            Scene::new(props(segment, Some(runner)), move || {
                let granted = runner.extend(Duration::from_secs(10));
                let said = text(&granted).replacen("ok", "extended", 1);
                Answer::new(said, props(segment, Some(runner)))
            })
        },
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        ..REGISTERED
    },
    Operation {
        name: "extend, coordinator",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            let coordinator = ShutdownCoordinator::new(segment);
            Scene::new(props(segment, Some(runner)), move || {
                let granted = coordinator.extend(&Scope::All, Duration::from_secs(10));
                let said = text(&granted).replacen("ok", "extended", 1);
                Answer::new(said, props(segment, Some(runner)))
            })
        },
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        ..REGISTERED
    },
    Operation {
        name: "escalate",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            let coordinator = ShutdownCoordinator::new(segment);
            Scene::new(props(segment, Some(runner)), move || {
                let harder = coordinator.escalate(&Scope::All, Mode::Fast);
                Answer::new(text(&harder), props(segment, Some(runner)))
            })
        },
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        ..REGISTERED
    },
    Operation {
        name: "begin generation",
        scene: |stage| {
            let segment = stage.segment();
            let coordinator = ShutdownCoordinator::new(segment);
            Scene::new(props(segment, None), move || {
                let begun = coordinator.begin_generation();
                Answer::new(text(&begun), props(segment, None))
            })
        },
        ready: |cast| cast.told(Who::Survivor, "finish", ""),
        ..ALONE
    },
    Operation {
        name: "wait gone",
        scene: |stage| {
            let segment = stage.segment();
            let coordinator = ShutdownCoordinator::new(segment);
            Scene::new(props(segment, None), move || {
                let gone = coordinator.wait_gone(1, Duration::ZERO);
                Answer::new(text(&gone), props(segment, None))
            })
        },
        ready: |cast| {
            cast.dies(Who::Dead, "grasp")?;
            cast.told(Who::Survivor, "finish", "")
        },
        ..ALONE
    },
    Operation {
        // The keeper goes on looking after an acknowledgement by hand.
        name: "keeper",
        thread: Thread::Named("ebbtide-keeper"),
        scene: acknowledge,
        arrange: |cast| cast.told(Who::Survivor, "join if it runs", ""),
        ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
        ..REGISTERED
    },
    Operation {
        // The thread that waits for futures and descriptors sees a shutdown begin.
        name: "waiter",
        thread: Thread::Named("ebbtide-waiter"),
        scene: |stage| {
            let (segment, runner) = joined(stage);
            let coordinator = ShutdownCoordinator::new(segment);
            let complete = coordinator.shutdown_complete(&Scope::All);
            let complete = complete.expect("consistent").pollable();
            let complete = leak(complete.expect("a descriptor"));
            Scene::new(props(segment, Some(runner)), move || {
                let begun = coordinator.initiate_shutdown(&Scope::All, &request());
                Answer::new(text(&begun), props(segment, Some(runner))).keeping(complete)
            })
        },
        ..REGISTERED
    },
];

/// Longer than anybody else's, so that merging it changes nothing.
fn request() -> ShutdownRequest {
    ShutdownRequest::new()
        .timeout(Duration::from_secs(1_000_000))
        .reason(ReasonCode::Requested, "the victim's")
}

fn initiate(stage: &Stage) -> Scene {
    let (segment, runner) = joined(stage);
    let coordinator = ShutdownCoordinator::new(segment);
    Scene::new(props(segment, Some(runner)), move || {
        let begun = coordinator.initiate_shutdown(&Scope::All, &request());
        Answer::new(text(&begun), props(segment, Some(runner)))
    })
}

fn acknowledge(stage: &Stage) -> Scene {
    let (segment, runner) = joined(stage);
    Scene::new(props(segment, Some(runner)), move || {
        let acknowledged = runner.acknowledge(Phase::Signaling);
        Answer::new(text(&acknowledged), props(segment, Some(runner)))
    })
}

fn leaving(stage: &Stage, leave: impl FnOnce(&Runner) + 'static) -> Scene {
    let (segment, runner) = joined(stage);
    Scene::new(props(segment, Some(runner)), move || {
        leave(runner);
        Answer::new("ok", props(segment, None))
    })
}
